/** An assembler based on the instruction definitions: see ../../assembly/assembler.ts. */
import { InvariantError } from '../../../base/index.js';
import { assembleWith, littleEndian } from '../../assembly/assembler.js';
import type { Assembled, Layout } from '../../assembly/assembler.js';
import { parseInstruction } from '../encoding.js';
import type { A64Instruction } from '../encoding.js';
import { expandAlias } from './aliases.js';

export type { Assembled } from '../../assembly/assembler.js';

/** Names that a label must not have, because they would be parsed as operands. */
const reserved = /^([xwbhsdqv]\d+|w?sp|[xw]zr|[ls]s[lr]|asr|ror|[us]xt[bhwx])$/;

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

/** The definitions by mnemonic. */
function byMnemonic(instructions: readonly A64Instruction[]): ReadonlyMap<string, readonly A64Instruction[]> {
  const found = new Map<string, A64Instruction[]>();
  for (const instruction of instructions) {
    const mnemonic = /^[a-z0-9.]+/.exec(instruction.text)?.[0] ?? '';
    const others = found.get(mnemonic);
    if (others === undefined) found.set(mnemonic, [instruction]);
    else others.push(instruction);
  }
  return found;
}

/** Assembles `source` with `instructions` for address `origin`. Throws InvariantError with the line and the reason. */
export function assemble(instructions: readonly A64Instruction[], source: string, origin = 0): Assembled {
  const definitions = byMnemonic(instructions);
  const wordOf = (text: string, address: number, layout: Layout): number => {
    const resolved = withAddresses(layout, text, address);
    const mnemonic = /^\S+/.exec(resolved)?.[0] ?? '';
    for (const instruction of definitions.get(mnemonic) ?? []) {
      const found = parseInstruction(instruction, resolved, BigInt(address));
      if (found !== null) return found;
    }
    throw new InvariantError(`there is no instruction '${resolved}'`);
  };
  const syntax = {
    isReserved: (name: string) => reserved.test(name),
    instructions: (text: string) => expandAlias(text).map((each) => ({ text: each, bytes: 4 })),
    encode: (text: string, address: number, _: number, layout: Layout) =>
      littleEndian(BigInt(wordOf(text, address, layout)), 4),
  };
  return assembleWith(syntax, source, origin);
}
