/** The flags of an architecture: where a vCPU's block and the functions' locals hold their sources (FlagForm in isa/micro_ops.ts). */
import { invariant, present } from '../base/index.js';
import type { FlagForm, FlagSet } from '../isa/index.js';
import { blockRoom, cpuOffsets } from './layout.js';
import { i32, i64, load32, loads64, opcodes, popcount32, store32, stores64, wrap } from './wasm/code.js';
import type { Code, ScalarType, ValueType } from './wasm/code.js';

/** A flag and where its source is in a vCPU's block. */
export interface FlagSlot {
  readonly name: string;
  readonly form: FlagForm;
  /** The type of the source. */
  readonly type: ScalarType;
  /** Byte offset in the block. */
  readonly offset: number;
}

/** The local of each flag's source, by the flag's name. */
export type FlagLocals = Readonly<Record<string, number>>;

const is64: Readonly<Record<FlagForm, boolean>> = {
  sign: true,
  zero: true,
  bit: false,
  evenParity: false,
  bit4: false,
};

/** The slots of a set of flags. Sources of 64 bits come first. Throws InvariantError if they do not fit into a block. */
export function layOutFlags(flags: FlagSet): readonly FlagSlot[] {
  const all = Object.entries(flags);
  invariant(all.length <= blockRoom.flags, 'the flags do not fit into a block');
  const ordered = [...all.filter(([, form]) => is64[form]), ...all.filter(([, form]) => !is64[form])];
  return ordered.map(([name, form], index) => ({
    name,
    form,
    type: is64[form] ? i64 : i32,
    offset: cpuOffsets.flags + 8 * index,
  }));
}

/** The byte offset of a flag's source in a vCPU's block. */
export function flagOffset(flags: FlagSet, name: string): number {
  return present(
    layOutFlags(flags).find((slot) => slot.name === name),
    `flag ${name}`,
  ).offset;
}

/** Numbers the locals of a function by groups of one type each, and lists their types. */
export class FunctionLocals {
  /** By number, without the parameters. */
  readonly types: ValueType[] = [];
  readonly #parameters: number;

  constructor(parameters: number) {
    this.#parameters = parameters;
  }

  add(type: ValueType): number {
    this.types.push(type);
    return this.#parameters + this.types.length - 1;
  }

  /** Adds a local for each flag whose source has the given type. */
  addFlags(slots: readonly FlagSlot[], type: ScalarType): FlagLocals {
    const these = slots.filter((slot) => slot.type === type);
    return Object.fromEntries(these.map(({ name }) => [name, this.add(type)]));
  }

  /** The number of the first local that was not added. */
  get end(): number {
    return this.#parameters + this.types.length;
  }
}

export function localOf(locals: FlagLocals, flag: string): number {
  return present(locals[flag], `flag ${flag} of the architecture`);
}

/** Loads all flag sources from the block at the local `cpu`. */
export function emitLoadFlags(code: Code, cpu: number, slots: readonly FlagSlot[], locals: FlagLocals): void {
  for (const { name, type, offset } of slots) {
    code.get(cpu);
    if (type === i64) code.memory(loads64[8][0], 3, offset);
    else code.memory(load32.word, 2, offset);
    code.set(localOf(locals, name));
  }
}

export function emitSaveFlags(code: Code, cpu: number, slots: readonly FlagSlot[], locals: FlagLocals): void {
  for (const { name, type, offset } of slots) {
    code.get(cpu).get(localOf(locals, name));
    if (type === i64) code.memory(stores64[8][0], 3, offset);
    else code.memory(store32, 2, offset);
  }
}

/** Pushes a flag as an i32, 0 or 1. */
export function emitFlag(code: Code, flags: FlagSet, locals: FlagLocals, flag: string): void {
  code.get(localOf(locals, flag));
  switch (present(flags[flag], `flag ${flag} of the architecture`)) {
    case 'sign':
      code.constant(i64, 63).byte(opcodes[i64].shrUnsigned).byte(wrap);
      return;
    case 'zero':
      code.byte(opcodes[i64].eqz);
      return;
    case 'bit':
      return;
    case 'evenParity':
      code.constant(i32, 0xff).byte(opcodes[i32].and).byte(popcount32).constant(i32, 1);
      code.byte(opcodes[i32].and).byte(opcodes[i32].eqz);
      return;
    case 'bit4':
      code.constant(i32, 4).byte(opcodes[i32].shrUnsigned).constant(i32, 1).byte(opcodes[i32].and);
  }
}
