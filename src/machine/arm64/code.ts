/** The instructions of a guest, as a vCPU would fetch them; nothing is executed or changed. */
import { frameBytes } from '../../base/index.js';
import type { FrameMemory } from '../../base/index.js';
import type { VcpuView } from '../../engine/index.js';
import { mfnOfGfn } from '../../hypervisor/index.js';
import type { Domain } from '../../hypervisor/index.js';
import { a64Decoder } from '../../isa/index.js';
import type { A64Instruction } from '../../isa/index.js';

/** The instruction that `word` is in the vCPU's present mode; null where it is unallocated there. */
export function instructionOf(view: VcpuView, word: number): A64Instruction | null {
  return a64Decoder().decode(word, view.mode);
}

/** Reads the word at an address as the vCPU would fetch it at its present level; null where it could not. */
export type ReadCode = (view: VcpuView, address: bigint) => number | null;

export function codeReader(domain: () => Domain, frames: () => FrameMemory): ReadCode {
  return (view, address) => {
    if ((address & 3n) !== 0n) return null;
    const physical = view.translate(address, 'fetch', view.mode === 'EL0t' ? 0 : 1);
    const mfn = physical === null ? null : mfnOfGfn(domain(), Math.floor(Number(physical) / frameBytes));
    const frame = mfn === null ? undefined : frames().readable(mfn);
    if (physical === null || frame === undefined) return null;
    const offset = Number(physical & BigInt(frameBytes - 1));
    return new DataView(frame.buffer, frame.byteOffset).getUint32(offset, true);
  };
}
