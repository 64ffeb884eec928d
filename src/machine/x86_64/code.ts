/** The instructions of a guest, as a vCPU would fetch them; nothing is executed or changed. */
import { frameBytes } from '../../base/index.js';
import type { FrameMemory } from '../../base/index.js';
import type { X86VcpuView } from '../../engine/x86_64/index.js';
import { mfnOfGfn } from '../../hypervisor/index.js';
import type { Domain } from '../../hypervisor/index.js';
import { longest, makeDecoder, printInstruction, segments, x86 } from '../../isa/x86_64/index.js';
import type { Decoded, Decoder, Mode } from '../../isa/x86_64/index.js';

let decoder: Decoder | null = null;

/** An instruction at a place in the code segment. */
export interface CodeInstruction {
  /** Its name in the definitions. */
  readonly name: string;
  /** As objdump writes it. */
  readonly text: string;
  readonly bytes: number;
  /** Where an unconditional jump leads whose distance is in the instruction; null for all others. */
  readonly target: bigint | null;
}

/** Up to 15 bytes at an offset in the code segment, as the vCPU would fetch them in the kernel; none where it could not. */
export type ReadCode = (view: X86VcpuView, pc: bigint) => Uint8Array;

export function codeReader(domain: () => Domain, frames: () => FrameMemory): ReadCode {
  const byteAt = (view: X86VcpuView, pc: bigint): number | null => {
    const base = view.codeBits === 64 ? 0n : (view.system.segments[segments.cs]?.base ?? 0n);
    const physical = view.translate(BigInt.asUintN(view.codeBits === 64 ? 64 : 32, base + pc), 'fetch');
    if (physical === null) return null;
    const mfn = mfnOfGfn(domain(), Number(physical / BigInt(frameBytes)));
    const frame = mfn === null ? undefined : frames().readable(mfn);
    return frame?.[Number(physical % BigInt(frameBytes))] ?? null;
  };
  return (view, pc) => {
    const bytes: number[] = [];
    for (let at = 0; at < longest; at += 1) {
      const byte = byteAt(view, pc + BigInt(at));
      if (byte === null) break;
      bytes.push(byte);
    }
    return Uint8Array.from(bytes);
  };
}

type DecodedInstruction = Extract<Decoded, { kind: 'instruction' }>;

/** What is decoded at an offset in the code segment, in the vCPU's present mode; null where no instruction is defined or can be read. */
export function decodedAt(view: X86VcpuView, readCode: ReadCode, pc: bigint): DecodedInstruction | null {
  decoder ??= makeDecoder(x86);
  const decoded = decoder.decode(readCode(view, pc), view.codeBits as Mode);
  return decoded.kind === 'instruction' ? decoded : null;
}

/** The same as {@link decodedAt}, in words. */
export function instructionAt(view: X86VcpuView, readCode: ReadCode, pc: bigint): CodeInstruction | null {
  const decoded = decodedAt(view, readCode, pc);
  if (decoded === null) return null;
  const { instruction, fields } = decoded;
  const isJump = /^JMP_rel8?(\.|$)/.test(instruction.name);
  const target = isJump ? (instruction.operands['to']?.print(fields, pc) ?? null) : null;
  return {
    name: instruction.name,
    text: printInstruction(instruction, fields, pc),
    bytes: fields.length,
    target: target === null ? null : BigInt(target),
  };
}
