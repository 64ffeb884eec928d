/**
 * The text of a program as statements. A line holds labels (`name:`, or `1:` for one that is named `1b` from behind and `1f`
 * from before), then an instruction or a directive, then perhaps a comment from `//` on.
 */
import { InvariantError } from '../../base/index.js';

export type Statement =
  | { readonly kind: 'label'; readonly name: string }
  | { readonly kind: 'instruction'; readonly text: string }
  /** `.byte`, `.hword`, `.word`, `.quad`: expressions, each in so many bytes. */
  | { readonly kind: 'numbers'; readonly bytes: 1 | 2 | 4 | 8; readonly expressions: readonly string[] }
  /** `.ascii` and, with a NUL behind it, `.asciz`. */
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array }
  /** `.balign` and `.org`: zeros up to a multiple of `to`, or up to that address. */
  | { readonly kind: 'align' | 'origin'; readonly to: number }
  /** `.space`: so many zeros. */
  | { readonly kind: 'space'; readonly bytes: number }
  /** `.bss`: what follows has addresses, but no bytes in the program: whoever loads it finds zeros there. */
  | { readonly kind: 'bss' };

export interface SourceLine {
  readonly number: number;
  readonly statement: Statement;
}

const numberSizes: Readonly<Record<string, 1 | 2 | 4 | 8>> = {
  '.byte': 1,
  '.hword': 2,
  '.word': 4,
  '.quad': 8,
};

function wholeNumber(text: string): number {
  if (!/^(0x[0-9a-f]+|\d+)$/i.test(text)) throw new InvariantError(`'${text}' is no plain number`);
  return Number(text);
}

/** The characters between the quotes, one byte each, with JSON's escapes. */
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
    case '.bss':
      return { kind: 'bss' };
    default:
      throw new InvariantError(`there is no directive ${name}`);
  }
}

/** A line without its comment; `//` within quotes is none. */
function withoutComment(line: string): string {
  const found = /^((?:[^"/]|"(?:[^"\\]|\\.)*"|\/(?!\/))*)/.exec(line);
  return (found?.[1] ?? '').trim();
}

/** The statements of `line`. Throws InvariantError where it is none that there is. */
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
  // The definitions write one space behind the mnemonic and each comma, and none elsewhere.
  const operands = rest.replace(/\s*,\s*/g, ', ').replace(/\s+/g, ' ');
  return [{ kind: 'instruction', text: operands === '' ? name : `${name} ${operands}` }];
}
