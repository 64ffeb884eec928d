/**
 * A small two-pass assembler based on the instruction definitions: converts text with labels and data to bytes. Its
 * input is always part of this project, so an error in it is a bug: an InvariantError that names the line.
 */
import { alignUp, InvariantError } from '../../../base/index.js';
import { parseInstruction } from '../encoding.js';
import type { A64Instruction } from '../encoding.js';
import { expandAlias } from './aliases.js';
import { statementsOf } from './source.js';
import type { Statement } from './source.js';

export interface Assembled {
  /** The bytes to load at the origin. */
  readonly bytes: Uint8Array;
  /** The size in memory from the origin on, including `.bss`. */
  readonly memoryBytes: number;
  /** Addresses of the labels. */
  readonly symbols: ReadonlyMap<string, number>;
}

/** Names that a label must not have, because they would be parsed as operands. */
const reserved = /^([xwbhsdqv]\d+|w?sp|[xw]zr|[ls]s[lr]|asr|ror|[us]xt[bhwx])$/;

interface Placed {
  readonly line: number;
  readonly address: number;
  readonly content:
    | { readonly kind: 'instruction'; readonly text: string }
    | Extract<Statement, { kind: 'numbers' | 'bytes' }>;
}

/** The first pass: assigns addresses. */
class Layout {
  readonly symbols = new Map<string, number>();
  readonly placed: Placed[] = [];
  /** The addresses of the numbered labels, in order. */
  readonly #numbered = new Map<string, number[]>();
  readonly #origin: number;
  #address: number;
  #loadedEnd: number | null = null;

  constructor(origin: number) {
    this.#origin = origin;
    this.#address = origin;
  }

  get loadedBytes(): number {
    return (this.#loadedEnd ?? this.#address) - this.#origin;
  }

  get memoryBytes(): number {
    return this.#address - this.#origin;
  }

  add(line: number, statement: Statement): void {
    switch (statement.kind) {
      case 'label':
        this.#label(statement.name);
        break;
      case 'instruction':
        for (const text of expandAlias(statement.text)) this.#place(line, { kind: 'instruction', text }, 4);
        break;
      case 'numbers':
        this.#place(line, statement, statement.bytes * statement.expressions.length);
        break;
      case 'bytes':
        this.#place(line, statement, statement.bytes.length);
        break;
      case 'align':
        this.#skipTo(alignUp(this.#address, statement.to));
        break;
      case 'origin':
        this.#skipTo(this.#origin + statement.to);
        break;
      case 'space':
        this.#skipTo(this.#address + statement.bytes);
        break;
      case 'bss':
        this.#loadedEnd ??= this.#address;
    }
  }

  /** The address of label `name`, used at address `from`; null if there is no such label. */
  addressOf(name: string, from: number): number | null {
    const [, number, way] = /^(\d+)([bf])$/.exec(name) ?? [];
    if (number === undefined) return this.symbols.get(name) ?? null;
    const places = this.#numbered.get(number) ?? [];
    const found =
      way === 'b' ? places.findLast((address) => address <= from) : places.find((address) => address > from);
    return found ?? null;
  }

  #label(name: string): void {
    if (/^\d/.test(name)) {
      this.#numbered.set(name, [...(this.#numbered.get(name) ?? []), this.#address]);
      return;
    }
    if (reserved.test(name)) throw new InvariantError(`a label cannot be called ${name}`);
    if (this.symbols.has(name)) throw new InvariantError(`label ${name} stands twice`);
    this.symbols.set(name, this.#address);
  }

  #place(line: number, content: Placed['content'], bytes: number): void {
    if (this.#loadedEnd !== null) throw new InvariantError('nothing can be placed behind .bss');
    this.placed.push({ line, address: this.#address, content });
    this.#address += bytes;
  }

  #skipTo(address: number): void {
    if (address < this.#address) throw new InvariantError(`.org goes back by ${this.#address - address}`);
    this.#address = address;
  }
}

/** Evaluates a sum of numbers, labels and `.`, the current address. */
function evaluate(layout: Layout, expression: string, address: number): bigint {
  const terms = [...expression.matchAll(/([+-]?)\s*([\w.]+)\s*/g)];
  const text = terms.map(([whole]) => whole).join('');
  if (terms.length === 0 || text !== expression) throw new InvariantError(`'${expression}' is no sum`);
  return terms.reduce((sum, [, sign, term = '']) => {
    const value =
      term === '.' ? address : /^\d+$|^0x/i.test(term) ? BigInt(term) : layout.addressOf(term, address);
    if (value === null) throw new InvariantError(`there is no label ${term}`);
    return sign === '-' ? sum - BigInt(value) : sum + BigInt(value);
  }, 0n);
}

/**
 * `text` with labels replaced by addresses: the whole address, its page (`:page:`), or its offset in the page
 * (`:lo12:`).
 */
function withAddresses(layout: Layout, text: string, address: number): string {
  const [, mnemonic = '', operands = ''] = /^(\S+)(.*)$/.exec(text) ?? [];
  const resolved = operands.replace(
    /(?<![\w:])(:page:|:lo12:)?(\d+[bf]\b|[A-Za-z_][\w.]*)/g,
    (whole, part: string | undefined, name: string) => {
      const found = layout.addressOf(name, address);
      if (found === null) return whole;
      const value = part === ':page:' ? found - (found % 4096) : part === ':lo12:' ? found % 4096 : found;
      return `0x${value.toString(16)}`;
    },
  );
  return mnemonic + resolved;
}

/** The second pass: encodes. */
class Encoder {
  readonly #byMnemonic = new Map<string, A64Instruction[]>();
  readonly #layout: Layout;

  constructor(instructions: readonly A64Instruction[], layout: Layout) {
    this.#layout = layout;
    for (const instruction of instructions) {
      const mnemonic = /^[a-z0-9.]+/.exec(instruction.text)?.[0] ?? '';
      const others = this.#byMnemonic.get(mnemonic);
      if (others === undefined) this.#byMnemonic.set(mnemonic, [instruction]);
      else others.push(instruction);
    }
  }

  encode({ address, content }: Placed): Uint8Array {
    if (content.kind === 'bytes') return content.bytes;
    if (content.kind === 'instruction') return littleEndian(BigInt(this.#word(content.text, address)), 4);
    const { expressions, bytes } = content;
    const encoded = expressions.map((text, i) =>
      littleEndian(evaluate(this.#layout, text, address + i * bytes), bytes),
    );
    return Uint8Array.from(encoded.flatMap((each) => [...each]));
  }

  #word(text: string, address: number): number {
    const source = withAddresses(this.#layout, text, address);
    const mnemonic = /^\S+/.exec(source)?.[0] ?? '';
    for (const instruction of this.#byMnemonic.get(mnemonic) ?? []) {
      const word = parseInstruction(instruction, source, BigInt(address));
      if (word !== null) return word;
    }
    throw new InvariantError(`there is no instruction '${source}'`);
  }
}

function littleEndian(value: bigint, bytes: number): Uint8Array {
  return Uint8Array.from({ length: bytes }, (_, i) => Number((value >> BigInt(8 * i)) & 0xffn));
}

/** Runs `work`. Adds the line to errors that it throws. */
function atLine(line: number, source: readonly string[], work: () => void): void {
  try {
    work();
  } catch (error) {
    if (!(error instanceof InvariantError)) throw error;
    throw new InvariantError(`line ${line}, ${source[line - 1]?.trim() ?? ''}: ${error.message}`);
  }
}

/** Assembles `source` with `instructions` for address `origin`. Throws InvariantError with the line and the reason. */
export function assemble(instructions: readonly A64Instruction[], source: string, origin = 0): Assembled {
  const layout = new Layout(origin);
  const lines = source.split('\n');
  for (const [index, line] of lines.entries()) {
    atLine(index + 1, lines, () => {
      for (const statement of statementsOf(line)) layout.add(index + 1, statement);
    });
  }
  const encoder = new Encoder(instructions, layout);
  const bytes = new Uint8Array(layout.loadedBytes);
  for (const each of layout.placed) {
    atLine(each.line, lines, () => bytes.set(encoder.encode(each), each.address - origin));
  }
  return { bytes, memoryBytes: layout.memoryBytes, symbols: layout.symbols };
}
