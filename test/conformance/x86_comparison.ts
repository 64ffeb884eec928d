/** Compares the engine with a reference on random instructions: the host's own CPU, or else the instructions' definitions. */
import * as x86_64 from '../../src/isa/x86_64/index.js';
import { drawCases } from './x86_cases.js';
import { describeCase, differences } from './x86_compare.js';
import { runByDefinition } from './x86_definitions.js';
import { EngineMachine } from './x86_engine.js';
import { evaluatedCalls } from './x86_evaluator.js';
import type { Case, Outcome } from './x86_layout.js';
import { runNatively } from './x86_native.js';
import { nativeModes } from './x86_native_modes.js';

/** System calls that only the engine carries out, which user code may make: most of them raise an exception. */
const engineCalls: readonly string[] = [
  'undefined',
  'breakpoint',
  'debugTrap',
  'overflowTrap',
  'interrupt',
  'boundRange',
  'halt',
  'requireKernel',
  'requirePort',
  'in',
  'out',
  'readControl',
  'writeControl',
  'readDebug',
  'writeDebug',
  'readModelSpecific',
  'writeModelSpecific',
  'readPerformanceCounter',
  'invalidatePage',
  'invalidateCaches',
  'clearTaskSwitched',
  'loadMachineStatus',
  'loadGlobalTable',
  'loadInterruptTable',
  'loadLocalTable',
  'loadTask',
  'swapGs',
  'openUserPages',
  'closeUserPages',
  'writeExtendedControl',
  'sysret',
  'clearInterrupt',
  'setInterrupt',
  'enterNested',
  'pushAll',
  'popAll',
  ...x86_64.x86SystemCalls.filter((name) => name.includes('X87')),
  'readMmx',
  'writeMmx',
  'enterMmx',
  'leaveMmx',
  'firstString',
  'secondString',
  'compareStrings',
  'approximateReciprocal',
  'approximateInverseRoot',
  'readMxcsr',
  'writeMxcsr',
];

/** INT 80 is Linux's own; moves to segments change the host's; KVM reports INT1 as a fault. */
const excluded = /^(INT1|MOV_sreg|MOV_r_sreg|MOV_m16_sreg|POP_[c-gs]s|L[DEFGS]S_r_m)/;
/** The definitions know no selectors. */
const withSelectors = /^PUSH_[c-gs]s/;
const isSystemCall = ({ bytes, instruction }: Case): boolean =>
  instruction.name === 'INT_imm8' && bytes.at(-1) === 0x80;

export interface Comparison {
  readonly cases: number;
  /** The names of their forms. */
  readonly forms: ReadonlySet<string>;
  readonly reference: string;
  /** Each case that differs, on a line. */
  readonly differ: readonly string[];
}

/** The outcomes of the reference. */
function referenceOutcomes(cases: readonly Case[], isNative: boolean): readonly Outcome[] {
  return isNative ? runNatively(cases) : cases.map(runByDefinition);
}

export function compareEngine({
  mode,
  count,
  seed,
  only,
}: {
  readonly mode: 32 | 64;
  readonly count: number;
  readonly seed: number;
  readonly only: RegExp;
}): Comparison {
  const isNative = nativeModes.includes(mode);
  const calls = [...evaluatedCalls, ...(isNative ? engineCalls : [])];
  const cases = drawCases({ mode, count, seed, calls, only, excluded }).filter(
    (each) => !isSystemCall(each) && (isNative || !withSelectors.test(each.instruction.name)),
  );
  const expected = referenceOutcomes(cases, isNative);
  const engine = new EngineMachine();
  const differ = cases.flatMap((each, index) => {
    const lines = engine.run(each).map((outcome, pass) => {
      const found = differences(each, outcome, expected[index]!, { isExact: isNative, isNative });
      return found.length === 0 ? [] : [`${pass === 0 ? 'missed' : 'found'}: ${describeCase(each, found)}`];
    });
    return lines.flat();
  });
  return {
    cases: cases.length,
    forms: new Set(cases.map(({ instruction }) => instruction.name)),
    reference: isNative ? "the host's CPU" : 'the definitions',
    differ,
  };
}
