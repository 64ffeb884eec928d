/**
 * The part of an assembler that every architecture has: two passes over text with labels and data. The first gives everything
 * its address, the second encodes. The input is always part of this project, so an error in it is a bug: an InvariantError that
 * names the line.
 */
import { alignUp, InvariantError } from '../../base/index.js';
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

/** What an architecture adds. */
export interface Syntax {
  /** Whether a label must not have the name, because it would be parsed as an operand. */
  isReserved(name: string): boolean;
  /** The instructions that a line stands for, with their lengths in bytes, the first at `address`. */
  instructions(text: string, address: number): readonly { readonly text: string; readonly bytes: number }[];
  /** Chooses the size of the code that follows. */
  chooseCodeSize?(bits: 16 | 32 | 64): void;
  /** Encodes an instruction when all labels have addresses. */
  encode(text: string, address: number, length: number, layout: Layout): Uint8Array;
}

export interface Placed {
  readonly line: number;
  readonly address: number;
  readonly content:
    | { readonly kind: 'instruction'; readonly text: string; readonly length: number }
    | Extract<Statement, { kind: 'numbers' | 'bytes' }>;
}

/** The first pass: assigns addresses. */
export class Layout {
  readonly symbols = new Map<string, number>();
  readonly placed: Placed[] = [];
  /** The addresses of the numbered labels, in order. */
  readonly #numbered = new Map<string, number[]>();
  readonly #origin: number;
  readonly #syntax: Syntax;
  #address: number;
  #loadedEnd: number | null = null;

  constructor(origin: number, syntax: Syntax) {
    this.#origin = origin;
    this.#syntax = syntax;
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
        for (const { text, bytes } of this.#syntax.instructions(statement.text, this.#address)) {
          this.#place(line, { kind: 'instruction', text, length: bytes }, bytes);
        }
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
      case 'codeSize':
        if (this.#syntax.chooseCodeSize === undefined) throw new InvariantError('there is one size of code');
        this.#syntax.chooseCodeSize(statement.bits);
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
    if (this.#syntax.isReserved(name)) throw new InvariantError(`a label cannot be called ${name}`);
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
export function evaluate(layout: Layout, expression: string, address: number): bigint {
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

function encode({ address, content }: Placed, layout: Layout, syntax: Syntax): Uint8Array {
  if (content.kind === 'bytes') return content.bytes;
  if (content.kind === 'instruction') return syntax.encode(content.text, address, content.length, layout);
  const { expressions, bytes } = content;
  const encoded = expressions.map((text, i) =>
    littleEndian(evaluate(layout, text, address + i * bytes), bytes),
  );
  return Uint8Array.from(encoded.flatMap((each) => [...each]));
}

export function littleEndian(value: bigint, bytes: number): Uint8Array {
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

/** Assembles `source` for address `origin`. Throws InvariantError with the line and the reason. */
export function assembleWith(syntax: Syntax, source: string, origin: number): Assembled {
  const layout = new Layout(origin, syntax);
  const lines = source.split('\n');
  for (const [index, line] of lines.entries()) {
    atLine(index + 1, lines, () => {
      for (const statement of statementsOf(line)) layout.add(index + 1, statement);
    });
  }
  const bytes = new Uint8Array(layout.loadedBytes);
  for (const each of layout.placed) {
    atLine(each.line, lines, () => bytes.set(encode(each, layout, syntax), each.address - origin));
  }
  return { bytes, memoryBytes: layout.memoryBytes, symbols: layout.symbols };
}
