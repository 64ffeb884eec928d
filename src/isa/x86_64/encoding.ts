/**
 * The encoding of x86-64 instructions. A definition stands for all forms of an instruction: each operand size, register or
 * memory, and so on. Each form is an instruction with semantics of its own. Printing uses the operands.
 */
import { withMeaning } from '../instruction.js';
import type { FieldValues, Instruction, Operand } from '../instruction.js';
import type { Semantics } from '../semantics.js';
import { frequentForms } from './frequent.js';
import { parseOpcode } from './opcode.js';
import type { Opcode } from './opcode.js';
import { field } from './parser.js';
import type { Fields } from './parser.js';
import { modes, registerFile, registerName, segments } from './registers.js';
import type { Mode } from './registers.js';

export type OperandSize = 16 | 32 | 64;

/** What distinguishes the forms of a definition. */
export interface Form {
  /** The operand size; 0 if the definition has no `sizes`. */
  readonly bits: 0 | OperandSize;
  /** Whether the operand r/m is memory. */
  readonly memory: boolean;
  /**
   * Whether it is 64-bit code whose addresses need no more than a base, a scaled index and a displacement. The base of FS or
   * GS stands in the index's place. All others are rare: engines may be slow there.
   */
  readonly flat: boolean;
  /** The repeat prefix, if it repeats. */
  readonly repeat: 0 | 0xf2 | 0xf3;
}

/** What an operand of a definition is in each form. */
export interface OperandSpec<Reference> {
  /** The operands of an instruction of this form. The one that is called `key` has its text. */
  operands(key: string, form: Form): Readonly<Record<string, Operand>>;
  /** What the semantics use. */
  reference(m: Semantics, key: string, form: Form): Reference;
  /** The suffix of a mnemonic whose operand size nothing else shows: `addl` (default: none). */
  suffix?(form: Form): string;
}

type ReferencesOf<Specs> = {
  readonly [K in keyof Specs]: Specs[K] extends OperandSpec<infer R> ? R : never;
};

export type Specs = Readonly<Record<string, OperandSpec<unknown>>>;

export interface Definition<S extends Specs> {
  /** The mnemonic in capitals and the manual's operands: `ADD_rm_imm8`. Must be unique. */
  readonly name: string;
  /** See opcode.ts. */
  readonly opcode: string;
  /** The operand sizes (default: it has none). With another size the bytes are another instruction. */
  readonly sizes?: readonly OperandSize[];
  /** What another operand size counts as instead. */
  readonly otherSizes?: OperandSize;
  /** Whether the operand size in 64-bit mode is 64 bits without REX.W, and 32 bits cannot be encoded (default: false). */
  readonly default64?: boolean;
  /** Whether r/m must be a register or memory (default: it may be either). */
  readonly only?: 'r' | 'm';
  /** The modes that have it (default: all). */
  readonly modes?: readonly Mode[];
  /** Whether it may have a LOCK prefix where r/m is memory (default: false). */
  readonly lockable?: boolean;
  /** Which repeat prefixes it has: `rep` for F3 and F2 alike, `repz` where they differ (default: they are ignored). */
  readonly repeats?: 'rep' | 'repz';
  /** Whether parsed bytes are allocated (default: all are). */
  readonly allocated?: (fields: Fields) => boolean;
  /** Whether it uses addresses beside a ModRM operand: the stack, a string, the target of a branch (default: false). */
  readonly addresses?: boolean;
  /** The arithmetic flags that the manual leaves undefined behind it: letters of `cpazso` (default: none). */
  readonly undefinedFlags?: string;
  readonly feature?: string;
  /** Whether all of its forms are cold, also those that are frequent (frequent.ts): what may be left after it changed something. */
  readonly cold?: boolean;
  readonly vector?: boolean;
  readonly operands: S;
  /**
   * The text as GNU objdump writes it in AT&T syntax, with operands in braces. Also in braces: `w`, the suffix of an operand in
   * memory; `q`, that of an operand size other than the mode's own; `far`, as `q` but never `q` itself; `W`, that of the operand
   * size; `64` for that size; `abs` for an address size of 64; `counter`, the suffix of an address size other than the mode's
   * own; `rcx`, the counter of the address size; `long`, the suffix of an operand in memory in 64-bit code alone;
   * `env`, that of an x87 environment whose size is not the mode's own.
   */
  readonly text: string;
  semantics(m: Semantics, operands: ReferencesOf<S>, form: Form): void;
}

/** What all forms of a definition have in common. */
export interface Encoding {
  readonly name: string;
  readonly opcode: Opcode;
  readonly sizes: readonly OperandSize[];
  readonly otherSizes: OperandSize | null;
  readonly default64: boolean;
  readonly only: 'r' | 'm' | null;
  readonly modes: readonly Mode[];
  readonly lockable: boolean;
  readonly repeats: 'rep' | 'repz' | null;
  readonly addresses: boolean;
  readonly undefinedFlags: string;
  readonly allocated: ((fields: Fields) => boolean) | null;
}

export interface X86Instruction extends Instruction {
  readonly encoding: Encoding;
  readonly form: Form;
}

/** Creates the instructions of a definition, one for each form. */
export function instruction<const S extends Specs>(definition: Definition<S>): readonly X86Instruction[] {
  const { name, sizes = [], default64 = false, only = null, lockable = false, repeats = null } = definition;
  const { addresses = false, undefinedFlags = '' } = definition;
  const encoding: Encoding = {
    name,
    opcode: parseOpcode(definition.opcode),
    sizes,
    otherSizes: definition.otherSizes ?? null,
    default64,
    only,
    modes: definition.modes ?? modes,
    lockable,
    repeats,
    addresses,
    undefinedFlags,
    allocated: definition.allocated ?? null,
  };
  return formsOf(encoding).map((form) => withMeaning(meaningOf(definition, form), { encoding, form }));
}

/** All combinations of an encoding's operand sizes and so on, but for those that no bytes have. */
function formsOf(encoding: Encoding): Form[] {
  const { sizes, only, opcode, repeats, addresses } = encoding;
  const isRegister = !opcode.hasModrm || opcode.modrm >= 0xc0 || only !== 'm';
  const isMemory = opcode.hasModrm && opcode.modrm < 0xc0 && only !== 'r';
  const places = [...(isRegister ? [false] : []), ...(isMemory ? [true] : [])];
  const repeated: Form['repeat'][] = repeats === null ? [0] : repeats === 'rep' ? [0, 0xf3] : [0, 0xf3, 0xf2];
  const all = places.flatMap((memory) =>
    (memory || addresses ? [true, false] : [true]).flatMap((flat) =>
      (sizes.length === 0 ? [0 as const] : sizes).flatMap((bits) =>
        repeated.map((repeat): Form => ({ bits, memory, flat, repeat })),
      ),
    ),
  );
  return all.filter((form) => isPossible(encoding, form));
}

function isPossible(
  { modes: allowed, default64, addresses }: Encoding,
  { bits, memory, flat }: Form,
): boolean {
  const isOf64 = flat && (memory || addresses);
  if (!allowed.includes(64)) return bits !== 64 && !isOf64;
  return !(isOf64 && default64 && bits === 32);
}

/** The name of a form: `ADD_rm_r.32.m`. */
function nameOf(name: string, { bits, memory, flat, repeat }: Form): string {
  const repeats = repeat === 0 ? '' : repeat === 0xf3 ? '.rep' : '.repnz';
  return `${name}${bits === 0 ? '' : `.${bits}`}${memory ? '.m' : ''}${repeats}${flat ? '' : '.segmented'}`;
}

const suffixes: Readonly<Record<number, string>> = { 8: 'b', 16: 'w', 32: 'l', 64: 'q' };

/** The suffix of an operand size. */
export function suffixOf(bits: number): string {
  return suffixes[bits] ?? '';
}

function meaningOf<const S extends Specs>(definition: Definition<S>, form: Form) {
  const entries = Object.entries(definition.operands);
  const operands = Object.assign({}, ...entries.map(([key, spec]) => spec.operands(key, form))) as Record<
    string,
    Operand
  >;
  const suffix = entries.map(([, spec]) => spec.suffix?.(form) ?? '').join('');
  const { feature, vector } = definition;
  return {
    name: nameOf(definition.name, form),
    ...(feature === undefined ? {} : { feature }),
    ...(vector === undefined ? {} : { vector }),
    cold: definition.cold === true || !frequentForms.has(nameOf(definition.name, form)),
    operands,
    text: definition.text.replace('{w}', suffix),
    semantics: (m: Semantics) => {
      const references = Object.fromEntries(
        entries.map(([key, spec]) => [key, spec.reference(m, key, form)]),
      );
      definition.semantics(m, references as ReferencesOf<S>, form);
    },
  };
}

/** The operand size that an encoding has in parsed bytes; null if it does not have that size. */
export function operandBits(
  { sizes, otherSizes, default64 }: Encoding,
  fields: Fields,
): 0 | OperandSize | null {
  if (sizes.length === 0) return 0;
  const { mode, wide, narrow } = fields;
  const bits = default64 && mode === 64 ? (narrow === 1 && wide === 0 ? 16 : 64) : fields.operandBits;
  return sizes.find((size) => size === bits) ?? otherSizes;
}

/** Whether an address needs segmentation, or a sum that the flat forms do not have. */
function isFlat({ mode, addressBits, segment, index }: Fields): boolean {
  return mode === 64 && addressBits === 64 && (segment < 0 || index === registerFile.zero);
}

/** The form of an encoding that parsed bytes have. */
export function formIn(encoding: Encoding, fields: Fields): Form {
  const { opcode, addresses, repeats } = encoding;
  const memory = opcode.hasModrm && fields.mod !== 3;
  const repeat = repeats === null || fields.repeat === 0 ? 0 : repeats === 'rep' ? 0xf3 : fields.repeat;
  return {
    bits: operandBits(encoding, fields) ?? 0,
    memory,
    flat: isFlat(fields) || !(memory || addresses),
    repeat: repeat as Form['repeat'],
  };
}

function prefixMatches({ prefix }: Opcode, { repeat, narrow }: Fields): boolean {
  switch (prefix) {
    case 'any':
      return true;
    case 'F2':
      return repeat === 0xf2;
    case 'F3':
      return repeat === 0xf3;
    case '66':
      return repeat === 0 && narrow === 1;
    case 'NP':
      return repeat === 0 && narrow === 0;
  }
}

/** Whether the opcode and what extends it are those of parsed bytes. */
function opcodeMatches(opcode: Opcode, fields: Fields): boolean {
  const { map, byte, hasRegister, modrm, digit } = opcode;
  const isByte = (hasRegister ? fields.opcode & 0xf8 : fields.opcode) === byte;
  const isModrm = modrm < 0 || fields.modrm === modrm;
  const isDigit = digit < 0 || ((fields.modrm >> 3) & 7) === digit;
  return fields.map === map && isByte && isModrm && isDigit && prefixMatches(opcode, fields);
}

/** Whether parsed bytes are an instruction of this encoding. */
export function matches(encoding: Encoding, fields: Fields): boolean {
  const { opcode, only, lockable, allocated } = encoding;
  if (!opcodeMatches(opcode, fields) || operandBits(encoding, fields) === null) return false;
  const isMemory = opcode.hasModrm && fields.mod !== 3;
  if (only !== null && (only === 'm') !== isMemory) return false;
  if (fields.lock === 1 && !(lockable && isMemory)) return false;
  return encoding.modes.some((mode) => mode === fields.mode) && allocated?.(fields) !== false;
}

/** How much of its bytes an encoding fixes. If two match, the one that fixes more is meant. */
export function specificity({ opcode, only }: Encoding): number {
  const { prefix, hasRegister, modrm, digit } = opcode;
  const byModrm = modrm >= 0 ? 8 : (digit >= 0 ? 3 : 0) + (only === null ? 0 : 1);
  return byModrm + (prefix === 'any' ? 0 : 16) - (hasRegister ? 3 : 0);
}

const defaultBits = ({ default64 }: Encoding, mode: number): number =>
  mode === 64 ? (default64 ? 64 : 32) : mode;

/** The parts of a mnemonic that sizes decide, by the names that `text` has for them. */
const mnemonicParts: Readonly<Record<string, (encoding: Encoding, form: Form, fields: Fields) => string>> = {
  q: (encoding, { bits }, { mode }) => (bits === defaultBits(encoding, mode) ? '' : suffixOf(bits)),
  far: (encoding, { bits }, { mode }) =>
    bits === 64 || bits === defaultBits(encoding, mode) ? '' : suffixOf(bits),
  W: (_, { bits }) => suffixOf(bits),
  64: (_, { bits }) => (bits === 64 ? '64' : ''),
  abs: (_encoding, _form, { addressBits }) => (addressBits === 64 ? 'abs' : ''),
  counter: (_encoding, _form, { mode, addressBits }) => (addressBits === mode ? '' : suffixOf(addressBits)),
  long: (_encoding, { bits, memory }, { mode }) => (memory && mode === 64 ? suffixOf(bits) : ''),
  env: (_encoding, { bits }, { mode }) => ((bits === 16) === (mode === 16) ? '' : bits === 16 ? 's' : 'l'),
  rcx: (_encoding, _form, { addressBits }) => registerName(1, addressBits),
};

/** The text with all suffixes for code of `mode` with addresses of that size, so that only operands are left in braces. */
export function suffixesIn({ text, operands, encoding, form }: X86Instruction, mode: Mode): string {
  const fields = { mode, addressBits: mode } as Fields;
  return text.replace(/\{(\w+)\}/g, (whole, key: string) =>
    operands[key] === undefined ? (mnemonicParts[key]?.(encoding, form, fields) ?? '') : whole,
  );
}

/** The text of an instruction at address `pc`. */
export function printInstruction(
  { text, operands, encoding, form }: X86Instruction,
  fields: Fields,
  pc: bigint,
): string {
  const lock = fields.lock === 1 ? 'lock ' : '';
  const repeat = form.repeat === 0 ? '' : fields.repeat === 0xf2 ? 'repnz ' : `${encoding.repeats} `;
  const written = text.replace(
    /\{(\w+)\}/g,
    (_, key: string) =>
      operands[key]?.print(fields, pc) ?? mnemonicParts[key]?.(encoding, form, fields) ?? '',
  );
  return `${lock}${repeat}${written}`;
}

/** The segment of a memory operand: the override, or SS for addresses on the stack, else DS. */
export function segmentIn(fields: FieldValues): number {
  const override = field(fields, 'segment');
  if (override >= 0) return override;
  const base = field(fields, 'base');
  return base === 4 || base === 5 ? segments.ss : segments.ds;
}
