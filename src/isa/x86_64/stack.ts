/**
 * The stack (Intel SDM, volume 1, 6.2): PUSH, POP, ENTER, LEAVE, and what calls and returns share. In 64-bit code the stack
 * pointer is RSP and SS has no base; in other code its size is SS.B's, and the host adds SS's base and checks its limit.
 */
import type { Expr } from '../micro_ops.js';
import type { Semantics } from '../semantics.js';
import { instruction } from './encoding.js';
import type { Form, OperandSpec } from './encoding.js';
import { flagBits, setFlagBits } from './flags.js';
import {
  asBytes,
  beforeWrite,
  noForm,
  fixed,
  imm,
  opcodeReg,
  poppedMemory,
  rm,
  secondImm,
  writtenRm,
  widthOf,
} from './operands.js';
import type { Bits, Place, Value } from './operands.js';
import { segments, x86State } from './registers.js';

/** The stack pointer. */
export interface Stack {
  /** Writes the stack pointer's part of RSP. */
  move(pointer: Expr): void;
  /** The stack pointer now. */
  pointer(): Expr;
  /** Stores `value` below the stack pointer and returns the new stack pointer, to be written when nothing can fault. */
  store(bits: Bits, value: Expr): Expr;
  /** Loads from `offset` bytes above the stack pointer. */
  load(bits: Bits, offset?: number): Expr;
  /** Faults as a store to `pointer` would. */
  probe(bits: Bits, pointer: Expr): void;
  /** `pointer` plus a number, within the size of the stack pointer. */
  plus(pointer: Expr, by: Expr | number): Expr;
}

/** RSP as a stack. */
export const stack: OperandSpec<Stack> = {
  operands: (key) => fixed('rsp', 64).operands(key, noForm),
  reference: (m, key, form) => {
    const whole = { operand: key, width: 64 } as const;
    const mask = (): Expr => m.state(x86State.stackMask);
    const wrap = (value: Expr): Expr => (form.flat ? value : m.and(value, mask()));
    const pointer = (): Expr => m.let(wrap(m.read(whole)));
    const linear = (address: Expr, bytes: number, isWritten: boolean): Expr => {
      if (form.flat) return address;
      return m.ask('linearAddress', [
        m.constant(64, segments.ss + (isWritten ? 8 : 0) + 16 * bytes),
        address,
      ]);
    };
    const plus = (from: Expr, by: Expr | number): Expr =>
      m.let(wrap(m.add(from, typeof by === 'number' ? m.constant(64, by) : by)));
    return {
      pointer,
      plus,
      move: (to) => m.write(whole, form.flat ? to : m.or(m.and(m.read(whole), m.not(mask())), to)),
      store: (bits, value) => {
        const below = plus(pointer(), -bits / 8);
        m.store(asBytes(bits), linear(below, bits / 8, true), value);
        return below;
      },
      probe: (bits, at) => {
        m.load(asBytes(bits), linear(at, bits / 8, true), beforeWrite);
      },
      load: (bits, offset = 0) => {
        const at = offset === 0 ? pointer() : plus(pointer(), offset);
        return m.let(m.resize(widthOf(bits), m.load(asBytes(bits), linear(at, bits / 8, false))));
      },
    };
  },
};

/** The operand size of a stack operation. */
export const stackBits = ({ bits }: Form): Bits => (bits === 0 ? 64 : bits);

function push(_: Semantics, { s, sp }: { s: Value; sp: Stack }, form: Form): void {
  sp.move(sp.store(stackBits(form), s.get()));
}

function pop(_: Semantics, { d, sp }: { d: Place; sp: Stack }, form: Form): void {
  const bits = stackBits(form);
  const value = sp.load(bits);
  // POP of RSP itself keeps what was loaded.
  sp.move(sp.plus(sp.pointer(), bits / 8));
  d.set(value);
}

const arithmeticFlags = ['c', 'p', 'a', 'z', 's', 'o'] as const;

const common = { addresses: true, default64: true, sizes: [16, 32, 64] } as const;

const general = [
  instruction({ ...common, name: 'PUSH_r', opcode: '50+r', operands: { s: opcodeReg(), sp: stack }, text: 'push {s}', semantics: push }),
  instruction({ ...common, name: 'POP_r', opcode: '58+r', operands: { d: opcodeReg(), sp: stack }, text: 'pop {d}', semantics: pop }),
  instruction({ ...common, name: 'PUSH_rm_r', opcode: 'FF /6', only: 'r', operands: { s: rm(), sp: stack }, text: 'push {s}', semantics: push }),
  instruction({ ...common, name: 'PUSH_rm_m', opcode: 'FF /6', only: 'm', operands: { s: withoutSuffix(rm()), sp: stack }, text: 'push{q} {s}', semantics: push }),
  instruction({ ...common, name: 'PUSH_imm8', opcode: '6A ib', operands: { s: imm(), sp: stack }, text: 'push{q} {s}', semantics: push }),
  instruction({ ...common, name: 'PUSH_imm', opcode: '68 iz', operands: { s: imm(), sp: stack }, text: 'push{q} {s}', semantics: push }),
  instruction({ ...common, name: 'POP_rm_r', opcode: '8F /0', only: 'r', operands: { d: writtenRm(), sp: stack }, text: 'pop {d}', semantics: pop }),
  instruction({
    ...common, name: 'POP_rm_m', opcode: '8F /0', only: 'm', cold: true, operands: { d: poppedMemory, sp: stack }, text: 'pop{q} {d}',
    semantics: (_, { d, sp }, form) => {
      const bits = stackBits(form);
      d.set(sp.load(bits));
      sp.move(sp.plus(sp.pointer(), bits / 8));
    },
  }),
].flat(); // prettier-ignore

/** The operand without the suffix of its size, which `{q}` shows. */
export function withoutSuffix<R>(spec: OperandSpec<R>): OperandSpec<R> {
  return { operands: spec.operands.bind(spec), reference: spec.reference.bind(spec) };
}

/** Pushes and pops of segment registers. Those without ModRM name their register by the opcode. */
const segmentRows = ([
  ['es', '06', '07', [16, 32]], ['cs', '0E', null, [16, 32]], ['ss', '16', '17', [16, 32]], ['ds', '1E', '1F', [16, 32]],
  ['fs', '0F A0', '0F A1', [16, 32, 64]], ['gs', '0F A8', '0F A9', [16, 32, 64]],
] as const).flatMap(([name, pushed, popped, modes]) => {
  const number = segments[name];
  return [
    ...instruction({
      ...common, name: `PUSH_${name}`, opcode: pushed, modes, cold: true, operands: { sp: stack }, text: `push{q} %${name}`,
      semantics: (m, { sp }, form) => {
        const selector = m.state(x86State.selectors + number);
        sp.move(sp.store(stackBits(form), m.resize(widthOf(stackBits(form)), selector)));
      },
    }),
    ...(popped === null ? [] : instruction({
      ...common, name: `POP_${name}`, opcode: popped, modes, cold: true, operands: { sp: stack }, text: `pop{q} %${name}`,
      semantics: (m, { sp }, form) => {
        const bits = stackBits(form);
        const selector = m.and(m.resize(64, sp.load(bits)), m.constant(64, 0xffff));
        m.system('loadSegment', [m.constant(64, number), m.let(selector)]);
        sp.move(sp.plus(sp.pointer(), bits / 8));
      },
    })),
  ];
}); // prettier-ignore

const frames = [
  instruction({
    ...common, name: 'LEAVE', opcode: 'C9', operands: { bp: fixed('rbp'), sp: stack, frame: fixed('rbp', 64) }, text: 'leave{q}',
    semantics: (m, { bp, sp, frame }, form) => {
      const bits = stackBits(form);
      const pointer = form.flat ? frame.get() : m.let(m.and(frame.get(), m.state(x86State.stackMask)));
      const address = form.flat ? pointer : m.ask('linearAddress', [m.constant(64, segments.ss + 2 * bits), pointer]);
      const value = m.let(m.resize(widthOf(bits), m.load(asBytes(bits), address)));
      sp.move(sp.plus(pointer, bits / 8));
      bp.set(value);
    },
  }),
  // With a nesting level other than 0 the host does it all.
  instruction({
    ...common, name: 'ENTER', opcode: 'C8 iw ib', cold: true,
    operands: { size: imm(16), level: secondImm(8), bp: fixed('rbp'), sp: stack }, text: 'enter{q} {size},{level}',
    semantics: (m, { size, level, bp, sp }, form) => {
      const bits = stackBits(form);
      m.when(
        m.isZero(m.and(level.get(), m.constant(32, 31))),
        () => {
          const frame = sp.store(bits, bp.get());
          const end = sp.plus(frame, m.sub(m.constant(64, 0), m.resize(64, size.get())));
          sp.probe(bits, end);
          bp.set(m.resize(widthOf(bits), frame));
          sp.move(end);
        },
        () => m.system('enterNested', [m.resize(64, level.get()), m.or(m.resize(64, size.get()), m.constant(64, bits * 0x10000))]),
      );
    },
  }),
  instruction({ ...common, name: 'PUSHA', opcode: '60', modes: [16, 32], cold: true, operands: {}, text: 'pusha{q}', semantics: (m, _, form) => m.system('pushAll', [m.constant(64, form.bits)]) }),
  instruction({ ...common, name: 'POPA', opcode: '61', modes: [16, 32], cold: true, operands: {}, text: 'popa{q}', semantics: (m, _, form) => m.system('popAll', [m.constant(64, form.bits)]) }),
  instruction({
    ...common, name: 'PUSHF', opcode: '9C', operands: { sp: stack }, text: 'pushf{q}',
    semantics: (m, { sp }, form) => {
      const bits = stackBits(form);
      // Bit 1 is always set.
      const flags = m.or(m.or(m.state(x86State.flags), m.constant(64, 2)), m.resize(64, flagBits(m, arithmeticFlags)));
      sp.move(sp.store(bits, m.resize(widthOf(bits), flags)));
    },
  }),
  instruction({
    ...common, name: 'POPF', opcode: '9D', cold: true, operands: { sp: stack }, text: 'popf{q}',
    semantics: (m, { sp }, form) => {
      const bits = stackBits(form);
      const flags = sp.load(bits);
      const after = sp.plus(sp.pointer(), bits / 8);
      // The host refuses in virtual-8086 mode, before anything has changed.
      m.system('writeFlags', [m.constant(64, bits), m.resize(64, flags)]);
      sp.move(after);
      setFlagBits(m, arithmeticFlags, flags);
    },
  }),
].flat(); // prettier-ignore

export const stackInstructions = [...general, ...segmentRows, ...frames];
