/**
 * A Xen guest on emulated CPUs, whatever their architecture: the domain, its memory, the scheduler of its vCPUs, the clock and
 * console input, over a board (board.ts). There is one clock: each instruction of any vCPU takes 1 ns, and when all vCPUs wait,
 * the clock jumps to the next event. A turn is divided into slices where an event is due, so that interrupts are on time; the
 * turn then continues.
 */
import { SHUTDOWN_soft_reset } from '../abi/index.js';
import { cloneValue, earlier, equalValues, frameBytes, invariant, present } from '../base/index.js';
import type { FrameRange } from '../base/index.js';
import type { StopReason } from '../engine/index.js';
import {
  acknowledgeUpcall,
  advanceTo,
  backendsAwaited,
  createDomain,
  domainShutdown,
  feedConsole,
  gfnOfMfn,
  isRunnable,
  mfnOfGfn,
  nextDeadline,
  pendingUpcall,
  refreshAreas,
  serveBackends,
  takeStart,
  takeXenConsole,
  toolstackAfterShutdown,
  wakeVcpu,
} from '../hypervisor/index.js';
import type { Domain, VcpuState } from '../hypervisor/index.js';
import { xenVcpuIds } from '../identity/index.js';
import type { XenVcpuId } from '../identity/index.js';
import type { Board, BoardPort, MachineListener, MachineOptions } from './board.js';
import { ConsoleInput } from './console_input.js';
import type { GuestConsole } from './console_input.js';
import { EngineFrames } from './frames.js';
import { randomOf } from './random.js';
import { endTurn, newSchedule, nextTurn } from './scheduler.js';
import { placedFrames, saveFrames } from './state.js';
import type { MachineClock, MachineState, SavedMachine } from './state.js';
import type { Schedule } from './scheduler.js';

/** Why `run` returned. `limit`: also after `stop`; `paused`: only after `pause`. */
export type MachineStop = 'limit' | 'shutdown' | 'stuck' | 'paused';

/**
 * A guest that runs. `load` its images, then `run` it in any number of steps; between steps its memory, its domain and its
 * vCPUs may be read, and input may be typed. The same options, images and input give the same run.
 */
export class Machine<B extends Board> {
  /** The vCPUs, by index. */
  readonly vcpus: readonly XenVcpuId[];
  readonly board: B;
  readonly frames: EngineFrames;
  readonly domain: Domain;
  #schedule: Schedule;
  readonly #input = new ConsoleInput();
  readonly #listener: MachineListener;
  #options: MachineOptions;
  readonly #clock: MachineClock;
  /** System time in ns at which the current slice ends. */
  #sliceEndNs = 0n;
  #stopped = false;
  #pauseAsked = false;
  #isRunning = false;

  /** `makeBoard` makes the board, which may ask its machine for the domain once it runs. */
  constructor(options: MachineOptions, listener: MachineListener, makeBoard: (port: BoardPort) => B) {
    const { config, seed, startNs = 0n } = options;
    const ranges: readonly FrameRange[] = [...config.ram, config.xenFrames];
    this.#options = options;
    this.#clock = { sliceNs: startNs, instructions: 0, userSpaceNs: null };
    this.#listener = listener;
    this.vcpus = xenVcpuIds(config.hardwareIds.length);
    this.#schedule = newSchedule(seed, this.vcpus.length);
    this.board = makeBoard(this.#port(() => this.#options, ranges));
    const { processor } = this.board;
    this.frames = new EngineFrames(
      processor.ram.buffer,
      processor.ramStart,
      ranges,
      (offset, bytes) => processor.wrote(offset, bytes),
      (offset) => processor.use(offset),
    );
    this.domain = createDomain(config, this.frames, startNs);
  }

  #port(options: () => MachineOptions, ranges: readonly FrameRange[]): BoardPort {
    return {
      get options() {
        return options();
      },
      listener: this.#listener,
      vcpus: this.vcpus,
      ranges,
      nowNs: () => this.nowNs,
      domain: () => this.domain,
      frames: () => this.frames,
      catchUp: () => advanceTo(this.domain, this.nowNs),
      called: (vcpu) => this.#called(vcpu),
      cutSlice: () => this.#cutSlice(),
      interrupted: (vcpu) => this.#interrupted(vcpu),
    };
  }

  /** The board's processor. */
  get processor(): B['processor'] {
    return this.board.processor;
  }

  /** System time, ns. */
  get nowNs(): bigint {
    return this.#clock.sliceNs + BigInt(this.board.processor.executed);
  }

  /** System time in ns at which a vCPU was first seen in user mode at the end of a slice; null if none was. */
  get userSpaceNs(): bigint | null {
    return this.#clock.userSpaceNs;
  }

  /** Number of instructions executed so far by all vCPUs. */
  get instructions(): number {
    return this.#clock.instructions;
  }

  /** Copies `bytes` into guest RAM at guest physical address `address`. Call it before the guest runs. */
  load(address: bigint, bytes: Uint8Array): void {
    for (let done = 0; done < bytes.length;) {
      const at = Number(address) + done;
      const frame = present(this.frames.writable(Math.floor(at / frameBytes)), `guest memory at ${at}`);
      const count = Math.min(frameBytes - (at % frameBytes), bytes.length - done);
      frame.set(bytes.subarray(done, done + count), at % frameBytes);
      done += count;
    }
  }

  /**
   * Types `bytes` at one of the guest's consoles. They become available at system time `atNs` (default: now). The guest
   * receives them at the end of the turn at that time, as far as its buffer has space. A run is determined by the bytes
   * and `atNs`.
   */
  input(console: GuestConsole, bytes: Uint8Array, atNs: bigint = this.nowNs): void {
    this.#input.add(console, bytes, atNs);
  }

  /**
   * Runs the guest for about `instructions` more instructions, until system time `untilNs`, or until it cannot
   * continue. Dividing a run into several calls does not change its result.
   */
  run(instructions: number, untilNs: bigint): MachineStop {
    invariant(!this.#isRunning, 'the machine is running');
    this.#isRunning = true;
    try {
      return this.#run(instructions, untilNs);
    } finally {
      this.#isRunning = false;
      this.#pauseAsked = false;
    }
  }

  #run(instructions: number, untilNs: bigint): MachineStop {
    const end = this.#clock.instructions + instructions;
    this.#stopped = false;
    while (this.#clock.instructions < end && this.#clock.sliceNs < untilNs && !this.#isStopped()) {
      if (this.domain.state.shutdown !== null) return 'shutdown';
      if (this.#pauseAsked) return 'paused';
      const next = nextTurn(this.#schedule, this.vcpus, (vcpu) => isRunnable(this.domain, vcpu));
      if (next.kind === 'turn') this.#takeTurn(next.vcpu, next.instructions);
      else if (next.kind === 'idle') this.#idle(next.ns);
      else if (!this.#waitForEvent(untilNs)) return 'stuck';
    }
    return 'limit';
  }

  #isStopped(): boolean {
    return this.#stopped;
  }

  /**
   * Ends the current `run` after the current turn, where the machine can be saved. Unlike {@link stop} this changes nothing of
   * the guest's run. Does nothing if the machine is not running.
   */
  pause(): void {
    this.#pauseAsked = this.#isRunning;
  }

  /** The machine as a value. It can be taken whenever `run` is not under way. */
  save(): SavedMachine {
    invariant(!this.#isRunning, 'a machine is saved between turns');
    const state: MachineState = {
      options: this.#options,
      clock: this.#clock,
      schedule: this.#schedule,
      input: this.#input.state,
      domain: this.domain.state,
      board: this.board.save(),
    };
    return { state: cloneValue(state), frames: saveFrames(this.frames, this.processor) };
  }

  /**
   * Becomes the saved machine, which must have had the same options. What the guest then does, it does as it would have there. The
   * bytes of a saved frame are read when the frame is first used.
   */
  restore({ state, frames }: SavedMachine): void {
    invariant(!this.#isRunning, 'a machine is restored between turns');
    invariant(equalValues(state.options, this.#options), 'the state is that of a machine with other options');
    const { clock, schedule, input, domain, board } = cloneValue(state);
    this.processor.clearRam();
    this.processor.setAbsent(placedFrames(this.frames, frames));
    Object.assign(this.domain.state, domain);
    Object.assign(this.#clock, clock);
    this.#schedule = schedule;
    this.#input.state = input;
    this.board.load(board);
  }

  /**
   * Goes on as another domain, which `saved` is before its first instruction, with the same memory and as many vCPUs. Instructions are
   * counted on, and input that is not read yet is kept.
   */
  replaceDomain({ state, frames }: SavedMachine): void {
    const { instructions } = this.#clock;
    this.#options = state.options;
    this.restore({
      state: { ...state, clock: { ...state.clock, instructions }, input: this.#input.state },
      frames,
    });
  }

  /** Draws the lengths of turns from another seed from now on. Call it between turns. */
  reseed(seed: number): void {
    invariant(!this.#isRunning, 'a machine is reseeded between turns');
    this.#options = { ...this.#options, seed };
    this.#schedule.random = randomOf(seed);
  }

  /** Ends the current `run` after the current slice. */
  stop(): void {
    this.#stopped = true;
    this.board.processor.stop();
  }

  /**
   * The toolstack resets the domain as if `by` had asked for that by SHUTDOWN_soft_reset, and lets it go on. False if the domain may
   * not be reset (`config.softReset`); then it is shut down. What the guest saw in place of its shared_info stays in its memory: a
   * kernel may have put a part of the next one there already. A listener may call this.
   */
  softReset(by: XenVcpuId): boolean {
    advanceTo(this.domain, this.nowNs);
    domainShutdown(this.domain, SHUTDOWN_soft_reset, by);
    const { sharedInfoMfn } = this.domain.state;
    const gfn = gfnOfMfn(this.domain, sharedInfoMfn);
    const seen = present(this.frames.readable(sharedInfoMfn), 'shared_info').slice();
    const isReset = toolstackAfterShutdown(this.domain) === 'soft-reset';
    const mfn = gfn === null ? null : mfnOfGfn(this.domain, gfn);
    if (mfn !== null) this.frames.writable(mfn)?.set(seen);
    this.processor.flushTranslations();
    this.#called(by);
    return isReset;
  }

  /**
   * The toolstack hears that the guest has asked for a soft reset by SCHEDOP_shutdown, resets the domain and lets it go on. False if the
   * domain may not be reset (`config.softReset`).
   */
  resetAsAsked(): boolean {
    if (toolstackAfterShutdown(this.domain) !== 'soft-reset') return false;
    this.processor.flushTranslations();
    this.#serveGuest();
    this.#injectUpcalls();
    this.board.driveLines();
    return true;
  }

  /** Another kernel has taken over: its user space has not been seen. */
  forgetUserSpace(): void {
    this.#clock.userSpaceNs = null;
  }

  #vcpuState(vcpu: XenVcpuId): VcpuState {
    return present(this.domain.state.vcpus[vcpu], 'a vCPU');
  }

  /** Lets a vCPU that was just started enter the guest. */
  #enterIfStarted(vcpu: XenVcpuId): void {
    const start = takeStart(this.domain, vcpu);
    if (start === null) return;
    this.board.enter(vcpu, start);
    this.#listener.started?.(vcpu);
  }

  #takeTurn(vcpu: XenVcpuId, instructions: number): void {
    this.#enterIfStarted(vcpu);
    this.#refreshAreas(vcpu);
    let left = instructions;
    for (;;) {
      const { reason, executed } = this.#runSlice(vcpu, left);
      left -= executed;
      const goesOn = reason === 'budget' || reason === 'stopped';
      if (left > 0 && goesOn && this.#mayGoOn(vcpu)) continue;
      endTurn(this.#schedule, vcpu, this.#gaveUp(vcpu, reason));
      return;
    }
  }

  #mayGoOn(vcpu: XenVcpuId): boolean {
    return !this.#stopped && isRunnable(this.domain, vcpu);
  }

  /** Runs the vCPU until an event is due, and handles the event. */
  #runSlice(vcpu: XenVcpuId, left: number): { readonly reason: StopReason; readonly executed: number } {
    const dueNs = this.#dueNs();
    const toDue = dueNs === null ? left : Number(dueNs - this.#clock.sliceNs);
    const budget = Math.max(Math.min(left, toDue), 1);
    this.#sliceEndNs = this.#clock.sliceNs + BigInt(budget);
    const result = this.board.run(vcpu, budget);
    this.#clock.instructions += result.executed;
    this.#passTo(this.#clock.sliceNs + BigInt(result.executed));
    this.#listener.sliceEnded?.(vcpu);
    if (this.#clock.userSpaceNs === null && this.board.isUser(vcpu)) {
      this.#clock.userSpaceNs = this.#clock.sliceNs;
      this.#listener.userSpace?.();
    }
    return result;
  }

  /** Whether the vCPU ended its turn early although it is runnable. Xen lets a vCPU that waits for an interrupt block; other waits yield. */
  #gaveUp(vcpu: XenVcpuId, reason: StopReason): boolean {
    if (reason !== 'waitForInterrupt') return reason === 'waitForEvent' || reason === 'yield';
    if (!this.board.halt(vcpu)) return false;
    this.#refreshAreas(vcpu);
    return isRunnable(this.domain, vcpu);
  }

  /**
   * Updates the areas that a vCPU registered by virtual address. Xen does this when it switches to the vCPU and away
   * from it.
   */
  #refreshAreas(vcpu: XenVcpuId): void {
    refreshAreas(this.domain, vcpu, this.board.caller);
  }

  /** System time in ns of the next event; null if there is none. */
  #dueNs(): bigint | null {
    return earlier(nextDeadline(this.domain), earlier(this.board.dueNs, this.#input.dueNs));
  }

  /** Advances system time to `ns` and handles all events that are due. */
  #passTo(ns: bigint): void {
    this.#clock.sliceNs = ns;
    advanceTo(this.domain, ns);
    this.board.passTo(ns);
    this.#input.passTo(ns, (console, bytes) => this.#takeInput(console, bytes));
    this.#serveGuest();
    this.#injectUpcalls();
    this.board.driveLines();
  }

  /**
   * Serves the guest's xenstore and PV console, and takes its output to Xen's console. Does so even without a listener.
   */
  #serveGuest(): void {
    if (backendsAwaited(this.domain)) {
      const { console } = serveBackends(this.domain);
      this.#listener.pvConsole?.(console);
    }
    if (this.domain.state.xenConsole.lines.length === 0) return;
    const lines = takeXenConsole(this.domain);
    for (const line of lines) this.#listener.xenConsole?.(line);
  }

  /** All runnable vCPUs have yielded: advances time, but at most to the next event. */
  #idle(ns: number): void {
    const dueNs = this.#dueNs();
    const to = this.#clock.sliceNs + BigInt(ns);
    const cut = dueNs !== null && dueNs < to ? dueNs : to;
    // An overdue event had its chance in the last turn. Advance time in any case, so that idling makes progress.
    this.#passTo(cut > this.#clock.sliceNs ? cut : to);
  }

  /** All vCPUs wait: jumps to the next event, or to `untilNs` if that is earlier. False if there is no event. */
  #waitForEvent(untilNs: bigint): boolean {
    const dueNs = this.#dueNs();
    if (dueNs === null) return false;
    const to = dueNs < untilNs ? dueNs : untilNs;
    this.#passTo(to > this.#clock.sliceNs ? to : this.#clock.sliceNs);
    return true;
  }

  /** Passes typed bytes to a console. Returns how many it accepted. */
  #takeInput(console: GuestConsole, bytes: Uint8Array): number {
    return console === 'pvConsole' ? feedConsole(this.domain, bytes) : this.board.receive(bytes);
  }

  #injectUpcalls(): void {
    for (const { id } of this.domain.state.vcpus) {
      if (pendingUpcall(this.domain, id) === null) continue;
      acknowledgeUpcall(this.domain, id);
      this.board.deliver(id);
    }
  }

  /** Shortens the current slice if an event is due before its end. */
  #cutSlice(): void {
    const dueNs = this.#dueNs();
    if (dueNs !== null && dueNs < this.#sliceEndNs) this.board.processor.stop();
  }

  /** An interrupt ends any wait of the vCPU. */
  #interrupted(vcpu: XenVcpuId): void {
    if (this.#vcpuState(vcpu).blocked === null) return;
    advanceTo(this.domain, this.nowNs);
    wakeVcpu(this.domain, vcpu);
  }

  /** A vCPU has asked Xen for something. */
  #called(vcpu: XenVcpuId): void {
    this.#injectUpcalls();
    this.board.driveLines();
    if (isRunnable(this.domain, vcpu)) this.#cutSlice();
    else this.board.processor.stop();
  }
}
