/** Compares the assembler of x86-64 with GNU as: both must assemble objdump's text of random instructions to the same bytes. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import * as x86_64 from '../../src/isa/x86_64/index.js';
import { Dice } from './a64_draw.js';
import { drawBytes, encodings } from './x86_draw.js';

const prefix = ['x86_64-linux-gnu-', ''].find(
  (each) => spawnSync(`${each}as`, ['--64', '--version'], { stdio: 'ignore' }).status === 0,
);
const skip = prefix === undefined ? 'no as for x86-64' : false;
const slotBytes = 16;

/** What GNU as does not read as objdump writes it, and forms with addresses or labels. */
const unreadable =
  /^(movsww|movzww|movsxd|repnz (movs|stos|lods|ins|outs)|l[sfg]s .*,%r)|[er]iz|^(j|callw? 0x|loop|movabs 0x|movabs %)|^nop[wlq]|^bswap %(\w\w|r\d+w)$|^ud[01]/;

/** What GNU as makes shorter than objdump's text says, among others by leaving out a segment that is implied. */
const shortened =
  /\$0x1,|^(sldt|str|smsw) %r|^mov %\w+,%[c-gs]s$|^mov %[c-gs]s,%r|%[ds]s:|^xchg %|^p?movmsk.*,%r(\w\w|\d+)$|^int \$0x3$/;

/** What has two encodings that mean the same, of which GNU as takes the other one: x87 on ST(0) alone, and moffs. */
const ambiguous =
  /^f\w+ %st,%st\(0\)$|^mov (%(al|ax|eax),(%\ws:)?0x[0-9a-f]+|(%\ws:)?0x[0-9a-f]+,%(al|ax|eax))$/;

function drawTexts(mode: 32 | 64): string[] {
  const [dice, decoder] = [new Dice(mode), x86_64.makeDecoder(x86_64.x86)];
  const chosen = encodings.filter(({ modes, name }) => modes.includes(mode) && !/moffs|_ptr/.test(name));
  const texts = Array.from({ length: 4000 }, (_, turn) => {
    const found = decoder.decode(drawBytes(chosen[turn % chosen.length]!, dice, mode), mode);
    if (found.kind !== 'instruction' || found.fields.addressBits !== mode) return '';
    return x86_64.printInstruction(found.instruction, found.fields, 0n);
  });
  return texts.filter(
    (text) => text !== '' && ![unreadable, shortened, ambiguous].some((left) => left.test(text)),
  );
}

/** GNU's bytes of each text, and NOPs behind them. */
function assembleByGnu(texts: readonly string[], mode: 32 | 64): Uint8Array {
  const folder = mkdtempSync(join(tmpdir(), 'domulator-as-'));
  const [source, object, binary] = ['text.s', 'object', 'binary'].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ];
  try {
    writeFileSync(source, texts.map((text) => `.balign ${slotBytes}, 0x90\n${text}\n`).join(''));
    const { status, stderr } = spawnSync(`${prefix}as`, [`--${mode}`, '-o', object, source], {
      encoding: 'utf8',
    });
    const failures = [...stderr.matchAll(/:(\d+): Error: (.*)/g)].map(
      ([, line, what]) => `${texts[Number(line) / 2 - 1]}: ${what}`,
    );
    assert.equal(status, 0, failures.slice(0, 20).join('\n'));
    assert.equal(spawnSync(`${prefix}objcopy`, ['-O', 'binary', object, binary]).status, 0);
    return new Uint8Array(readFileSync(binary));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

for (const mode of [64, 32] as const) {
  test(`the assembler makes the same bytes as GNU as, in ${mode}-bit code`, { skip }, (t) => {
    const texts = drawTexts(mode);
    const theirs = assembleByGnu(texts, mode);
    const differ = texts.flatMap((text, index) => {
      const { bytes } = x86_64.assemble(x86_64.x86, text, 0, mode);
      const other = theirs.slice(slotBytes * index, slotBytes * index + bytes.length);
      const [mine, expected] = [bytes, other].map((each) => Buffer.from(each).toString('hex'));
      return mine === expected ? [] : [`${text}: ${mine}, as ${expected}`];
    });
    t.diagnostic(`${texts.length} instructions, ${differ.length} differ`);
    assert.ok(texts.length > 1000);
    assert.deepEqual(differ.slice(0, 30), []);
  });
}
