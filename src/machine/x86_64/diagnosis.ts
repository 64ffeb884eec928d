/** Why a vCPU may come to no end, by its registers and the code that it stands at. Nothing is executed or changed. */
import type { OpenException, X86VcpuView } from '../../engine/x86_64/index.js';
import { instructionAt } from './code.js';
import type { ReadCode } from './code.js';

export interface X86VcpuDiagnosis {
  /**
   * The first exception that it took in the kernel since it last returned from an interrupt or exception, with the instruction that
   * raised it as objdump writes it; `text` is null where no instruction is defined or can be read. Null if there is none.
   */
  readonly open: (OpenException & { readonly text: string | null }) | null;
  /** Where it faults for ever, each address once; null where that is not proved. */
  readonly faultsAt: readonly bigint[] | null;
  /** Where it is in a loop of jumps that no interrupt can end but an NMI; null where it is in none. */
  readonly spinsAt: bigint | null;
}

/** The most instructions of a loop that is looked at. */
const longestLoop = 8;
/** Instructions that change nothing. */
const idle = /^(NOP|PAUSE)/;

/** The lowest address of the loop of idle instructions and jumps that the vCPU stands in; null where it stands in none. */
function idleLoopOf(view: X86VcpuView, readCode: ReadCode): bigint | null {
  const seen: bigint[] = [];
  let pc: bigint | null = view.pc;
  while (pc !== null && seen.length < longestLoop) {
    const at: bigint = pc;
    const first = seen.indexOf(at);
    if (first >= 0) return seen.slice(first).reduce((lowest, each) => (each < lowest ? each : lowest));
    seen.push(at);
    const found = instructionAt(view, readCode, at);
    const isIdle = found !== null && idle.test(found.name);
    pc = isIdle ? at + BigInt(found.bytes) : (found?.target ?? null);
  }
  return null;
}

/** See {@link X86VcpuDiagnosis}. */
export function diagnose(
  view: X86VcpuView,
  readCode: ReadCode,
  faultsAt: readonly bigint[] | null,
): X86VcpuDiagnosis {
  const open = view.openException;
  const text = open === null ? null : (instructionAt(view, readCode, open.pc)?.text ?? null);
  return {
    open: open === null ? null : { ...open, text },
    faultsAt,
    spinsAt: view.interruptsEnabled ? null : idleLoopOf(view, readCode),
  };
}
