/** In which modes of code the host's CPU can be asked. */
import { drawCases } from './x86_cases.js';
import { evaluatedCalls } from './x86_evaluator.js';
import { vectors } from './x86_layout.js';
import { missingHost, runNatively } from './x86_native.js';

/** The error code of a return to Linux's segment for 32-bit code where that is not there: its selector without the privilege. */
const missingSegment = 0x20;

/** Whether the host runs 32-bit code: its Linux may offer programs no segment for it. Throws if that cannot be told. */
function runs32(): boolean {
  const draw = { mode: 32, count: 1, seed: 1, calls: evaluatedCalls, only: /^NOP$/, excluded: /^$/ } as const;
  const [nop] = runNatively(drawCases(draw));
  if (nop === undefined) throw new Error('no NOP of 32-bit code was drawn');
  const { fault } = nop;
  if (fault === null) return true;
  if (fault.vector === vectors.protection && fault.errorCode === missingSegment) return false;
  throw new Error(`a NOP of 32-bit code raises vector ${fault.vector}, error code ${fault.errorCode}`);
}

/** The modes in which it can; none where cases cannot be run at all. */
export const nativeModes: readonly (32 | 64)[] = missingHost !== null ? [] : runs32() ? [64, 32] : [64];
