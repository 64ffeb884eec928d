/** What a model run is made of and what it gives: the words that models, stories and the matrix share. */
import type { XenRelease } from '../abi/index.js';
import type { Finding, JudgedCall, Outcome, Platform, TraceEvent } from '../audit/index.js';
import type { HardwareId, LinuxCpu, XenVcpuId } from '../identity/index.js';

/** How the guest's kernel learns which vCPU each of its CPUs is; one entry a step of the patch's history. */
export type StrategyName =
  | 'before-the-patch'
  | 'as-posted'
  | 'as-tested'
  | 'mend'
  | 'mend-nr-cpus'
  | 'no-hypercalls-in-prepare'
  | 'ids-from-firmware';

export type PlatformName = 'pv' | 'pvhvm' | 'pvh' | 'arm';

/** Which of Linux's behaviours, other than the strategy, the model follows. */
export interface KernelEra {
  /** Which x86 numbering of CPUs: up to 6.8, or from 6.9 on (a crash kernel drops the first MADT CPU). */
  readonly numbering: '<=6.8' | '>=6.9';
  /** From 5.18 on, time set-up waits for vcpu_info when the boot vCPU is 32 or more (commit eed05744322d). */
  readonly delaysTimeInit: boolean;
  /**
   * From 4.15 on, x86 registers a time area for the vDSO where the TSC is stable, for vCPU 0 by a literal (commit
   * 2229f70b5bbb; arch/x86/xen/time.c, xen_setup_vsyscall_time_info).
   */
  readonly registersTimeArea: boolean;
  /**
   * From 5.11 on, a port that any CPU may handle goes to the online CPU that has the fewest; before, to the lowest
   * number (commit 88f0a9d06644; drivers/xen/events/events_base.c, select_target_cpu).
   */
  readonly spreadsPorts: boolean;
}

/** What happens to the guest after it has come up. */
export type Plot =
  | { readonly name: 'boot' }
  | { readonly name: 'offline-online'; readonly linuxCpu: number }
  | { readonly name: 'kexec' }
  | { readonly name: 'kdump'; readonly vcpu: number; readonly resetFirst: boolean };

export interface Scenario {
  /** Short and unique, e.g. `arm-as-posted-fifo-4`. */
  readonly name: string;
  readonly strategy: StrategyName;
  readonly platform: PlatformName;
  readonly vcpus: number;
  /** Events: FIFO where Xen offers it, or two-level only. */
  readonly events: 'fifo' | '2l';
  readonly release: XenRelease;
  readonly era: KernelEra;
  readonly plot: Plot;
  /** How the hypervisor hands ids out, by name (identity's policies). */
  readonly idPolicy: string;
  /** Arm only: which tables describe the machine; a device tree when absent. */
  readonly tables?: 'devicetree' | 'acpi';
  /** Arm only: a reset that no Xen has yet. On x86 PVHVM and PVH a soft reset is always there. */
  readonly hypotheticalReset: boolean;
}

/** One row of the table of CPUs. */
export interface CpuRow {
  readonly kernel: number;
  readonly linuxCpu: LinuxCpu;
  /** APIC id or MPIDR; null on PV. */
  readonly hardwareId: HardwareId | null;
  readonly vcpu: XenVcpuId | null;
  /** What the kernel's record says at the end; null when nothing was recorded. */
  readonly recorded: number | null;
  readonly online: boolean;
}

/** Everything that a run gave. */
export interface ModelRun {
  readonly scenario: Scenario;
  readonly platform: Platform;
  readonly events: readonly TraceEvent[];
  readonly calls: readonly JudgedCall[];
  readonly findings: readonly Finding[];
  readonly cpus: readonly CpuRow[];
  readonly outcome: Outcome;
  /** One line: what became of the guest. */
  readonly ending: string;
}
