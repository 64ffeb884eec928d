/** The conditions of Jcc, SETcc and CMOVcc by number (Intel SDM, volume 1, appendix B). */
import * as x86_64 from '../../isa/x86_64/index.js';
import type { ConditionLocals } from '../architecture.js';
import { emitFlag } from '../flags.js';
import { i32, load32, opcodes } from '../wasm/code.js';
import type { Code } from '../wasm/code.js';

const { x86Flags } = x86_64;

/** By number without its lowest bit, which inverts the condition: flags of which one is set, or whose sum is odd. */
const truths: readonly { readonly flags: readonly (keyof typeof x86Flags)[]; readonly differ: boolean }[] = [
  { flags: ['o'], differ: false },
  { flags: ['c'], differ: false },
  { flags: ['z'], differ: false },
  { flags: ['c', 'z'], differ: false },
  { flags: ['s'], differ: false },
  { flags: ['p'], differ: false },
  { flags: ['s', 'o'], differ: true },
  { flags: ['s', 'o', 'z'], differ: true },
];

/** Pushes whether the condition holds whose number is in byte `at` of the record. */
export function emitCondition(code: Code, { record, flags }: ConditionLocals, at: number): void {
  const pushNumber = (): void => {
    code.get(record).memory(load32.byte, 0, at);
  };
  code.constant(i32, 0);
  for (const [index, { flags: names, differ }] of truths.entries()) {
    const [first = 'o', second, third] = names;
    emitFlag(code, x86Flags, flags, first);
    if (second !== undefined) {
      emitFlag(code, x86Flags, flags, second);
      code.byte(opcodes[i32][differ ? 'xor' : 'or']);
    }
    if (third !== undefined) {
      emitFlag(code, x86Flags, flags, third);
      code.byte(opcodes[i32].or);
    }
    pushNumber();
    code.constant(i32, 1).byte(opcodes[i32].shrUnsigned).constant(i32, index).byte(opcodes[i32].eq);
    code.byte(opcodes[i32].and).byte(opcodes[i32].or);
  }
  pushNumber();
  code.constant(i32, 1).byte(opcodes[i32].and).byte(opcodes[i32].xor);
}
