/**
 * A machine as a value: everything that its run depends on from now on, between two turns. A machine that is restored from it
 * goes on as the saved one does, bit for bit. Listeners are not part of it.
 */
import { cloneValue, hashText, hashValue, present, valueToJson } from '../base/index.js';
import type { DomainState } from '../hypervisor/index.js';
import type { BoardProcessor, MachineOptions } from './board.js';
import type { ConsoleInputState } from './console_input.js';
import type { EngineFrames } from './frames.js';
import type { Schedule } from './scheduler.js';

/** The clock of a machine, and how far its guest has come. */
export interface MachineClock {
  /** System time in ns at the start of the current slice; between turns: now. */
  sliceNs: bigint;
  /** Number of instructions executed so far by all vCPUs. */
  instructions: number;
  /** System time in ns at which a vCPU was first seen in user mode at the end of a slice; null if none was. */
  userSpaceNs: bigint | null;
}

/** A plain value (base/value.ts). */
export interface MachineState {
  readonly options: MachineOptions;
  readonly clock: MachineClock;
  readonly schedule: Schedule;
  readonly input: ConsoleInputState;
  readonly domain: DomainState;
  /** CPUs, interrupt controller and devices, as the architecture's board saves them. */
  readonly board: object;
}

/** A machine frame, by number, with its 4096 bytes, which may be read only when they are asked for. */
export interface SavedFrame {
  readonly number: number;
  readonly bytes: Uint8Array;
  /** Its first 32 bits, unsigned, if they are known without the rest. */
  readonly start?: number;
  /** A number that is larger for frames that were used later. It decides nothing but where the frame lies in a file. */
  readonly lastUse?: number;
}

export interface SavedMachine {
  readonly state: MachineState;
  /** In ascending order of their numbers, each once. Frames that are missing are all zero. */
  readonly frames: readonly SavedFrame[];
}

function isZero(bytes: Uint8Array): boolean {
  const words = new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
  for (const word of words) if (word !== 0) return false;
  return true;
}

/** Copies of all frames that are not all zero. `processor`: whose memory has the frames. */
export function saveFrames(frames: EngineFrames, processor: BoardProcessor): SavedFrame[] {
  const saved: SavedFrame[] = [];
  for (const number of frames.numbers()) {
    const offset = present(frames.offsetOf(number), 'a frame');
    // Reading others would make the host allocate them.
    if (!processor.wasWritten(offset)) continue;
    const bytes = processor.peek(offset);
    if (!isZero(bytes)) saved.push({ number, bytes: bytes.slice(), lastUse: processor.lastUse(offset) });
  }
  return saved.sort((a, b) => a.number - b.number);
}

/** Saved frames by their byte offsets in the engine's memory. */
export function placedFrames(
  frames: EngineFrames,
  saved: readonly SavedFrame[],
): (readonly [offset: number, frame: SavedFrame])[] {
  return saved.map((frame) => {
    const offset = present(frames.offsetOf(frame.number), `frame ${frame.number} of the saved machine`);
    return [offset, frame];
  });
}

/** A copy that shares nothing with the original that either may change. Frames are never changed, so they are shared. */
export function cloneSaved({ state, frames }: SavedMachine): SavedMachine {
  return { state: cloneValue(state), frames: [...frames] };
}

function frameList({ frames }: SavedMachine): string {
  return frames.map(({ number, bytes }) => `${number} ${hashValue(bytes)}`).join('\n');
}

/** SHA-256 over the state and all frames, as 64 hex digits: the same for equal machines only. */
export function hashSaved(saved: SavedMachine): string {
  return hashText(`${valueToJson(saved.state)}\n${frameList(saved)}`);
}

/** Whether two machines are the same in state and in every byte of memory. */
export function equalSaved(a: SavedMachine, b: SavedMachine): boolean {
  if (a.frames.length !== b.frames.length) return false;
  if (valueToJson(a.state) !== valueToJson(b.state)) return false;
  return a.frames.every(({ number, bytes }, index) => {
    const other = b.frames[index];
    return other?.number === number && bytes.every((byte, at) => byte === other.bytes[at]);
  });
}
