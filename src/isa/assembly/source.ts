/**
 * Parses program text into statements. A line holds labels (`name:`; or `1:`, referenced as `1b` backward and `1f`
 * forward), then an instruction or a directive, then an optional comment after `//`.
 */
import { InvariantError } from '../../base/index.js';

export type Statement =
  | { readonly kind: 'label'; readonly name: string }
  | { readonly kind: 'instruction'; readonly text: string }
  /** `.byte`, `.hword`, `.long`, `.word`, `.quad`: expressions of `bytes` bytes each. */
  | { readonly kind: 'numbers'; readonly bytes: 1 | 2 | 4 | 8; readonly expressions: readonly string[] }
  /** `.ascii`, and `.asciz`, which appends a NUL. */
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array }
  /** `.balign` and `.org`: zeros up to a multiple of `to`, or up to the address `to`. */
  | { readonly kind: 'align' | 'origin'; readonly to: number }
  /** `.space`: `bytes` zeros. */
  | { readonly kind: 'space'; readonly bytes: number }
  /** `.code16`, `.code32`, `.code64`: the size of the code that follows, where an architecture has several. */
  | { readonly kind: 'codeSize'; readonly bits: 16 | 32 | 64 }
  /** `.bss`: the following labels have addresses, but no bytes in the program. The loader must provide zeros there. */
  | { readonly kind: 'bss' };

export interface SourceLine {
  readonly number: number;
  readonly statement: Statement;
}

const numberSizes: Readonly<Record<string, 1 | 2 | 4 | 8>> = {
  '.byte': 1,
  '.hword': 2,
  '.long': 4,
  '.word': 4,
  '.quad': 8,
};

function wholeNumber(text: string): number {
  if (!/^(0x[0-9a-f]+|\d+)$/i.test(text)) throw new InvariantError(`'${text}' is no plain number`);
  return Number(text);
}

/** The characters between quotes, one byte each, with JSON escapes. */
function quoted(text: string): Uint8Array {
  if (!/^".*"$/.test(text)) throw new InvariantError(`${text} stands in no quotes`);
  return Uint8Array.from(JSON.parse(text) as string, (letter) => letter.charCodeAt(0));
}

function directive(name: string, rest: string): Statement {
  const bytes = numberSizes[name];
  if (bytes !== undefined) {
    return { kind: 'numbers', bytes, expressions: rest.split(',').map((text) => text.trim()) };
  }
  switch (name) {
    case '.ascii':
      return { kind: 'bytes', bytes: quoted(rest) };
    case '.asciz':
      return { kind: 'bytes', bytes: Uint8Array.of(...quoted(rest), 0) };
    case '.balign':
      return { kind: 'align', to: wholeNumber(rest) };
    case '.org':
      return { kind: 'origin', to: wholeNumber(rest) };
    case '.space':
      return { kind: 'space', bytes: wholeNumber(rest) };
    case '.code16':
    case '.code32':
    case '.code64':
      return { kind: 'codeSize', bits: Number(name.slice('.code'.length)) as 16 | 32 | 64 };
    case '.bss':
      return { kind: 'bss' };
    default:
      throw new InvariantError(`there is no directive ${name}`);
  }
}

/** A line without its comment. `//` inside quotes does not start one. */
function withoutComment(line: string): string {
  const found = /^((?:[^"/]|"(?:[^"\\]|\\.)*"|\/(?!\/))*)/.exec(line);
  return (found?.[1] ?? '').trim();
}

/** The statements of `line`. Throws InvariantError on a syntax error. */
export function statementsOf(line: string): Statement[] {
  const text = withoutComment(line);
  if (text === '') return [];
  const label = /^([A-Za-z_][\w.]*|\d+):\s*/.exec(text);
  if (label !== null) {
    const [whole, name = ''] = label;
    return [{ kind: 'label', name }, ...statementsOf(text.slice(whole.length))];
  }
  const [, name = '', rest = ''] = /^(\S+)\s*(.*)$/.exec(text) ?? [];
  if (name.startsWith('.')) return [directive(name, rest)];
  // The definitions expect one space after the mnemonic and after each comma, and no others.
  const operands = rest.replace(/\s*,\s*/g, ', ').replace(/\s+/g, ' ');
  return [{ kind: 'instruction', text: operands === '' ? name : `${name} ${operands}` }];
}
