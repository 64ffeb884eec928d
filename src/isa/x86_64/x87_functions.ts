/** x87: functions of ST(0) and ST(1), conditional moves, control and environments (Intel SDM, volume 1, 8.1.10, 8.3.3 and 8.3.5 to 8.3.11). */
import { conditionHolds, conditionNames } from './flags.js';
import { memory, writtenMemory } from './memory.js';
import { fixed } from './operands.js';
import { other } from './x87.js';
import { waitForX87, x87, x87Control, x87Functions } from './x87_common.js';
import type { X87Function } from './x87_common.js';

const functions = ([
  ['f2xm1', 'F0', 'powerMinusOne'], ['fyl2x', 'F1', 'logarithm'], ['fptan', 'F2', 'tangent'], ['fpatan', 'F3', 'arctangent'],
  ['fxtract', 'F4', 'extract'], ['fprem1', 'F5', 'nearestRemainder'], ['fprem', 'F8', 'remainder'], ['fyl2xp1', 'F9', 'logarithmOfSum'],
  ['fsqrt', 'FA', 'sqrt'], ['fsincos', 'FB', 'sineAndCosine'], ['frndint', 'FC', 'round'], ['fscale', 'FD', 'scale'],
  ['fsin', 'FE', 'sine'], ['fcos', 'FF', 'cosine'],
] as const satisfies readonly (readonly [string, string, X87Function])[]).flatMap(([text, byte, name]) =>
  x87({ name: text.toUpperCase(), opcode: `D9 ${byte}`, operands: {}, text, semantics: (m) => m.system('evaluateX87', [m.constant(64, x87Functions.indexOf(name))]) }),
); // prettier-ignore

/** With the names that objdump has for the conditions; U is PF. */
const conditionalMoves = ([
  ['b', 'DA /0', 'b'], ['e', 'DA /1', 'e'], ['be', 'DA /2', 'be'], ['u', 'DA /3', 'p'],
  ['nb', 'DB /0', 'ae'], ['ne', 'DB /1', 'ne'], ['nbe', 'DB /2', 'a'], ['nu', 'DB /3', 'np'],
] as const).flatMap(([suffix, opcode, condition]) =>
  x87({
    name: `FCMOV${suffix.toUpperCase()}_st0_st`, opcode, only: 'r', operands: { s: other }, text: `fcmov${suffix} {s},%st`,
    semantics: (m, { s }) => m.system('moveX87If', [m.resize(64, conditionHolds(m, conditionNames.indexOf(condition))), s.get()]),
  }),
); // prettier-ignore

const control = [
  ...([['fninit', 'DB E3', 'initialiseX87'], ['fnclex', 'DB E2', 'clearX87Exceptions'], ['fwait', '9B', 'waitX87']] as const).map(([text, opcode, call]) =>
    x87Control({ name: text.toUpperCase(), opcode, operands: {}, text, semantics: (m) => m.system(call) }),
  ),
  x87Control({ name: 'FLDCW_m16', opcode: 'D9 /5', only: 'm', operands: { s: memory(16) }, text: 'fldcw {s}', semantics: (m, { s }) => {
    waitForX87(m);
    m.system('writeX87Control', [m.resize(64, s.get())]);
  } }),
  x87Control({ name: 'FNSTCW_m16', opcode: 'D9 /7', only: 'm', operands: { d: writtenMemory(16) }, text: 'fnstcw {d}', semantics: (m, { d }) => d.set(m.resize(32, m.ask('readX87Control', []))) }),
  x87Control({ name: 'FNSTSW_m16', opcode: 'DD /7', only: 'm', operands: { d: writtenMemory(16) }, text: 'fnstsw {d}', semantics: (m, { d }) => d.set(m.resize(32, m.ask('readX87Status', []))) }),
  x87Control({ name: 'FNSTSW_ax', opcode: 'DF E0', operands: { d: fixed('rax', 16) }, text: 'fnstsw {d}', semantics: (m, { d }) => d.set(m.resize(32, m.ask('readX87Status', []))) }),
].flat(); // prettier-ignore

/** The environment, and the registers behind it, in two sizes. What loads waits for exceptions, what stores does not. */
const environments = ([
  ['FNSTENV', 'D9 /6', 'storeX87Environment', true, 0], ['FLDENV', 'D9 /4', 'loadX87Environment', false, 0],
  ['FNSAVE', 'DD /6', 'saveX87', true, 80], ['FRSTOR', 'DD /4', 'restoreX87', false, 80],
] as const).flatMap(([name, opcode, call, isWritten, more]) =>
  x87Control({
    name, opcode, sizes: [16, 32], otherSizes: 32, only: 'm', operands: { d: isWritten ? writtenMemory(8) : memory(8) },
    text: `${name.toLowerCase()}{env} {d}`,
    semantics: (m, { d }, { bits }) => {
      if (!isWritten) waitForX87(m);
      m.system(call, [m.constant(64, bits), d.linear((bits === 16 ? 14 : 28) + more)]);
    },
  }),
); // prettier-ignore

export const x87FunctionInstructions = [...functions, ...conditionalMoves, ...control, ...environments];
