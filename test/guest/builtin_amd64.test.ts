/** The builtin guest for x86-64: what its console says, and which calls it makes. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { SHUTDOWN_crash, SHUTDOWN_poweroff, XEN_EINVAL, XEN_ENOENT } from '../../src/abi/index.js';
import { hashValue } from '../../src/base/index.js';
import { readX86Image } from '../../src/firmware/x86_64/index.js';
import { kernel, runX86 } from './builtin_amd64_runs.js';
import type { X86Run } from './builtin_amd64_runs.js';

/** The calls of one operation: who made it, the vCPU id in it, and the answer. */
function callsOf(
  { calls }: X86Run,
  op: string,
): (readonly [vcpu: number, id: number | null, answer: number])[] {
  return calls.filter((call) => call.op === op).map(({ vcpu, vcpuId, returned }) => [vcpu, vcpuId, returned]);
}

/** The lines that its CPUs say of themselves, sorted. */
function introductions(vcpus: readonly number[]): string[] {
  return vcpus.map((vcpu, cpu) => `cpu ${cpu}: APIC id 0x${(2 * vcpu).toString(16)}, vCPU ${vcpu}, port `);
}

function assertPasses(
  { lines, ended, shutdown }: X86Run,
  order: readonly number[],
  ways: readonly string[],
): void {
  const vcpus = order.length;
  const text = lines.join('\n');
  assert.deepEqual([ended, shutdown], ['shutdown', SHUTDOWN_poweroff], text);
  assert.equal(lines[0], `builtin guest: ${vcpus} CPUs, Xen 4.17`);
  const said = lines.filter((line) => line.startsWith('cpu ')).map((line) => line.replace(/\d+$/, ''));
  assert.deepEqual(said.sort(), introductions(order).sort());
  assert.deepEqual(
    lines.filter((line) => line.endsWith('calls, each answered')),
    ways.map((how) => `${how}: ${vcpus * (vcpus - 1)} calls, each answered`),
  );
  assert.equal(lines.at(-2), `online: ${vcpus} of ${vcpus} CPUs; power off`);
}

const allWays = ['interrupts (IPI)', 'events, two-level', 'events, FIFO'];
const sequence = (vcpus: number): number[] => Array.from({ length: vcpus }, (_, vcpu) => vcpu);

describe('the builtin guest for x86-64', () => {
  it('is a kernel for PVH and PVHVM guests that a loader accepts like any other', async () => {
    const container = { container: null, compression: 'none' } as never;
    const image = await readX86Image(kernel.image, 'builtin', container);
    assert.deepEqual(image.placement, kernel.placement);
    assert.equal(image.memoryBytes, kernel.memoryBytes);
    assert.deepEqual(image.bytes, kernel.image);
  });

  for (const vcpus of [1, 2, 4, 16]) {
    it(`brings up ${vcpus} vCPUs by INIT and SIPI, and each calls each other by interrupts and both event ABIs`, () => {
      const run = runX86({ vcpus });
      assertPasses(run, sequence(vcpus), allWays);
      assert.ok(run.lines.includes('xenstore: name is domulator'));
      assert.ok(run.lines.includes('builtin guest: this line came by the PV console'));
      assert.ok(run.lines.includes('user space has run'));
      // All of it is registered by CPU 0, for each CPU.
      for (const op of ['VCPUOP_register_vcpu_info', 'HVMOP_set_evtchn_upcall_vector', 'EVTCHNOP_bind_ipi']) {
        assert.deepEqual(
          callsOf(run, op),
          sequence(vcpus).map((vcpu) => [0, vcpu, 0]),
          op,
        );
      }
      assert.deepEqual(
        callsOf(run, 'EVTCHNOP_init_control').sort(([a], [b]) => a - b),
        sequence(vcpus).map((vcpu) => [vcpu, vcpu, 0]),
      );
    });
  }

  it('uses one event ABI alone when asked to', () => {
    assertPasses(runX86({ commandLine: 'events=2l' }), sequence(4), [allWays[0] ?? '', allWays[1] ?? '']);
    const fifo = runX86({ commandLine: 'events=fifo' });
    assertPasses(fifo, sequence(4), [allWays[0] ?? '', allWays[2] ?? '']);
    assert.deepEqual(
      callsOf(fifo, 'EVTCHNOP_init_control'),
      sequence(4).map((vcpu) => [0, vcpu, 0]),
    );
  });

  for (const entryVcpu of [1, 3]) {
    it(`entered on vCPU ${entryVcpu}: takes that vCPU's id from CPUID and the others' from the MADT`, () => {
      const others = sequence(4).filter((vcpu) => vcpu !== entryVcpu);
      assertPasses(runX86({ entryVcpu }), [entryVcpu, ...others], allWays);
    });
  }

  it('powers off by halting all vCPUs with interrupts off when asked to', () => {
    const run = runX86({ commandLine: 'poweroff=halt' });
    assertPasses(run, sequence(4), allWays);
    assert.deepEqual(callsOf(run, 'SCHEDOP_shutdown'), []);
  });

  it("writes to Xen's console where there is no other", () => {
    const { xenLines, lines, shutdown } = runX86({ xenstore: false });
    assert.deepEqual(lines, ['']);
    assert.equal(shutdown, SHUTDOWN_poweroff);
    assert.equal(xenLines.at(-1), 'online: 4 of 4 CPUs; power off');
  });

  it('gives identical calls when run again, and another order with another seed', () => {
    const runs = [1, 2, 1].map((seed) => runX86({ seed }));
    for (const run of runs) assertPasses(run, sequence(4), allWays);
    const [first, other, again] = runs.map(({ calls, lines }) =>
      hashValue({
        calls: calls.map(({ op, vcpu, returned }) => ({ op, vcpu, returned })),
        lines: [...lines],
      }),
    );
    assert.equal(again, first);
    assert.notEqual(other, first);
  });
});

describe('the builtin guest for x86-64 with one error', () => {
  const refused = (code: number): RegExp =>
    new RegExp(`^cpu [0-9]+: Xen refuses what is registered for it: ${-code}$`);

  it('takes CPU numbers for ids: wrong where another vCPU was entered', () => {
    const run = runX86({ entryVcpu: 2, commandLine: 'wrong=cpunumber' });
    // The first call names vCPU 0, which is down, so 4.17 accepts it; that for CPU 2 names the vCPU that makes it.
    const [first] = callsOf(run, 'VCPUOP_register_vcpu_info');
    assert.deepEqual(first?.slice(0, 2), [2, 0]);
    assert.notEqual(run.shutdown, SHUTDOWN_poweroff);
  });

  it('takes APIC ids for ids: two CPUs have none', () => {
    const run = runX86({ commandLine: 'wrong=apicid' });
    assert.deepEqual(callsOf(run, 'VCPUOP_register_vcpu_info'), [
      [0, 0, 0],
      [0, 2, 0],
      [0, 4, -XEN_ENOENT],
      [0, 6, -XEN_ENOENT],
    ]);
    assert.equal(run.lines.filter((line) => refused(XEN_ENOENT).test(line)).length, 2);
    assert.equal(run.shutdown, SHUTDOWN_crash);
  });

  for (const [wrong, op] of [
    ['vector', 'HVMOP_set_evtchn_upcall_vector'],
    ['ipi', 'EVTCHNOP_bind_ipi'],
  ] as const) {
    it(`passes the controlling CPU's id in ${op}: CPUs do not hear of events`, () => {
      const run = runX86({ commandLine: `wrong=${wrong}` });
      assert.deepEqual(
        callsOf(run, op),
        sequence(4).map(() => [0, 0, 0]),
      );
      assert.ok(run.lines.includes('Kernel panic - not syncing: CPUs do not reach each other'));
      assert.equal(run.shutdown, SHUTDOWN_crash);
    });
  }

  it('passes a literal 0 in EVTCHNOP_init_control: each other CPU goes off', () => {
    const run = runX86({ commandLine: 'wrong=control' });
    assert.deepEqual(
      callsOf(run, 'EVTCHNOP_init_control').sort(([a], [b]) => a - b),
      sequence(4).map((vcpu) => [vcpu, 0, vcpu === 0 ? 0 : -XEN_EINVAL]),
    );
    assert.ok(run.lines.includes('online: 1 of 4 CPUs; power off'));
  });
});
