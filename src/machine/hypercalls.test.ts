/** Tests what is shared of hypercalls, with a register set that no architecture has. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  DOMID_SELF,
  __HYPERVISOR_console_io,
  __HYPERVISOR_memory_op,
  __HYPERVISOR_sched_op,
  CONSOLEIO_write,
  SCHEDOP_block,
  XEN_ENOENT,
  XEN_ENOSYS,
  XENMEM_maximum_gpfn,
  XENMEM_remove_from_physmap,
  xen_remove_from_physmap,
} from '../abi/index.js';
import { SparseMemory } from '../base/index.js';
import { createDomain } from '../hypervisor/index.js';
import type { Domain, DomainConfig } from '../hypervisor/index.js';
import { firstXenVcpu, mpidrOfVcpu } from '../identity/index.js';
import { Hypercalls } from './hypercalls.js';

interface Made {
  readonly domain: Domain;
  /** What the ABI, the machine and the listener were asked, in order. */
  readonly told: string[];
  readonly make: (number: number, ...args: (number | bigint)[]) => void;
}

function hypercalls({ masked = false, interrupted = false } = {}): Made {
  const told: string[] = [];
  const config: DomainConfig = {
    kind: 'arm',
    release: '4.17',
    domid: 1,
    ram: [{ start: 0, count: 64 }],
    xenFrames: { start: 0x10000, count: 80 },
    hardwareIds: [mpidrOfVcpu(firstXenVcpu)],
    fifo: true,
    softReset: false,
    maxGrantFrames: 8,
    entryVcpu: firstXenVcpu,
    consoleIo: 'allowed',
  };
  const domain = createDomain(config, new SparseMemory([...config.ram, config.xenFrames]));
  let asked = { number: 0, args: [] as bigint[] };
  let isMasked = masked;
  const made = new Hypercalls({
    domain: () => domain,
    abi: {
      read: () => asked,
      answer: (_, returned) => void told.push(`answer ${returned}`),
      rewind: (_, args) => void told.push(`rewind ${args.join(' ')}`),
      takesInterrupts: () => !isMasked,
      enableInterrupts: () => {
        isMasked = false;
        told.push('enable interrupts');
      },
    },
    caller: { translate: (_, address) => (address < 64n * 4096n ? address : null) },
    listener: {
      uart: () => undefined,
      calling: () => void told.push('calling'),
      hypercall: (_, { op }) => void told.push(op),
    },
    isInterrupted: () => interrupted,
    memoryMapChanged: () => void told.push('memory map'),
  });
  return {
    domain,
    told,
    make: (number, ...args) => {
      asked = { number, args: args.map(BigInt) };
      made.make(firstXenVcpu);
    },
  };
}

describe('hypercalls', () => {
  it('are announced, answered, and then told', () => {
    const { told, make } = hypercalls();
    make(99);
    assert.deepEqual(told, ['calling', `answer ${-XEN_ENOSYS}`, 'hypercall_99']);
  });

  it('that Xen interrupts are repeated with what is left, and told once', () => {
    const { told, make } = hypercalls();
    make(__HYPERVISOR_console_io, CONSOLEIO_write, 20_000, 0);
    const [calling, rewind, ...rest] = told;
    assert.deepEqual([calling, rest], ['calling', []]);
    const [, ...args] = (rewind ?? '').split(' ').map(Number);
    const [command, left = 0, address = 0] = args;
    assert.equal(command, CONSOLEIO_write);
    assert.ok(left < 20_000 && left + address === 20_000, rewind);
    make(__HYPERVISOR_console_io, CONSOLEIO_write, 10, 0);
    assert.deepEqual(told.slice(2), ['calling', 'answer 0', 'CONSOLEIO_write']);
  });

  it('drop translations if they change the memory map, and only then', () => {
    const { domain, told, make } = hypercalls();
    const changes = (): number => told.filter((text) => text === 'memory map').length;
    make(__HYPERVISOR_memory_op, XENMEM_maximum_gpfn, 0);
    assert.equal(changes(), 0);
    const argument = xen_remove_from_physmap.encode({ domid: DOMID_SELF, gpfn: 5n });
    domain.memory.writable(0)?.set(argument);
    make(__HYPERVISOR_memory_op, XENMEM_remove_from_physmap, 0);
    assert.equal(changes(), 1);
    // It is refused: nothing is mapped there any more.
    make(__HYPERVISOR_memory_op, XENMEM_remove_from_physmap, 0);
    assert.ok(told.includes(`answer ${-XEN_ENOENT}`));
    assert.equal(changes(), 1);
  });

  it('that wait enable interrupts, and one that is asserted ends the wait', () => {
    const waiting = hypercalls({ masked: true });
    waiting.make(__HYPERVISOR_sched_op, SCHEDOP_block);
    assert.deepEqual(waiting.told, ['calling', 'enable interrupts', 'answer 0', 'SCHEDOP_block']);
    assert.notEqual(waiting.domain.state.vcpus[0]?.blocked, null);
    const woken = hypercalls({ masked: true, interrupted: true });
    woken.make(__HYPERVISOR_sched_op, SCHEDOP_block);
    assert.equal(woken.domain.state.vcpus[0]?.blocked, null);
  });
});
