/** Tells the audit which CPUs the kernel counts as possible, and which it need not bring up, and why. */
import type { LeftOut, PossibleCpu } from '../audit/index.js';
import { equalValues } from '../base/index.js';
import type { XenVcpuId } from '../identity/index.js';
import { cpuOptions, leftOutOf } from './cpu_limits.js';
import type { CpuLimits } from './cpu_limits.js';
import type { KernelCpu } from './guest.js';
import type { KernelView } from './kernel_view.js';
import type { TraceWriter } from './trace_writer.js';

export interface KernelCommandLine {
  /** The command line that the kernel was given. */
  readonly given: string;
  /** The command line in the kernel's log, which may be longer (CONFIG_CMDLINE); null if the log has none. */
  readonly said: () => string | null;
}

/** What is known of a kernel's limits. */
export interface KnownLimits {
  readonly possible: readonly PossibleCpu[];
  readonly leftOut: readonly LeftOut[];
  readonly online?: 'unreadable';
}

function possibleAmong(cpus: readonly KernelCpu[], possible: CpuLimits['possible']): PossibleCpu[] {
  const counted = cpus.filter(({ linuxCpu: cpu }) => possible?.has(cpu) ?? true);
  return counted.map(({ linuxCpu: cpu, hardwareId }) => ({ linuxCpu: cpu, hardwareId }));
}

function onlineWord({ hasOnlineMask }: KernelView): Pick<KnownLimits, 'online'> {
  return hasOnlineMask ? {} : { online: 'unreadable' };
}

/** A plain value. */
export interface LeftOutState {
  /** Whether the address of the kernel's mask of online CPUs was known from the start. */
  readonly couldSeeOnline: boolean;
  leftOut: readonly LeftOut[];
  hasLimits: boolean;
}

/** Reports the limits of one kernel to its trace. */
export class LeftOutCpus {
  readonly #cpus: readonly KernelCpu[];
  readonly #kernel: KernelView;
  readonly #trace: TraceWriter;
  readonly #commandLine: KernelCommandLine;
  readonly #number: number;
  readonly #unnumbered: readonly LeftOut[];
  #state: LeftOutState | null = null;

  /** `number`: of the kernel in the trace. `unnumbered`: the vCPUs that the kernel does not count as CPUs, by its version's rules. */
  constructor(
    cpus: readonly KernelCpu[],
    kernel: KernelView,
    trace: TraceWriter,
    commandLine: KernelCommandLine,
    number: number,
    unnumbered: readonly LeftOut[] = [],
  ) {
    this.#cpus = cpus;
    this.#kernel = kernel;
    this.#trace = trace;
    this.#commandLine = commandLine;
    this.#number = number;
    this.#unnumbered = unnumbered;
  }

  /** Replaced to restore a state. Made when the kernel is entered, because then its image has to be read. */
  get state(): LeftOutState {
    this.#state ??= {
      couldSeeOnline: this.#kernel.hasOnlineMask,
      leftOut: [...leftOutOf(this.#cpus, cpuOptions(this.#commandLine.given)), ...this.#unnumbered],
      hasLimits: false,
    };
    return this.#state;
  }

  set state(state: LeftOutState) {
    this.#state = state;
  }

  /** What is known before the kernel runs. */
  get atEntry(): KnownLimits {
    return {
      possible: possibleAmong(this.#cpus, null),
      leftOut: this.state.leftOut,
      ...onlineWord(this.#kernel),
    };
  }

  /**
   * Reports once which CPUs the kernel has determined as possible, as `vcpu` reads it, if that differs from what was known. The
   * kernel determines them long before it starts another CPU or makes a call about one.
   */
  note(vcpu: XenVcpuId): void {
    if (this.state.hasLimits) return;
    const limits = {
      possible: this.#kernel.possibleFrom(vcpu),
      configured: this.#kernel.configuredCpus,
      maxCpus: this.#kernel.maxCpusFrom(vcpu),
    };
    if (limits.possible === null && limits.maxCpus === null) return;
    this.state.hasLimits = true;
    const { given, said } = this.#commandLine;
    const byGiven = leftOutOf(this.#cpus, cpuOptions(given), limits);
    const isExplained = this.#cpus.every(
      ({ linuxCpu: cpu, vcpu: id }) =>
        limits.possible?.has(cpu) !== false || byGiven.some((left) => left.vcpu === id),
    );
    // Finding the log in memory takes a while.
    const ofOptions = isExplained ? byGiven : leftOutOf(this.#cpus, cpuOptions(said() ?? given), limits);
    const leftOut = [...ofOptions, ...this.#unnumbered];
    const possible = possibleAmong(this.#cpus, limits.possible);
    const isKnown = possible.length === this.#cpus.length && equalValues(leftOut, this.state.leftOut);
    // With BTF alone, online CPUs become visible only when the kernel runs.
    const isSeen = this.#kernel.hasOnlineMask === this.state.couldSeeOnline;
    this.state.leftOut = leftOut;
    if (isKnown && isSeen) return;
    this.#trace.write({
      kind: 'limits',
      kernel: this.#number,
      possible,
      leftOut,
      ...onlineWord(this.#kernel),
    });
  }

  /** Why the kernel need not bring up `vcpu` when it boots; null if there is no such reason. */
  whyLeftOut(vcpu: XenVcpuId): string | null {
    return this.state.leftOut.find((left) => left.vcpu === vcpu)?.why ?? null;
  }
}
