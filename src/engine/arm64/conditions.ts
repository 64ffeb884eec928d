/** The condition codes as a table in memory: one row of 16 bits per condition, one bit per value of NZCV. */
import type { ConditionLocals } from '../architecture.js';
import { localOf } from '../flags.js';
import { i32, i64, load32, opcodes, wrap } from '../wasm/code.js';
import type { Code } from '../wasm/code.js';

/** Byte offset of the table. It lies before the first vCPU's block. */
export const conditionTable = 64;

/** For each condition, the 16 values of NZCV for which it holds, as a bit mask. */
export function conditionRows(): number[] {
  const holds = (code: number, nzcv: number): boolean => {
    const [n, z, c, v] = [8, 4, 2, 1].map((bit) => (nzcv & bit) !== 0) as [
      boolean,
      boolean,
      boolean,
      boolean,
    ];
    const base = [z, c, n, v, c && !z, n === v, n === v && !z, true][code >> 1] ?? true;
    return (code & 1) === 1 && code !== 15 ? !base : base;
  };
  return Array.from({ length: 16 }, (_, code) =>
    Array.from({ length: 16 }, (_unused, nzcv) => (holds(code, nzcv) ? 1 << nzcv : 0)).reduce(
      (a, b) => a | b,
    ),
  );
}

/** Pushes bit NZCV of a condition's row. The number of the condition is in byte `at` of the record. */
export function emitCondition(code: Code, locals: ConditionLocals, at: number): void {
  const push = (flag: 'n' | 'z' | 'v', bit: number): void => {
    code.get(localOf(locals.flags, flag));
    if (flag === 'z') code.byte(opcodes[i64].eqz);
    else code.constant(i64, 63).byte(opcodes[i64].shrUnsigned).byte(wrap);
    if (bit > 0) code.constant(i32, bit).byte(opcodes[i32].shl);
  };
  code.constant(i32, 0);
  code.get(locals.record).memory(load32.byte, 0, at).constant(i32, 1).byte(opcodes[i32].shl);
  code.byte(opcodes[i32].add).memory(load32.half, 1, conditionTable);
  push('n', 3);
  push('z', 2);
  code.byte(opcodes[i32].or);
  code.get(localOf(locals.flags, 'c')).constant(i32, 1).byte(opcodes[i32].shl).byte(opcodes[i32].or);
  push('v', 0);
  code.byte(opcodes[i32].or).byte(opcodes[i32].shrUnsigned).constant(i32, 1).byte(opcodes[i32].and);
}
