/** In which modes of code the host's CPU can be asked. */
import { drawCases } from './x86_cases.js';
import { evaluatedCalls } from './x86_evaluator.js';
import { missingHost, runNatively } from './x86_native.js';

/** Whether the host runs 32-bit code: its Linux may offer programs no segment for it. */
function runs32(): boolean {
  const draw = { mode: 32, count: 1, seed: 1, calls: evaluatedCalls, only: /^NOP$/, excluded: /^$/ } as const;
  const [nop] = runNatively(drawCases(draw));
  return nop?.fault === null;
}

/** The modes in which it can; none where cases cannot be run at all. */
export const nativeModes: readonly (32 | 64)[] = missingHost !== null ? [] : runs32() ? [64, 32] : [64];
