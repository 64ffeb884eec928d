import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { CallRecord } from '../hypervisor/index.js';
import { xenVcpuId } from '../identity/index.js';
import { IrqTable } from '../introspect/index.js';
import type { KernelAnchors } from '../introspect/index.js';
import { IrqBindings } from './irq_bindings.js';

const layout = { list: 0, evtchn: 16, cpu: 20 };
const base = 0xffff_8000_0000_0000n;
const head = base;
/** The address of the entry of port 1, 2, and so on. */
const entryOf = (port: number): bigint => base + 0x100n * BigInt(port);
const stackPointer = base + 0x4000n;

interface Bench {
  readonly bindings: IrqBindings;
  /** What was told: CPU and port. */
  readonly told: [cpu: number, port: number][];
  /** Lists the entries of ports 1 to `ports`, each bound to CPU 1. */
  list(ports: number): void;
  /** The registers that a caller preserves, from now on. */
  holds(...addresses: bigint[]): void;
  /** Where the stack pointer is from now on, relative to that of the first calls. */
  moves(by: bigint): void;
}

function bench(): Bench {
  const memory = new DataView(new ArrayBuffer(0x8000));
  let preserved: readonly bigint[] = [];
  let stack = stackPointer;
  const told: [number, number][] = [];
  const table = new IrqTable(layout, (address) => address === head);
  const anchors = (): KernelAnchors => ({
    hasKernelMap: true,
    perCpuBase: 0n,
    task: null,
    caller: 0n,
    // As on x86: a hypercall is made by a function of its own.
    stackPointer: stack - 8n,
    callerStack: stack,
    preserved,
    text: () => null,
  });
  const kernel = {
    irqTable: table,
    hasCpu: () => true,
    readerFrom: () => (address: bigint, size: number) => {
      const at = Number(address - base);
      return at < 0 || at + size > memory.byteLength ? null : new Uint8Array(memory.buffer, at, size);
    },
  };
  const bindings = new IrqBindings({ anchors }, kernel, (_vcpu, cpu, port) => told.push([cpu, port]));
  return {
    bindings,
    told,
    list: (ports) => {
      const nodes = [head, ...Array.from({ length: ports }, (_, i) => entryOf(i + 1))];
      for (const [i, node] of nodes.entries()) {
        const at = Number(node - base);
        memory.setBigUint64(at, nodes[(i + 1) % nodes.length] ?? head, true);
        memory.setBigUint64(at + 8, nodes.at(i - 1) ?? head, true);
        if (node === head) continue;
        memory.setUint32(at + layout.evtchn, i, true);
        memory.setUint16(at + layout.cpu, 1, true);
      }
    },
    holds: (...addresses) => (preserved = addresses),
    moves: (by) => (stack = stackPointer + by),
  };
}

type Rest = Pick<CallRecord, 'effects' | 'returned'>;

function calls({ bindings }: Bench, op: string, port: number, { effects = [], returned }: Rest): void {
  const call: CallRecord = {
    hypercall: 'event_channel_op',
    op,
    vcpuId: op.startsWith('EVTCHNOP_bind') ? 0 : null,
    detail: { port },
    returned,
    effects,
  };
  bindings.before(xenVcpuId(0), call);
  bindings.after(xenVcpuId(0), call);
}

const binds = (some: Bench, op: string, port: number): void =>
  calls(some, op, port, { effects: [{ kind: 'portBound', port, vcpu: xenVcpuId(0) }], returned: 0 });

describe('the bindings of interrupts', () => {
  it('are found by the entry that the caller holds, once the kernel has written it', () => {
    const some = bench();
    some.list(2);
    some.holds(entryOf(2));
    binds(some, 'EVTCHNOP_bind_vcpu', 2);
    assert.deepEqual(some.told, []);
    calls(some, 'EVTCHNOP_send', 1, { returned: 0 });
    assert.deepEqual(some.told, [[1, 2]]);
  });

  it('are not looked at before the function that made the call has done the rest, whatever it calls', () => {
    const some = bench();
    some.list(2);
    some.holds(entryOf(2));
    binds(some, 'EVTCHNOP_bind_ipi', 2);
    // The hypercall's own function returns; and a function that is called makes a call.
    for (const by of [8n, -0x40n]) {
      some.moves(by);
      some.bindings.paused(xenVcpuId(0));
      if (by !== 8n) calls(some, 'EVTCHNOP_expand_array', 0, { returned: 0 });
      assert.deepEqual(some.told, [], `${by}`);
    }
    some.moves(0x40n);
    some.bindings.paused(xenVcpuId(0));
    assert.deepEqual(some.told, [[1, 2]]);
  });

  it('are found by a refused call about a port that was bound before', () => {
    const some = bench();
    binds(some, 'EVTCHNOP_bind_ipi', 1);
    some.list(1);
    some.holds(entryOf(1));
    calls(some, 'EVTCHNOP_bind_vcpu', 1, { returned: -2 });
    calls(some, 'EVTCHNOP_send', 1, { returned: 0 });
    assert.deepEqual(some.told, [[1, 1]]);
  });

  it('are not told of ports that were closed or reset since', () => {
    for (const effect of [{ kind: 'portClosed', port: 1 }, { kind: 'eventsReset' }] as const) {
      const some = bench();
      binds(some, 'EVTCHNOP_bind_ipi', 1);
      calls(some, 'EVTCHNOP_close', 1, { effects: [effect], returned: 0 });
      some.list(2);
      some.holds(entryOf(2));
      binds(some, 'EVTCHNOP_bind_vcpu', 2);
      calls(some, 'EVTCHNOP_send', 2, { returned: 0 });
      assert.deepEqual(some.told, [[1, 2]], effect.kind);
    }
  });
});
