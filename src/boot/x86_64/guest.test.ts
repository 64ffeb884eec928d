import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  __HYPERVISOR_sched_op,
  __HYPERVISOR_vcpu_op,
  SCHEDOP_shutdown,
  SHUTDOWN_soft_reset,
  VCPUOP_is_up,
} from '../../abi/index.js';
import type { TraceEvent } from '../../audit/index.js';
import { xenVcpuId } from '../../identity/index.js';
import { assemble, x86 } from '../../isa/x86_64/index.js';
import { buildGuest, loadArchitecture } from '../guest.js';
import type { Guest } from '../guest.js';
import type { BootOptions } from '../options.js';
import { bootReport } from '../report.js';
import { Boot } from '../run.js';

await loadArchitecture('amd64');

/** Options for a guest whose kernel is `code`, and says that it is of that version. */
function optionsOf(
  changes: Partial<BootOptions> = {},
  code = Uint8Array.of(0xf4),
  version = '',
): BootOptions {
  return {
    kernel: {
      name: 'made',
      version,
      sha256: '',
      image: code,
      memoryBytes: 4096,
      placement: { architecture: 'amd64', loadAt: 0x100_0000, entry: 0x100_0000 },
    },
    initrd: null,
    commandLine: '',
    vcpus: 4,
    memoryMiB: 64,
    release: '4.17',
    seed: 1,
    xenstore: false,
    whatIf: null,
    entryVcpu: 0,
    until: { kind: 'poweroff' },
    limits: { instructions: 1_000_000, guestNs: 1_000_000_000n },
    ...changes,
  };
}

function guestOf(version: string, commandLine: string, entryVcpu = 0): Guest {
  return buildGuest(optionsOf({ commandLine, entryVcpu }, undefined, version), { uart: () => undefined });
}

/** The vCPU of each of its CPUs. */
const vcpusOf = ({ cpus }: Guest): number[] => cpus.map(({ vcpu }) => vcpu);

describe('the CPUs of an amd64 guest, as its kernel numbers them', () => {
  it('begin with the one that it is entered on', () => {
    assert.deepEqual(vcpusOf(guestOf('6.1.0-57-amd64', '')), [0, 1, 2, 3]);
    assert.deepEqual(vcpusOf(guestOf('6.1.0-57-amd64', '', 2)), [2, 0, 1, 3]);
  });

  it('lack the one of disable_cpu_apicid=, and the option is the reason', () => {
    const options = 'disable_cpu_apicid=2';
    const guest = guestOf('6.1.0-57-amd64', options);
    assert.deepEqual(vcpusOf(guest), [0, 2, 3]);
    assert.equal(guest.whyUnnumbered(xenVcpuId(1), options), 'disable_cpu_apicid=2');
    // The CPU that runs the kernel is not left out, nor is one whose id no CPU has.
    assert.deepEqual(vcpusOf(guestOf('6.1.0-57-amd64', options, 1)), [1, 0, 2, 3]);
    assert.deepEqual(vcpusOf(guestOf('6.1.0-57-amd64', 'disable_cpu_apicid=3')), [0, 1, 2, 3]);
  });

  it('from 6.9 on are not changed by that option, but lack the firmware’s CPU where another is entered', () => {
    const options = 'disable_cpu_apicid=2';
    assert.deepEqual(vcpusOf(guestOf('6.9.0', options)), [0, 1, 2, 3]);
    const entered = guestOf('6.9.0', options, 1);
    assert.deepEqual(vcpusOf(entered), [1, 2, 3]);
    assert.match(entered.whyUnnumbered(xenVcpuId(0), options) ?? '', /^the kernel takes it for the CPU/);
  });
});

describe('a kernel that asks for a soft reset, as Linux does at the end of kexec and after a crash', () => {
  it('is destroyed, and the ending says why no other kernel follows', () => {
    const at = 0x100_0000;
    const program = `
      movl $${SHUTDOWN_soft_reset}, 0x1100000
      mov $${__HYPERVISOR_sched_op}, %eax
      mov $${SCHEDOP_shutdown}, %ebx
      mov $0x1100000, %ecx
      vmmcall
      hlt`;
    const options = optionsOf({ vcpus: 2 }, new Uint8Array(assemble(x86, program, at, 32).bytes));
    const boot = new Boot(options, { console: () => undefined });
    while (boot.step(1000) !== 'ended');
    const { outcome, ending } = boot.result();
    assert.equal(outcome, 'destroyed');
    assert.match(
      ending,
      /^the guest asked for soft reset, to go on in another kernel; xl does that for HVM guests only/,
    );
  });
});

describe('what takes over from a kernel', () => {
  const at = 0x100_0000;
  /** A PVHVM kernel that asks for a soft reset, and goes on with that program. */
  const goingOn = (program: string): BootOptions => {
    const asks = `
      .code64
      movl $${SHUTDOWN_soft_reset}, 0x1100000
      mov $${__HYPERVISOR_sched_op}, %eax
      mov $${SCHEDOP_shutdown}, %edi
      mov $0x1100000, %esi
      vmmcall
      ${program}
      hlt`;
    const code = new Uint8Array(assemble(x86, asks, at, 64).bytes);
    const { kernel, ...options } = optionsOf({ vcpus: 2, type: 'hvm' }, code);
    return {
      ...options,
      kernel: { ...kernel, placement: { architecture: 'amd64', loadAt: at, entry: at, entry64: at } },
    };
  };
  /** VCPUOP_is_up, about the vCPU that it names. */
  const asksAbout = (vcpu: number): string =>
    `mov $${__HYPERVISOR_vcpu_op}, %eax\nmov $${VCPUOP_is_up}, %edi\nmov $${vcpu}, %esi\nvmmcall`;

  it('and is not found as a kernel ends the run where it asks for something about a vCPU', () => {
    const events: TraceEvent[] = [];
    const boot = new Boot(goingOn(asksAbout(1)), { event: (event) => events.push(event) });
    while (boot.step(1000) !== 'ended');
    const { outcome, ending, findings } = boot.result();
    assert.deepEqual([outcome, findings], ['stopped', []]);
    assert.match(
      ending,
      /^another kernel runs, whose calls cannot be judged: it was not found in memory as Linux/,
    );
    // Its call is not the first kernel's.
    const calls = events.flatMap((event) => (event.kind === 'hypercall' ? [event.call.op] : []));
    assert.deepEqual(calls, ['SCHEDOP_shutdown']);
  });

  it('ends the run also where it has long been in a map of its own', () => {
    // The tables of the entry map this address to themselves: it gets a map of 2 MiB at the place of a kernel.
    const goesUp = `
      mov $0x31003, %eax
      mov %rax, 0x30ff8
      mov $0x32003, %eax
      mov %rax, 0x31ff0
      mov $200000, %ecx
    low:
      dec %ecx
      jne low
      mov $up, %eax
      mov $0xffffffff80000000, %rbx
      add %rbx, %rax
      jmp *%rax
    up:
      mov $200000, %ecx
    high:
      dec %ecx
      jne high
      ${asksAbout(1)}`;
    const boot = new Boot(goingOn(goesUp), {});
    while (boot.step(1000) !== 'ended');
    assert.match(boot.result().ending, /^another kernel runs, whose calls cannot be judged/);
  });

  it('cannot be where the firmware is, nor beyond memory', () => {
    const { kernel, ...options } = goingOn('');
    for (const [loadAt, why] of [
      [0x9_0000, /would lie below 1 MiB/],
      [0x4000_0000, /MiB of memory is too little/],
    ] as const) {
      const placement = { architecture: 'amd64', loadAt, entry: loadAt, entry64: loadAt } as const;
      assert.throws(() => new Boot({ ...options, kernel: { ...kernel, placement } }), {
        name: 'InputError',
        message: why,
      });
    }
  });

  it('and asks for nothing of the kind goes on', () => {
    const boot = new Boot(goingOn(''), {});
    while (boot.step(1000) !== 'ended');
    assert.equal(boot.result().outcome, 'destroyed');
  });
});

describe('a kernel that halts its only running vCPU with interrupts off', () => {
  for (const vcpus of [1, 4]) {
    it(`before user space has not done what it should, and is not judged, with ${vcpus} vCPUs`, () => {
      const options = optionsOf({ vcpus });
      const boot = new Boot(options, { console: () => undefined });
      while (boot.step(1000) !== 'ended');
      const { verdict, runs } = bootReport(
        options,
        boot.result(),
        { package: null, suites: [] },
        { wallMs: 0, node: '' },
      );
      const [{ outcome, kernels }] = runs;
      assert.deepEqual([verdict, outcome.what, kernels[0]?.findings], ['incomplete', 'destroyed', []]);
      assert.match(outcome.why, /^every vCPU halted with interrupts off before user space ran/);
    });
  }
});
