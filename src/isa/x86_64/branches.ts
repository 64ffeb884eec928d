/** Jumps, calls, returns and loops (Intel SDM, volume 1, 7.3.8). */
import type { Expr } from '../micro_ops.js';
import type { Semantics } from '../semantics.js';
import { instruction } from './encoding.js';
import type { Form, OperandSpec } from './encoding.js';
import { conditionHolds, conditionNames } from './flags.js';
import { counter, farPointer, imm, nextInstruction, relative, rm, memory } from './operands.js';
import type { Memory, Target, Value } from './operands.js';
import { stack, stackBits, withoutSuffix } from './stack.js';
import type { Stack } from './stack.js';

const near = { addresses: true, default64: true, sizes: [16, 32, 64] } as const;

const nearJump = (_: Semantics, { to }: { to: Target }): void => to.jump();

/** Conditional jumps, with offsets of 8 bits and of the operand size. */
const conditional = conditionNames.flatMap((condition, number) => {
  const digit = number.toString(16).toUpperCase();
  const name = `J${condition.toUpperCase()}`;
  const semantics = (m: Semantics, { to }: { to: Target }): void =>
    m.when(conditionHolds(m, number), () => to.jump());
  const common = { ...near, operands: { to: relative }, text: `j${condition} {to}`, semantics };
  return [
    ...instruction({ ...common, name: `${name}_rel8`, opcode: `7${digit} cb` }),
    ...instruction({ ...common, name: `${name}_rel`, opcode: `0F 8${digit} cz` }),
  ];
});

/**
 * Raises #GP for a target that is not canonical, before anything has changed. Only an operand size of 64 bits has such ones. `before`
 * does what has to fault first.
 */
function requireCanonical(
  m: Semantics,
  target: Expr,
  form: Form,
  before: () => void = () => undefined,
): void {
  if (stackBits(form) !== 64) return;
  const top = m.add(m.shiftBy('shrSigned', target, 47), m.constant(64, 1));
  m.when(m.less(false, m.constant(64, 1), top), () => {
    before();
    m.system('noncanonicalTarget');
  });
}

/** Jumps to an address in a register or memory, of the operand size. */
function jumpTo(m: Semantics, s: Value, form: Form): void {
  const target = m.let(m.resize(64, s.get()));
  requireCanonical(m, target, form);
  m.jump(target);
}

function call(m: Semantics, next: Value, sp: Stack, form: Form, jump: () => void): void {
  const bits = stackBits(form);
  sp.move(sp.store(bits, bits === 64 ? next.get() : m.resize(32, next.get())));
  jump();
}

const indirect = <R>(spec: OperandSpec<R>): OperandSpec<R> => withoutSuffix(spec);

const nearBranches = [
  instruction({ ...near, name: 'JMP_rel8', opcode: 'EB cb', operands: { to: relative }, text: 'jmp {to}', semantics: nearJump }),
  instruction({ ...near, name: 'JMP_rel', opcode: 'E9 cz', operands: { to: relative }, text: 'jmp{q} {to}', semantics: nearJump }),
  instruction({ ...near, name: 'JMP_r', opcode: 'FF /4', only: 'r', operands: { s: rm() }, text: 'jmp *{s}', semantics: (m, { s }, form) => jumpTo(m, s, form) }),
  instruction({ ...near, name: 'JMP_m', opcode: 'FF /4', only: 'm', operands: { s: indirect(rm()) }, text: 'jmp{q} *{s}', semantics: (m, { s }, form) => jumpTo(m, s, form) }),
  instruction({
    ...near, name: 'CALL_rel', opcode: 'E8 cz', operands: { to: relative, next: nextInstruction, sp: stack }, text: 'call{q} {to}',
    semantics: (m, { to, next, sp }, form) => call(m, next, sp, form, () => to.jump()),
  }),
  ...(['r', 'm'] as const).map((only) =>
    instruction({
      ...near, name: `CALL_${only}`, opcode: 'FF /2', only, operands: { s: indirect(rm()), next: nextInstruction, sp: stack },
      text: only === 'r' ? 'call *{s}' : 'call{q} *{s}',
      semantics: (m, { s, next, sp }, form) => {
        const target = m.let(m.resize(64, s.get()));
        requireCanonical(m, target, form, () => sp.probe(64, sp.plus(sp.pointer(), -8)));
        call(m, next, sp, form, () => m.jump(target));
      },
    }),
  ),
  instruction({ ...near, name: 'RET', opcode: 'C3', operands: { sp: stack }, text: 'ret{q}', semantics: (m, { sp }, form) => nearReturn(m, sp, form, null) }),
  instruction({ ...near, name: 'RET_imm16', opcode: 'C2 iw', operands: { more: imm(16), sp: stack }, text: 'ret{q} {more}', semantics: (m, { more, sp }, form) => nearReturn(m, sp, form, more) }),
].flat(); // prettier-ignore

function nearReturn(m: Semantics, sp: Stack, form: Form, more: Value | null): void {
  const bits = stackBits(form);
  const target = m.let(m.resize(64, sp.load(bits)));
  requireCanonical(m, target, form);
  const behind = sp.plus(sp.pointer(), bits / 8);
  sp.move(more === null ? behind : sp.plus(behind, m.resize(64, more.get())));
  m.jump(target);
}

/** Loops and JRCXZ: their counter has the address size. */
const loops = [
  ['loopne', 'E0', (m: Semantics): Expr => m.negate(m.flag('z'))],
  ['loope', 'E1', (m: Semantics): Expr => m.flag('z')],
  ['loop', 'E2', null],
] as const;

const loopRows = loops.flatMap(([mnemonic, opcode, alsoHolds]) =>
  instruction({
    ...near, name: mnemonic.toUpperCase(), opcode: `${opcode} cb`, operands: { to: relative, count: counter },
    text: `${mnemonic}{counter} {to}`,
    semantics: (m, { to, count }) => {
      count.set(m.sub(count.get(), m.constant(64, 1)));
      const isMore = m.let(m.notEqual(count.get(), m.constant(64, 0)));
      m.when(alsoHolds === null ? isMore : m.and(isMore, alsoHolds(m)), () => to.jump());
    },
  }),
); // prettier-ignore

const countZero = instruction({
  ...near, name: 'JRCXZ', opcode: 'E3 cb', operands: { to: relative, count: counter }, text: 'j{rcx}z {to}',
  semantics: (m, { to, count }) => m.when(m.isZero(count.get()), () => to.jump()),
}); // prettier-ignore

const far = { addresses: true, sizes: [16, 32, 64], cold: true } as const;

/** A far pointer in memory: the offset, and behind it the selector. */
function farIn(m: Semantics, s: Memory, form: Form, transfer: 'farCall' | 'farJump'): void {
  const bits = stackBits(form);
  const at = s.linear(bits / 8 + 2);
  const offset = m.load((bits / 8) as 2 | 4 | 8, at);
  const selector = m.load(2, m.add(at, m.constant(64, bits / 8)));
  m.system(transfer, [m.or(selector, m.constant(64, bits * 0x10000)), offset]);
}

const farBranches = [
  ...(['call', 'jmp'] as const).flatMap((mnemonic, index) => {
    const [name, transfer] = [`L${mnemonic.toUpperCase()}`, index === 0 ? 'farCall' : 'farJump'] as const;
    return [
      ...instruction({
        ...far, name: `${name}_ptr`, opcode: index === 0 ? '9A ip' : 'EA ip', sizes: [16, 32], modes: [16, 32],
        operands: { to: farPointer }, text: `l${mnemonic}{q} {to}`,
        semantics: (m, { to }, form) =>
          m.system(transfer, [m.or(to.selector.get(), m.constant(64, form.bits * 0x10000)), to.offset.get()]),
      }),
      ...instruction({
        ...far, name: `${name}_m`, opcode: `FF /${3 + 2 * index}`, only: 'm', operands: { s: memory() }, text: `l${mnemonic}{far} *{s}`,
        semantics: (m, { s }, form) => farIn(m, s, form, transfer),
      }),
    ];
  }),
  ...instruction({ ...far, name: 'LRET', opcode: 'CB', operands: {}, text: 'lret{q}', semantics: (m, _, form) => m.system('farReturn', [m.constant(64, form.bits), m.constant(64, 0)]) }),
  ...instruction({ ...far, name: 'LRET_imm16', opcode: 'CA iw', operands: { more: imm(16) }, text: 'lret{q} {more}', semantics: (m, { more }, form) => m.system('farReturn', [m.constant(64, form.bits), m.resize(64, more.get())]) }),
  ...instruction({ ...far, name: 'IRET', opcode: 'CF', operands: {}, text: 'iret{q}', semantics: (m, _, form) => m.system('interruptReturn', [m.constant(64, form.bits)]) }),
]; // prettier-ignore

export const branchInstructions = [
  ...conditional,
  ...nearBranches,
  ...loopRows,
  ...countZero,
  ...farBranches,
];
