/** Compares the assembler with GNU as: both must assemble the builtin guest's source to the same bytes. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { builtinKernel, builtinSource } from '../../src/builtin_guest/arm64/index.js';
import { a64, makeDecoder, printInstruction } from '../../src/isa/index.js';
import { expandAlias } from '../../src/isa/arm64/assembler/aliases.js';

const tools = ['as', 'ld', 'objcopy'].map((tool) => `aarch64-linux-gnu-${tool}`);
const missing = tools.find((tool) => spawnSync(tool, ['--version'], { stdio: 'ignore' }).status !== 0);
const skip = missing === undefined ? false : `no ${missing}`;

/** GNU as does not have this pair, and it needs all labels in one section to subtract them. */
const preamble = `
.arch armv8-a+crypto+crc
.macro adrl register, label
  adrp \\register, \\label
  add \\register, \\register, :lo12:\\label
.endm
`;

/**
 * Adapts the source for GNU as, which differs in numbers that take several moves, the section for uninitialised data,
 * and gaps filled with NOPs.
 */
function forGnu(source: string): string {
  return source
    .split('\n')
    .flatMap((line) => {
      if (/^\s*\.bss/.test(line)) return [];
      if (/^\s*\.balign/.test(line)) return [`${line}, 0`];
      const [, label = '', move] = /^(\w+:)?\s*(mov\s+[wx]\d+,\s*#\S+)/.exec(line) ?? [];
      if (move === undefined) return [line];
      const [, register = '', value = ''] = /^mov\s+(\w+),\s*(#\S+)/.exec(move) ?? [];
      return [label, ...expandAlias(`mov ${register}, ${value}`)];
    })
    .join('\n');
}

function run(tool: string, args: readonly string[]): void {
  const { status, stderr } = spawnSync(`aarch64-linux-gnu-${tool}`, args, { encoding: 'utf8' });
  assert.equal(status, 0, `${tool}: ${stderr}`);
}

function assembleByGnu(source: string): Uint8Array {
  const folder = mkdtempSync(path.join(tmpdir(), 'domulator-assembler-'));
  const [text, object, linked, binary] = ['text.s', 'object', 'linked', 'binary'].map((name) =>
    path.join(folder, name),
  ) as [string, string, string, string];
  try {
    writeFileSync(text, preamble + source);
    run('as', ['-o', object, text]);
    run('ld', ['-Ttext=0', '-e', '0', '-z', 'max-page-size=4096', '-o', linked, object]);
    run('objcopy', ['-O', 'binary', linked, binary]);
    return new Uint8Array(readFileSync(binary));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

test('GNU as assembles the same source to the same kernel', { skip }, () => {
  const { image, memoryBytes } = builtinKernel();
  const theirs = assembleByGnu(forGnu(builtinSource()));
  assert.equal(theirs.length, memoryBytes);
  const decoder = makeDecoder(a64());
  const word = (bytes: Uint8Array, at: number): number =>
    new DataView(bytes.buffer, bytes.byteOffset).getUint32(at, true);
  const text = (code: number): string => {
    const found = decoder.decode(code);
    return found === null ? code.toString(16) : printInstruction(found, code, 0n);
  };
  for (let at = 0; at < image.length; at += 4) {
    const [our, their] = [word(image, at), word(theirs, at)];
    assert.equal(our, their, `at ${at.toString(16)}: '${text(our)}' and '${text(their)}'`);
  }
});
