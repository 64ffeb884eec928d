/**
 * An assembler based on the instruction definitions, for text in GNU's AT&T syntax as objdump writes it: see
 * ../../assembly/assembler.ts. `.code32` and `.code64` choose the mode of what follows.
 *
 * An instruction that names a label has the same length wherever the label is: branches have offsets of 32 bits (but for LOOP and
 * JRCXZ), immediates and displacements have 32 bits.
 */
import { InvariantError } from '../../../base/index.js';
import { assembleWith } from '../../assembly/assembler.js';
import type { Assembled, Layout, Syntax } from '../../assembly/assembler.js';
import type { X86Instruction } from '../encoding.js';
import type { Mode } from '../registers.js';
import { encode } from './encoder.js';
import type { Wanted } from './encoder.js';

/** Prefixes that are words of their own. */
const prefixWords: Readonly<Record<string, number>> = { lock: 0xf0, rep: 0xf3, repz: 0xf3, repnz: 0xf2 };

/** A label in an instruction's operands: not a register, not a number, not a mnemonic. */
const labelPattern = /(?<![\w%$.]|0x)([A-Za-z_.][\w.]*|\d+[bf](?![\w]))/g;
const immediateLabel = /\$([A-Za-z_.][\w.]*|\d+[bf](?![\w]))/g;

interface Prefixed {
  readonly prefix: number | null;
  readonly mnemonic: string;
  readonly operands: string;
}

/** Splits a line, whose commas have no spaces behind them. */
function split(text: string): Prefixed {
  const [, word = '', mnemonic = '', operands = ''] =
    /^(?:(lock|rep|repz|repnz) )?(\S+) ?(.*)$/.exec(text.replaceAll(', ', ',')) ?? [];
  return { prefix: prefixWords[word] ?? null, mnemonic, operands };
}

/** Whether an instruction exists in a mode, with a prefix that is a word of its own. */
function isPossible({ form, encoding }: X86Instruction, prefix: number | null, mode: Mode): boolean {
  const isPrefixed =
    prefix === 0xf0 ? encoding.lockable && form.memory && form.repeat === 0 : form.repeat === (prefix ?? 0);
  const isFlat = !(form.memory || encoding.addresses) || form.flat === (mode === 64);
  return isPrefixed && isFlat && encoding.modes.includes(mode) && (form.bits !== 64 || mode === 64);
}

/** 1 if an instruction has an immediate of a byte, else 0. */
function shortImmediates({ encoding }: X86Instruction): number {
  return encoding.opcode.immediates.includes('ib') ? 1 : 0;
}

/** The instructions whose text begins with a mnemonic, by all that it may be in a mode. */
class Definitions {
  readonly #byStart = new Map<string, X86Instruction[]>();

  constructor(instructions: readonly X86Instruction[]) {
    for (const instruction of instructions) {
      const start = /^[a-z]*/.exec(instruction.text)?.[0] ?? '';
      const others = this.#byStart.get(start);
      if (others === undefined) this.#byStart.set(start, [instruction]);
      else others.push(instruction);
    }
  }

  /** The encodings, the shortest first, and of equal ones that with the shortest immediate. */
  encodings({ prefix, mnemonic, operands }: Prefixed, pc: number, wanted: Omit<Wanted, 'lock'>): number[][] {
    const source = operands === '' ? mnemonic : `${mnemonic} ${operands}`;
    const lock = prefix === 0xf0;
    return this.#startingLike(mnemonic)
      .filter((instruction) => isPossible(instruction, prefix, wanted.mode))
      .sort((a, b) => shortImmediates(b) - shortImmediates(a))
      .map((instruction) => encode(instruction, source, pc, { ...wanted, lock }))
      .filter((bytes) => bytes !== null)
      .sort((x, y) => x.length - y.length);
  }

  #startingLike(mnemonic: string): readonly X86Instruction[] {
    const starts = Array.from({ length: mnemonic.length }, (_, end) => mnemonic.slice(0, end + 1));
    return starts.flatMap((start) => this.#byStart.get(start) ?? []);
  }
}

/** What the second pass knows of an instruction. */
interface Known {
  readonly addressOf: (name: string) => number;
  readonly length: number;
}

/** The length of an instruction and its bytes once labels are known. */
class X86Syntax implements Syntax {
  readonly #definitions: Definitions;
  #mode: Mode = 64;

  constructor(instructions: readonly X86Instruction[]) {
    this.#definitions = new Definitions(instructions);
  }

  // Operands of this syntax begin with a mark, so any name may be a label.
  isReserved(): boolean {
    return false;
  }

  instructions(text: string, address: number): { text: string; bytes: number }[] {
    const bytes = this.#encode(text, address, null).length;
    return [{ text: `${this.#mode}:${text}`, bytes }];
  }

  encode(text: string, address: number, length: number, layout: Layout): Uint8Array {
    const [, mode = '', plain = ''] = /^(\d+):(.*)$/.exec(text) ?? [];
    this.#mode = Number(mode) as Mode;
    const addressOf = (name: string): number => {
      const found = layout.addressOf(name, address);
      if (found === null) throw new InvariantError(`there is no label ${name}`);
      return found;
    };
    return Uint8Array.from(this.#encode(plain, address, { addressOf, length }));
  }

  chooseCodeSize(mode: Mode): void {
    this.#mode = mode;
  }

  /** Encodes with the known labels and length, or in the first pass without. */
  #encode(text: string, address: number, known: Known | null): number[] {
    const { operands, ...rest } = split(text);
    const resolved = this.#resolve(rest.mnemonic, operands, address, known);
    const wanted = { mode: this.#mode, wide: resolved !== operands };
    const all = this.#definitions.encodings({ ...rest, operands: resolved }, address, wanted);
    const bytes = all.find((each) => known === null || each.length === known.length);
    if (bytes === undefined) {
      throw new InvariantError(`there is no instruction '${text}' in ${this.#mode}-bit code`);
    }
    return bytes;
  }

  /** A number that needs 32 bits stands for a label whose address is not known yet. */
  #resolve(mnemonic: string, operands: string, address: number, known: Known | null): string {
    const isShort = /^(loop|j\w*cxz)/.test(mnemonic);
    const isBranch = /^(j|call|loop)/.test(mnemonic) && !/[*%$(]/.test(operands);
    const unknown = isBranch ? address + (isShort ? 2 : 0x10000000) : 0x10000000;
    const addressOf = (name: string): number => known?.addressOf(name) ?? unknown;
    const numbers = operands.replace(immediateLabel, (_, name: string) => `$${hexOf(addressOf(name))}`);
    return numbers.replace(labelPattern, (_, name: string, at: number) => {
      const isRelative = numbers.slice(at + name.length).startsWith('(%rip)');
      return hexOf(addressOf(name) - (isRelative ? address + (known?.length ?? 0) : 0));
    });
  }
}

const hexOf = (value: number): string =>
  value < 0 ? `-0x${(-value).toString(16)}` : `0x${value.toString(16)}`;

/**
 * Assembles `source` with `instructions` for address `origin`, which begins in `mode`. Throws InvariantError with the line and the
 * reason.
 */
export function assemble(
  instructions: readonly X86Instruction[],
  source: string,
  origin = 0,
  mode: Mode = 64,
): Assembled {
  const syntax = new X86Syntax(instructions);
  syntax.chooseCodeSize(mode);
  return assembleWith(syntax, source, origin);
}
