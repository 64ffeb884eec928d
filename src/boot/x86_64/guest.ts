/** Builds an amd64 guest: its memory and what is in it at first, its CPUs, and its board. */
import { viewOf } from '../../abi/index.js';
import { invariant, present } from '../../base/index.js';
import { x86_64 as init } from '../../guest_init/x86_64/index.js';
import {
  acpiUidOfVcpu,
  apicId,
  apicIdOfVcpu,
  firstXenVcpu,
  numberCpus,
  vcpuOfApicId,
  xenVcpuId,
  xenVcpuIds,
} from '../../identity/index.js';
import type { XenVcpuId } from '../../identity/index.js';
import { isRunnable, triggerNmi } from '../../hypervisor/index.js';
import { x86_64 as kernels } from '../../introspect/index.js';
import type { X86Cpu } from '../../introspect/index.js';
import type { MachineListener, MachineOptions } from '../../machine/index.js';
import { x86Machine } from '../../machine/x86_64/index.js';
import type { X86Machine } from '../../machine/x86_64/index.js';
import { cpuOptions } from '../cpu_limits.js';
import { readGuest } from '../guest_memory.js';
import type { GuestBuilder, GuestPlan, KernelCpu, OwnMapState, RunningGuest } from '../guest.js';
import type { BootOptions } from '../options.js';
import { hungX86Guest } from './hung_guest.js';
import { planHvm } from './hvm_plan.js';
import { kernelMap, x86KernelEntered, x86KernelPlaced } from './next_kernel.js';
import { planPvh } from './pvh_plan.js';

/** NR_CPUS of Debian's kernels. */
const configNrCpus = 8192;

/** On what the numbers of the CPUs depend. */
interface NumberingFacts {
  readonly vcpus: number;
  readonly version: string | null;
  readonly commandLine: string;
  readonly entryVcpu: XenVcpuId;
}

/** The CPUs as an x86 Linux of that version numbers them, with the MADT of the guest and entered on `entryVcpu`. */
function numberKernelCpus({ vcpus, version, commandLine, entryVcpu }: NumberingFacts): KernelCpu[] {
  const { disabledApicId } = cpuOptions(commandLine);
  const { cpus } = numberCpus({
    platform: 'x86_64',
    version,
    entries: xenVcpuIds(vcpus).map((vcpu) => ({
      type: 'local_apic' as const,
      apicId: apicIdOfVcpu(vcpu),
      acpiUid: acpiUidOfVcpu(vcpu),
      enabled: true,
      onlineCapable: false,
    })),
    entryApicId: apicIdOfVcpu(entryVcpu),
    // Xen marks vCPU 0 as the one that started, whichever is entered (Xen 4.17 arch/x86/hvm/vlapic.c, vlapic_init).
    entryHasBspBit: entryVcpu === firstXenVcpu,
    configNrCpus,
    disableCpuApicId: disabledApicId === null ? null : apicId(disabledApicId),
  });
  return cpus.map(({ cpu, apicId: id }) => ({
    linuxCpu: cpu,
    hardwareId: id,
    hardwareIdKind: 'apicId',
    vcpu: present(vcpuOfApicId(id), 'the vCPU of an APIC id'),
  }));
}

/** Up to 6.8 the option is the only reason; from 6.9 on it is not obeyed (identity/numbering_x86.ts, takeUpTo68 and isRealBsp). */
function whyUnnumbered(vcpu: XenVcpuId, commandLine: string): string {
  const { disabledApicId } = cpuOptions(commandLine);
  return disabledApicId === apicIdOfVcpu(vcpu)
    ? `disable_cpu_apicid=${disabledApicId}`
    : 'the kernel takes it for the CPU that the firmware started, and is not entered on it';
}

function plan(options: BootOptions): GuestPlan {
  const { placement } = options.kernel;
  invariant(placement.architecture === 'amd64', 'an amd64 kernel');
  const planned = options.type === 'hvm' ? planHvm(options, placement) : planPvh(options, placement);
  const { kernel, vcpus, commandLine, entryVcpu } = options;
  const facts = { vcpus, version: kernel.version, commandLine, entryVcpu: xenVcpuId(entryVcpu) };
  return { ...planned, cpus: numberKernelCpus(facts) };
}

/** A vCPU with the memory that its registers lead to. */
function cpuOf(machine: X86Machine, index: number): X86Cpu {
  const view = present(machine.processor.vcpus[index], 'a vCPU');
  const vcpu = xenVcpuId(index);
  return {
    get pc() {
      return view.pc;
    },
    get stackPointer() {
      return view.stackPointer;
    },
    get privilege() {
      return view.privilege;
    },
    get codeBits() {
      return view.codeBits;
    },
    get gsBase() {
      return view.gsBase;
    },
    get system() {
      return view.system;
    },
    register: (number) => view.register(number),
    translate: (address) => view.translate(address),
    word: (address) => {
      const bytes = readGuest(machine, vcpu, address, 8);
      return bytes === null ? null : viewOf(bytes).getBigUint64(0, true);
    },
  };
}

/** Addresses below are those of user space, and of code in a map in which each address is what it is. */
const userEnd = 1n << 47n;

type X86VcpuView = X86Machine['processor']['vcpus'][number];

/**
 * Whether a vCPU has been seen to leave the kernel's own map, and where it is now. Linux changes CR3 nowhere between its call for a
 * soft reset and the map in which it leaves itself (arch/x86/kernel/machine_kexec_64.c and relocate_kernel_64.S).
 */
class OwnMap {
  readonly #view: X86VcpuView;
  state: OwnMapState = { hasLeft: false, entries: 0, root: null };

  constructor(view: X86VcpuView) {
    this.#view = view;
  }

  started(): void {
    this.state = { ...this.state, hasLeft: false };
  }

  leaves(): void {
    this.state = { hasLeft: false, entries: 0, root: this.#view.system.cr3 };
  }

  get #isPrivileged(): boolean {
    return this.#view.privilege === 0 && this.#view.codeBits === 64;
  }

  /** Looks at the vCPU. Whether it has run outside of its kernel's map since it was started or began to leave it. */
  hasLeft(): boolean {
    const { root } = this.state;
    const { pc, system } = this.#view;
    const isOut = (this.#isPrivileged && pc < userEnd) || (root !== null && system.cr3 !== root);
    if (isOut) this.state = { ...this.state, hasLeft: true };
    return this.state.hasLeft;
  }

  /** Looks at the vCPU. Whether it runs a kernel in its own map after it has left one, for the first times. */
  hasEntered(): boolean {
    if (!this.hasLeft() || !this.#isPrivileged || this.#view.pc < kernelMap.start) return false;
    const entries = Math.min(this.state.entries + 1, mostEntries + 1);
    this.state = { ...this.state, entries };
    return entries <= mostEntries;
  }
}

/** Entries of one vCPU that are looked at: a guest must not make the host look for kernels in all of its memory again and again. */
const mostEntries = 64;

/** An address at which no kernel has code. */
const noCode = 0n;

function run(options: MachineOptions, listener: MachineListener): RunningGuest {
  const maps: OwnMap[] = [];
  const machine = x86Machine(options, {
    ...listener,
    started: (vcpu) => {
      maps[vcpu]?.started();
      listener.started?.(vcpu);
    },
    sliceEnded: (vcpu) => {
      listener.sliceEnded?.(vcpu);
      if (maps[vcpu]?.hasEntered() === true) listener.translationSwitched?.(vcpu, true);
    },
  });
  maps.push(...machine.processor.vcpus.map((view) => new OwnMap(view)));
  const anchors = machine.vcpus.map((vcpu) => kernels.anchorsOf(cpuOf(machine, vcpu)));
  return {
    machine,
    init,
    anchors: (vcpu) => present(anchors[vcpu], 'a vCPU'),
    get notImplemented() {
      return machine.board.unimplemented;
    },
    knownSymbol: kernels.knownSymbol,
    recordsAreSet: 'with each CPU',
    whyUnnumbered,
    linkedText: (at) => kernels.linkedText(at),
    loadedVariable: (image, start) => kernels.loadedVariable(image, start),
    makeOops: (vcpu) => {
      const view = present(machine.processor.vcpus[vcpu], 'a vCPU');
      const isInKernel = view.privilege === 0 && view.pc >= kernelMap.start && view.interruptsEnabled;
      if (!isRunnable(machine.domain, vcpu) || !isInKernel) return false;
      view.pc = noCode;
      return true;
    },
    hasLeftMap: (vcpu) => present(maps[vcpu], 'a vCPU').hasLeft(),
    maps: {
      leaves: (vcpu) => present(maps[vcpu], 'a vCPU').leaves(),
      save: () => maps.map(({ state }) => state),
      load: (saved) => {
        for (const [i, state] of saved.entries())
          present(maps[i], 'a vCPU').state = { ...state, entries: Math.max(state.entries, 0) };
      },
    },
    triggerNmi: (vcpu) => triggerNmi(present(machine.domain.state.vcpus[vcpu], 'a vCPU')),
    kernelPlaced: (vcpu, first) => x86KernelPlaced(machine, vcpu, first),
    kernelEntered: (vcpu, first) =>
      x86KernelEntered(machine, vcpu, first, {
        bootParamsAt: options.bootInformation,
        number: (version, commandLine, entryVcpu) =>
          numberKernelCpus({ vcpus: machine.vcpus.length, version, commandLine, entryVcpu }),
      }),
    keepWords: (words, isRestored) => machine.board.keepWords(words, isRestored),
    hung: (kernel) => hungX86Guest(machine, kernel),
  };
}

export const x86_64 = { plan, run } as const satisfies GuestBuilder;
