/** How a boot ends: its goal, a panic, a shutdown, a hang, or a limit. The first of them that is seen decides. */
import { SHUTDOWN_poweroff, SHUTDOWN_reboot, SHUTDOWN_soft_reset } from '../abi/index.js';
import { patienceNs } from '../audit/index.js';
import type { Outcome } from '../audit/index.js';
import type { CommandEnd } from '../guest_init/index.js';
import type { LogRecord } from '../introspect/index.js';
import type { MachineStop } from '../machine/index.js';
import { xenVcpuId } from '../identity/index.js';
import type { XenVcpuId } from '../identity/index.js';
import { commandEnd } from './command_end.js';
import type { Guest, GuestMachine } from './guest.js';
import type { LoadedKernel, RefusedInstruction } from './hung_guest.js';
import type { BootOptions } from './options.js';
import { panicIn, panicOf, panicTail, PanicWatch } from './panic_watch.js';
import type { PanicWatchState } from './panic_watch.js';
import type { BootOutcome, BootProgress } from './result.js';

/** The end of a boot. */
export interface BootEnd {
  readonly outcome: BootOutcome;
  /** The outcome in one line. */
  readonly ending: string;
  /** Whether the guest reached its goal. */
  readonly reached: boolean;
}

/** The end as the audit sees it. */
export interface AuditedEnd {
  /** A run that was cut is one that hangs. */
  readonly outcome: Outcome;
  /** The outcome in one line. */
  readonly why: string;
  /** Whether the run was cut, and the guest might have gone on. */
  readonly isCut: boolean;
  /** The latest system time in ns at which an event that is unheard at the end counts as lost. */
  readonly unheardUpToNs: bigint;
}

/** What an outcome is decided by, besides the guest itself. The functions are about the kernel that runs now. */
export interface OutcomeSources {
  readonly kernel: () => LoadedKernel;
  /** Whether a crash kernel is loaded, which takes over if this one panics; null if that is not known. */
  readonly hasCrashKernel: () => boolean | null;
  /** The last call that Xen refused, if the kernel did nothing else since; null if there is none. One clause. */
  readonly lastRefused: () => string | null;
  /** The last `most` records of the kernel's own log. */
  readonly log: (most: number) => readonly LogRecord[];
  /** Why something that was asked for was not done to the guest; null if all was. */
  readonly notAsAsked: () => string | null;
  /** The guest has asked for a reboot: lets it go on in a new domain. False if the run is followed into no more kernels. */
  readonly restart: () => boolean;
  /**
   * The guest has asked for a soft reset: lets it go on in the domain that is reset. Else the domain is destroyed, because the
   * toolstack does not reset it or Xen refuses, or because the run is followed into no more kernels.
   */
  readonly softReset: () => 'reset' | 'refused' | 'not followed';
  /** Whether a kernel was left, and the next one not entered. */
  readonly isBetweenKernels: () => boolean;
  /** Called once, when the boot ends. */
  readonly ended: (end: AuditedEnd) => void;
}

/** Texts for the reasons of SCHEDOP_shutdown (public/sched.h). */
const shutdownReasons = ['poweroff', 'reboot', 'suspend', 'crash', 'watchdog', 'soft reset'];

/**
 * Linux asks for a soft reset where it goes on in another kernel: at the end of kexec, and after a crash (arch/x86/xen/enlighten_hvm.c,
 * xen_hvm_shutdown and xen_hvm_crash_shutdown). xl of Xen 4.17 begins one for HVM guests only (tools/libs/light/libxl_create.c,
 * do_domain_soft_reset), and destroys others; observed of a PVH guest, which never enters that kernel.
 */
const afterSoftReset = {
  notOffered: ', to go on in another kernel; xl does that for HVM guests only, and destroys this one',
  destroyed:
    ', to go on in another kernel; the toolstack was told to destroy it then (on_soft_reset="destroy")',
  refused: ', to go on in another kernel; Xen refused the reset, and the toolstack destroyed this guest',
} as const;

/** Why a kernel is not followed that is entered after as many as a run is followed into. */
export const tooManyKernels = 'the run is followed into no more kernels';

interface State {
  /** The vCPU that made the last hypercall or power call. */
  lastCaller: XenVcpuId;
  commandEnd: CommandEnd | null;
  refused: RefusedInstruction | null;
  hasReachedLimit: boolean;
  /** A panic after which the crash kernel is awaited. */
  awaited: { readonly panic: string; readonly sinceNs: bigint } | null;
  end: BootEnd | null;
}

/** How long a crash kernel is awaited after a panic, in ns of guest time: Linux waits at most a second for the other CPUs to stop. */
const crashPatienceNs = 10_000_000_000n;
/** The same from where the kernel is left: the next one may check and unpack itself first. */
const leftPatienceNs = 60_000_000_000n;

/** A plain value. */
export type OutcomeState = State & { readonly panics: PanicWatchState };

/** Decides when and how one boot ends. */
export class OutcomeWatch {
  readonly #guest: Guest;
  readonly #options: BootOptions;
  readonly #sources: OutcomeSources;
  readonly #panics: PanicWatch;
  #state: State = {
    lastCaller: xenVcpuId(0),
    commandEnd: null,
    refused: null,
    hasReachedLimit: false,
    awaited: null,
    end: null,
  };

  constructor(guest: Guest, options: BootOptions, sources: OutcomeSources) {
    this.#guest = guest;
    this.#options = options;
    this.#sources = sources;
    this.#panics = new PanicWatch(guest.machine, sources.log);
  }

  save(): OutcomeState {
    return { ...this.#state, panics: this.#panics.next };
  }

  load({ panics, ...state }: OutcomeState): void {
    this.#state = state;
    this.#panics.next = panics;
  }

  /** Null until the boot has ended. */
  get end(): BootEnd | null {
    return this.#state.end;
  }

  /** How the command ended; null if there is none, or if the guest ended before it. */
  get commandEnd(): CommandEnd | null {
    return this.#state.commandEnd;
  }

  /** Of a guest that hangs or was stopped: an instruction that the CPU refused, and that the guest did not get over. */
  get refused(): RefusedInstruction | null {
    return this.#state.refused;
  }

  /** How far the machine may run before {@link stopped} must look at it. */
  get nextLook(): { readonly instructions: number; readonly ns: bigint } {
    return this.#panics.next;
  }

  get #machine(): GuestMachine {
    return this.#guest.machine;
  }

  /** `vcpu` has made a hypercall or power call. */
  called(vcpu: XenVcpuId): void {
    this.#state.lastCaller = vcpu;
  }

  /** A line of one of the guest's consoles. It may end the boot. */
  line(line: string): void {
    const { until } = this.#options;
    const panic = panicIn(line);
    if (until.kind === 'line' && line.search(until.pattern) >= 0) {
      this.#finish('userspace', `the console said: ${line.trim()}`, true);
      this.#machine.stop();
    } else if (panic !== null && this.#logHasPanic()) {
      if (this.#awaitsCrashKernel(panic)) return;
      this.#finish('panic', panic, false);
      this.#machine.stop();
    }
  }

  /** Whether a kernel that panicked is followed by its crash kernel, which has some time to begin. */
  #awaitsCrashKernel(panic: string): boolean {
    if (this.#state.awaited === null && this.#sources.hasCrashKernel() === true)
      this.#state.awaited = { panic, sinceNs: this.#machine.nowNs };
    const patienceNs = this.#sources.isBetweenKernels() ? leftPatienceNs : crashPatienceNs;
    return this.#state.awaited !== null && this.#machine.nowNs - this.#state.awaited.sinceNs < patienceNs;
  }

  /** The panic that the kernel which runs now was entered after; null if there was none. */
  get panicBefore(): string | null {
    return this.#state.awaited?.panic ?? null;
  }

  /** Whether the kernel that runs has panicked, by its console or its own log. */
  get hasPanicked(): boolean {
    return this.panicBefore !== null || panicOf(this.#sources.log(panicTail)) !== null;
  }

  /** The kernel has left. One that is awaited has its time from now on. */
  kernelLeft(): void {
    const { awaited } = this.#state;
    if (awaited !== null) this.#state.awaited = { ...awaited, sinceNs: this.#machine.nowNs };
  }

  /** Another kernel has taken over. */
  kernelEntered(): void {
    this.#state.awaited = null;
  }

  /** Whether the kernel's own log tells of a panic. A program may print such a line, too. Where no log is found, a line is enough. */
  #logHasPanic(): boolean {
    const log = this.#sources.log(panicTail);
    return log.length === 0 || panicOf(log) !== null;
  }

  /** A vCPU was seen in user mode for the first time. It may end the boot. */
  userSpace(): void {
    if (this.#options.until.kind !== 'userspace') return;
    this.#finish('userspace', 'user space runs', true);
    this.#machine.stop();
  }

  /**
   * The machine has stopped running for that reason. Returns the state of the boot if it cannot go on now; null if it can.
   * `mayWait`: whether input may still come to a guest that waits.
   */
  stopped(stop: MachineStop, mayWait: boolean): BootProgress | null {
    // A line of the guest's console may have ended the run.
    if (this.#state.end !== null) return 'ended';
    if (stop === 'shutdown') return this.#shutDown();
    const seen = stop === 'stuck' ? this.#panics.look() : this.#panics.lookWhenDue();
    // The panic of a kernel that was left is over, unless the crash kernel for which it left is not entered in time.
    const panic = this.#sources.isBetweenKernels() ? this.panicBefore : seen;
    if (panic !== null && (stop === 'stuck' || !this.#awaitsCrashKernel(panic))) return this.#panicked(panic);
    if (stop === 'stuck' && mayWait) return 'waiting';
    if (stop === 'stuck') return this.#hang('hang', 'every vCPU waits, and nothing is to come');
    return this.#limitReached() ? 'ended' : null;
  }

  /** What has taken over from a kernel asks for something about a vCPU, and is not followed; `why` is a clause. Ends the boot. */
  unknownKernel(why: string): void {
    this.cutShort(`another kernel runs, whose calls cannot be judged: ${why}`);
    this.#machine.stop();
  }

  /** Ends the boot now; `why` is one line. Does nothing if it has already ended. */
  cutShort(why: string): void {
    if (this.#state.end === null) this.#hang('stopped', why);
  }

  #shutDown(): BootProgress | null {
    const { shutdown, vcpus } = this.#machine.domain.state;
    // After SCHEDOP_shutdown and its like the caller is up. A Linux without another way to power off halts all its CPUs as well.
    const { reason } = shutdown ?? { reason: -1 };
    const hasHalted = reason === SHUTDOWN_poweroff && vcpus.every(({ up }) => !up);
    if (hasHalted && (this.#machine.userSpaceNs === null || this.#sources.isBetweenKernels()))
      return this.#halted();
    const said = `the guest asked for ${shutdownReasons[reason] ?? `shutdown reason ${reason}`}`;
    if (reason === SHUTDOWN_poweroff) return this.#powerOff(said, hasHalted);
    if (reason === SHUTDOWN_soft_reset) return this.#softReset(said);
    if (reason !== SHUTDOWN_reboot || this.#options.onReboot !== 'restart')
      return this.#finish('destroyed', said, false);
    // A kernel that is to reboot when it panics does so at once, and its memory is lost then.
    const panic = this.#panics.look();
    if (panic !== null) return this.#panicked(panic);
    if (this.#sources.restart()) return null;
    return this.#finish('destroyed', `${said}, and ${tooManyKernels}`, false);
  }

  #softReset(said: string): BootProgress | null {
    const answer = this.#sources.softReset();
    if (answer === 'reset') return null;
    const isTold = this.#options.onSoftReset === 'destroy';
    const isOffered = this.#machine.domain.state.config.softReset;
    const why = isOffered ? 'refused' : isTold ? 'destroyed' : 'notOffered';
    const then = answer === 'refused' ? afterSoftReset[why] : `, and ${tooManyKernels}`;
    return this.#finish('destroyed', `${said}${then}`, false);
  }

  /**
   * Every vCPU halted with interrupts off before user space ran or the next kernel, as one does that gives up early (Linux
   * arch/x86/kernel/head_64.S, early_fixup_exception and its HLT loop). Xen reports that as a power-off.
   */
  #halted(): BootProgress {
    const isBetween = this.#sources.isBetweenKernels();
    const panic = isBetween ? null : this.#panics.look();
    if (panic !== null) return this.#panicked(panic);
    const { clauses, refused } = this.#guest.hung(this.#sources.kernel());
    this.#state.refused = refused;
    const before = isBetween ? 'another kernel was entered' : 'user space ran';
    const why = `every vCPU halted with interrupts off before ${before}, and Xen shut the guest down`;
    return this.#finish('destroyed', [why, ...clauses].join('; '), false);
  }

  /** `hasHalted`: whether the domain ended because its last vCPU halted, which need not be the one that powers it off. */
  #powerOff(said: string, hasHalted: boolean): BootProgress {
    const { until, command = null } = this.#options;
    if (command === null) return this.#finish('poweroff', said, until.kind === 'poweroff');
    // A device may have ended the domain, which is no call.
    const { lastCaller } = this.#state;
    const by = hasHalted ? lastCaller : (this.#machine.domain.state.shutdown?.by ?? lastCaller);
    const others = this.#machine.vcpus.filter((vcpu) => vcpu !== by);
    this.#state.commandEnd = commandEnd(this.#guest, hasHalted ? [by, ...others] : [by]);
    if (this.#state.commandEnd !== null) return this.#finish('poweroff', said, true);
    return this.#finish('poweroff', 'the guest powered off before its command ended', false);
  }

  /** Ends the boot where a limit is reached. */
  #limitReached(): boolean {
    const { limits } = this.#options;
    const spent =
      this.#machine.instructions >= limits.instructions
        ? `${limits.instructions} instructions`
        : this.#machine.nowNs >= limits.guestNs
          ? `${limits.guestNs / 1_000_000_000n} s of guest time`
          : null;
    if (spent === null) return false;
    this.#state.hasReachedLimit = true;
    const panic = this.#sources.isBetweenKernels() ? null : this.#panics.look();
    if (panic === null) this.#hang('hang', `no end after ${spent}, which is the limit`);
    else this.#panicked(panic);
    return true;
  }

  #panicked(panic: string): BootProgress {
    const awaited = this.#state.awaited === null ? '' : '; its crash kernel is loaded, and was not entered';
    return this.#finish('panic', `${panic}${awaited}`, false);
  }

  /** Ends a boot that did not reach an end, with the present state of its vCPUs. */
  #hang(outcome: 'hang' | 'stopped', why: string): BootProgress {
    const { clauses, refused } = this.#guest.hung(this.#sources.kernel());
    this.#state.refused = refused;
    return this.#finish(outcome, [why, ...clauses].join('; '), false);
  }

  #finish(outcome: BootOutcome, said: string, reached: boolean): BootProgress {
    if (this.#state.end !== null) return 'ended';
    const survives = outcome === 'userspace' || outcome === 'poweroff' || outcome === 'stopped';
    const refused = survives ? null : this.#sources.lastRefused();
    const ending = refused === null ? said : `${said}; ${refused}`;
    const notAsked = this.#sources.notAsAsked();
    this.#state.end =
      notAsked === null
        ? { outcome, ending, reached }
        : { outcome, ending: `${ending}; ${notAsked}`, reached: false };
    const isCut = outcome === 'stopped' || this.#isEarlyGoal(outcome);
    this.#sources.ended({
      outcome: isCut ? 'hang' : outcome,
      why: ending,
      isCut: isCut || this.#state.hasReachedLimit,
      unheardUpToNs: isCut ? -1n : this.#unheardUpToNs(),
    });
    return 'ended';
  }

  /** Whether the goal is a line of the console that came before user space: the kernel was still about to set things up. */
  #isEarlyGoal(outcome: BootOutcome): boolean {
    const { kind } = this.#options.until;
    return outcome === 'userspace' && this.#machine.userSpaceNs === null && kind === 'line';
  }

  #unheardUpToNs(): bigint {
    const { nowNs } = this.#machine;
    return this.#state.hasReachedLimit ? nowNs - patienceNs : nowNs;
  }
}
