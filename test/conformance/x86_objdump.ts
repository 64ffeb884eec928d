/** GNU objdump as a reference for the text and length of x86-64 instructions. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type * as x86_64 from '../../src/isa/x86_64/index.js';

const candidates = ['x86_64-linux-gnu-objdump', 'objdump'];
const machines = { 16: 'i8086', 32: 'i386', 64: 'i386:x86-64' } as const;

/** Whether a command is an objdump that knows x86-64. */
function knows(command: string): boolean {
  const { stdout } = spawnSync(command, ['--info'], { encoding: 'utf8' }) as { stdout: string | null };
  return stdout?.includes('x86-64') === true;
}

/** The objdump that knows x86-64, or null. */
export const x86Objdump = candidates.find(knows) ?? null;

export interface Disassembled {
  readonly text: string;
  readonly length: number;
}

/** Each instruction has so many bytes, its own and NOPs behind it. Its address is a multiple of that. */
export const slotBytes = 32;

/** In 16-bit code, addresses have to stay below 64 KiB. */
const slotsPerFile = 2 ** 16 / slotBytes;

function disassembleFile(all: readonly Uint8Array[], mode: x86_64.Mode): (Disassembled | null)[] {
  const directory = mkdtempSync(join(tmpdir(), 'domulator-objdump-'));
  const file = join(directory, 'bytes');
  try {
    const image = new Uint8Array(all.length * slotBytes).fill(0x90);
    for (const [index, bytes] of all.entries()) image.set(bytes, index * slotBytes);
    writeFileSync(file, image);
    const options = ['-D', '-z', '--insn-width=16', '-b', 'binary', '-m', machines[mode], file];
    const { stdout } = spawnSync(x86Objdump ?? '', options, { encoding: 'utf8', maxBuffer: 2 ** 28 });
    const found = new Map<number, Disassembled>();
    for (const [, address = '', bytes = '', text = ''] of stdout.matchAll(
      /^ *([0-9a-f]+):\t([0-9a-f ]+)\t(.*)$/gm,
    )) {
      found.set(parseInt(address, 16), { text, length: bytes.trim().split(/\s+/).length });
    }
    return all.map((_, index) => found.get(index * slotBytes) ?? null);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** objdump's text of each instruction, number n at address 32 n modulo 64 KiB; null where it saw none begin. */
export function disassemble(all: readonly Uint8Array[], mode: x86_64.Mode): (Disassembled | null)[] {
  const files = Math.ceil(all.length / slotsPerFile);
  return Array.from({ length: files }, (_, index) =>
    disassembleFile(all.slice(index * slotsPerFile, (index + 1) * slotsPerFile), mode),
  ).flat();
}

/** The address of instruction `index`. */
export function addressOf(index: number): bigint {
  return BigInt((index % slotsPerFile) * slotBytes);
}

/** Words that objdump writes before a mnemonic: prefixes. */
const prefixWords =
  /^(?:(?:rex(?:\.[WRXB]+)?|data16|data32|addr16|addr32|cs|ds|es|ss|fs|gs|repz|repnz|rep|lock|bnd|notrack|xacquire|xrelease) )+/;

/** A text with uniform white space, without comments, hints and prefixes, and the prefixes that matter. */
export function normal(text: string): { readonly text: string; readonly prefixes: readonly string[] } {
  const plain = text
    .replace(/\s*#.*$/, '')
    .replace(/\s+/g, ' ')
    .replace(/^((?:[\w.]+ )*(?:j|loop)\w*),p[nt]/, '$1')
    .trim();
  const [prefixes = ''] = prefixWords.exec(`${plain} `) ?? [];
  const words = prefixes.split(' ').filter((word) => /^(lock|rep|repz|repnz)$/.test(word));
  return { text: plain.slice(prefixes.length), prefixes: words };
}
