/**
 * Strings (Intel SDM, volume 1, 7.3.9): MOVS, CMPS, STOS, LODS, SCAS, INS, OUTS. With a repeat prefix an instruction does one
 * iteration and, unless it was the last, jumps to itself. So it can be interrupted and restarted between any two iterations,
 * and each end of an iteration is a scheduling point.
 */
import type { Expr } from '../micro_ops.js';
import type { Semantics } from '../semantics.js';
import { instruction } from './encoding.js';
import type { Form, OperandSpec } from './encoding.js';
import { subtract } from './flags.js';
import { counter, fixed, stringAt, widthOf } from './operands.js';
import type { Bits, ImpliedMemory, Place } from './operands.js';
import { systemFlags, x86State } from './registers.js';

/** The operands of a string instruction. Each uses some of them. */
interface Operands {
  /** Memory at RSI and at RDI. */
  readonly s: ImpliedMemory;
  readonly d: ImpliedMemory;
  /** The accumulator. */
  readonly a: Place;
  readonly count: Place;
}

interface StringInstruction {
  readonly mnemonic: string;
  /** The opcode of the byte form; the next is that of the operand size. */
  readonly opcode: number;
  readonly repeats: 'rep' | 'repz';
  readonly text: string;
  readonly uses: readonly ('s' | 'd' | 'a')[];
  readonly writes?: boolean;
  /** One iteration. It changes registers only after all that may fault. */
  readonly iterate: (m: Semantics, bits: Bits, operands: Operands, step: Expr) => void;
}

/** Compares, and moves on before the flags are set. */
function compare(m: Semantics, bits: Bits, a: Expr, b: Expr, moveOn: () => void): void {
  const { setFlags } = subtract(m, bits, a, b);
  moveOn();
  setFlags();
}

/** `{a}` prints the accumulator; `{n}` is the suffix of the size where no register shows it. */
const strings: readonly StringInstruction[] = [
  {
    mnemonic: 'movs', opcode: 0xa4, repeats: 'rep', text: 'movs{n} {s},{d}', uses: ['s', 'd'], writes: true,
    iterate: (_, _bits, { s, d }, step) => {
      d.set(s.get());
      s.advance(step);
      d.advance(step);
    },
  },
  {
    mnemonic: 'cmps', opcode: 0xa6, repeats: 'repz', text: 'cmps{n} {d},{s}', uses: ['s', 'd'],
    iterate: (m, bits, { s, d }, step) => {
      // Where both fault, AMD's processors tell of the second.
      const b = d.get();
      const a = s.get();
      compare(m, bits, a, b, () => {
        s.advance(step);
        d.advance(step);
      });
    },
  },
  {
    mnemonic: 'stos', opcode: 0xaa, repeats: 'rep', text: 'stos {a},{d}', uses: ['d', 'a'], writes: true,
    iterate: (_, _bits, { d, a }, step) => {
      d.set(a.get());
      d.advance(step);
    },
  },
  {
    mnemonic: 'lods', opcode: 0xac, repeats: 'rep', text: 'lods {s},{a}', uses: ['s', 'a'],
    iterate: (_, _bits, { s, a }, step) => {
      a.set(s.get());
      s.advance(step);
    },
  },
  {
    mnemonic: 'scas', opcode: 0xae, repeats: 'repz', text: 'scas {d},{a}', uses: ['d', 'a'],
    iterate: (m, bits, { d, a }, step) => compare(m, bits, a.get(), d.get(), () => d.advance(step)),
  },
  {
    mnemonic: 'ins', opcode: 0x6c, repeats: 'rep', text: 'ins{n} (%dx),{d}', uses: ['d'], writes: true,
    iterate: (m, bits, { d }, step) => {
      // The memory has to fault before the port is read.
      d.get();
      d.set(m.resize(widthOf(bits), m.ask('in', [port(m), m.constant(64, bits / 8)])));
      d.advance(step);
    },
  },
  {
    mnemonic: 'outs', opcode: 0x6e, repeats: 'rep', text: 'outs{n} {s},(%dx)', uses: ['s'],
    iterate: (m, bits, { s }, step) => {
      const value = s.get();
      m.system('out', [m.or(port(m), m.constant(64, (bits / 8) << 16)), m.resize(64, value)]);
      s.advance(step);
    },
  },
]; // prettier-ignore

/** The port in DX, which operand `port` of INS and OUTS is. */
function port(m: Semantics): Expr {
  return m.and(m.read({ operand: 'port', width: 64 }), m.constant(64, 0xffff));
}

/** The operand size in bytes, negative if RFLAGS.DF is set. */
function stepOf(m: Semantics, bits: Bits): Expr {
  const backwards = m.notEqual(
    m.and(m.state(x86State.flags), m.constant(64, systemFlags.direction)),
    m.constant(64, 0),
  );
  return m.let(m.select(backwards, m.constant(64, -bits / 8), m.constant(64, bits / 8)));
}

/** One iteration of a repeated instruction, and the jump to the next. */
function repeat(m: Semantics, count: Place, form: Form, isComparison: boolean, iterate: () => void): void {
  const before = count.get();
  m.when(m.notEqual(before, m.constant(64, 0)), () => {
    iterate();
    const rest = m.let(m.sub(before, m.constant(64, 1)));
    count.set(rest);
    const more = m.notEqual(rest, m.constant(64, 0));
    const goesOn = form.repeat === 0xf3 ? m.flag('z') : m.negate(m.flag('z'));
    m.when(isComparison ? m.and(more, goesOn) : more, () => m.jump(m.pc()));
  });
}

function rows({ mnemonic, opcode, repeats, text, uses, writes = false, iterate }: StringInstruction) {
  const isPort = mnemonic === 'ins' || mnemonic === 'outs';
  const sizes = isPort ? ([16, 32] as const) : ([16, 32, 64] as const);
  const build = (size: 8 | null, each: 16 | 32 | 64 | null) => {
    const specs = {
      s: stringAt('rsi', size),
      d: stringAt('rdi', size, writes),
      a: fixed('rax', size),
    };
    const operands = {
      ...Object.fromEntries(uses.map((key) => [key, specs[key]])),
      ...(isPort ? { port: fixed('rdx', 64) } : {}),
      count: counter,
    } as unknown as { [K in keyof Operands]: OperandSpec<Operands[K]> };
    const suffix = { 8: 'b', 16: 'w', 32: 'l', 64: 'q' }[size ?? each ?? 8];
    return instruction({
      name: `${mnemonic.toUpperCase()}${suffix.toUpperCase()}`,
      opcode: (opcode + (size === 8 ? 0 : 1)).toString(16).toUpperCase(),
      ...(each === null ? {} : { sizes: isPort && each === 32 ? [32, 64] : [each] }),
      repeats,
      addresses: true,
      operands,
      text: text.replace('{n}', suffix),
      semantics: (m, o, form) => {
        const bits: Bits = size ?? each ?? 8;
        const step = stepOf(m, bits);
        if (isPort) m.system('requirePort', [port(m), m.constant(64, bits / 8)]);
        if (form.repeat === 0) iterate(m, bits, o, step);
        else repeat(m, o.count, form, repeats === 'repz', () => iterate(m, bits, o, step));
      },
    });
  };
  return [build(8, null), ...sizes.map((each) => build(null, each))].flat();
}

export const stringInstructions = strings.flatMap(rows);
