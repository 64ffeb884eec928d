/** Why a vCPU may come to no end, by its registers and the code that it stands at. Nothing is executed or changed. */
import type { OpenExceptionValue, VcpuView } from '../../engine/index.js';
import {
  higherLevelInstruction,
  idleSuccessor,
  printInstruction,
  registerAccessText,
} from '../../isa/index.js';
import { instructionOf } from './code.js';
import type { ReadCode } from './code.js';

/** A call by Arm's SMC Calling Convention that Xen does not serve. */
export interface UnknownCall {
  readonly instruction: 'hvc' | 'smc';
  /** w0 of the call. */
  readonly functionId: number;
}

export interface VcpuDiagnosis {
  /**
   * The first exception that it took at EL1 since it last returned from one. `text` is the instruction as objdump writes it; null
   * where that is not known; `level` is the exception level that it needs, 1 where EL1 is enough.
   */
  readonly open:
    | (OpenExceptionValue & {
        readonly text: string | null;
        readonly level: 1 | 2 | 3;
      })
    | null;
  /** Where it faults for ever, each address once; null where that is not proved. */
  readonly faultsAt: readonly bigint[] | null;
  /** Where it is in a loop of hints and branches that no interrupt can end; null where it is in none. */
  readonly spinsAt: bigint | null;
  /** What its last call asked for, where Xen does not serve that; null where it serves it, or no call was made. */
  readonly unknownCall: UnknownCall | null;
}

/** DAIF.I and DAIF.F */
const interruptMasks = 0xc0n;
/** The most instructions of a loop that is looked at. */
const longestLoop = 8;

/** SPSR_EL1.M: AArch32, and the exception level of an AArch64 state (Arm DDI 0487, C5.2.18). */
const aarch32 = 0x10;
function levelOf(spsr: number): number {
  return (spsr & aarch32) !== 0 ? 0 : (spsr >> 2) & 3;
}

/** The exception level above 1 that a word needs as an instruction whose register or operation has a name; null for others. */
export function needsLevel(word: number): 2 | 3 | null {
  const found = higherLevelInstruction(word);
  return found?.isNamed === true ? found.level : null;
}

function textOf(view: VcpuView, word: number, pc: bigint): string {
  const found = instructionOf(view, word);
  if (found !== null) return printInstruction(found, word, pc);
  const known = higherLevelInstruction(word)?.text ?? registerAccessText(word);
  return known ?? `0x${word.toString(16).padStart(8, '0')}`;
}

function openExceptionOf(view: VcpuView): VcpuDiagnosis['open'] {
  const open = view.openException;
  if (open === null) return null;
  const { word } = open;
  const target = open.illegalSpsr === null ? 1 : levelOf(open.illegalSpsr);
  const needs = word === null ? null : (higherLevelInstruction(word)?.level ?? null);
  const level = open.illegalSpsr === null ? (needs ?? 1) : target >= 2 ? target : 1;
  return {
    ...open,
    text: word === null ? null : textOf(view, word, open.pc),
    level: level as 1 | 2 | 3,
  };
}

/** The lowest address of the loop of hints and branches that the vCPU stands in; null where it stands in none. */
function idleLoopOf(view: VcpuView, readCode: ReadCode): bigint | null {
  const seen: bigint[] = [];
  let pc: bigint | null = view.pc;
  while (pc !== null && seen.length < longestLoop) {
    const at: bigint = pc;
    const first = seen.indexOf(at);
    if (first >= 0) return seen.slice(first).reduce((lowest, each) => (each < lowest ? each : lowest));
    seen.push(at);
    const word = readCode(view, at);
    const found = word === null ? null : instructionOf(view, word);
    pc = word === null || found === null ? null : idleSuccessor(found, word, at);
  }
  return null;
}

/** See {@link VcpuDiagnosis}. */
export function diagnose(
  view: VcpuView,
  readCode: ReadCode,
  known: Pick<VcpuDiagnosis, 'faultsAt' | 'unknownCall'>,
): VcpuDiagnosis {
  const masks = view.systemRegister('DAIF');
  return {
    open: openExceptionOf(view),
    spinsAt: (masks & interruptMasks) === interruptMasks ? idleLoopOf(view, readCode) : null,
    ...known,
  };
}
