/**
 * Compares the text and length of x86-64 instructions with GNU objdump's, in all three modes: random bytes of every encoding,
 * and random bytes of the one- and two-byte maps. DOMULATOR_X86_WORDS is their number, DOMULATOR_X86_SEED their seed, and
 * DOMULATOR_X86_ONLY a pattern of encodings.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as x86_64 from '../../src/isa/x86_64/index.js';
import { Dice } from './a64_draw.js';
import { drawAnything, drawBytes, encodings } from './x86_draw.js';
import { addressOf, disassemble, normal, x86Objdump } from './x86_objdump.js';
import type { Disassembled } from './x86_objdump.js';

const wanted = Number(process.env['DOMULATOR_X86_WORDS'] ?? 5_000);
const seed = Number(process.env['DOMULATOR_X86_SEED'] ?? 1);
const only = new RegExp(process.env['DOMULATOR_X86_ONLY'] ?? '');
const skip = x86Objdump === null ? 'no objdump for x86-64' : false;
const decoder = x86_64.makeDecoder(x86_64.x86);

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

/** Where objdump differs from what CPUs do, or writes what it does not mean. */
const known: readonly ((name: string, fields: x86_64.Fields, theirs: string) => boolean)[] = [
  // A REX prefix that another prefix follows has no effect; objdump ends an instruction there. So it does before FWAIT.
  (_, _fields, theirs) => /^(\S+ )*rex(\.\w+)?$/.test(theirs),
  (name) => name === 'FWAIT',
  // The fences ignore ModRM.rm (Intel SDM, LFENCE).
  (name) => /^[LMS]FENCE$/.test(name),
  // TZCNT and LZCNT are BSF and BSR to a CPU that does not advertise them, and F2 is ignored.
  (name, { repeat }) => /^BS[FR]_/.test(name) && repeat !== 0,
  // F3 makes PAUSE of 90 only without REX.B.
  (name, { repeat }) => name.startsWith('XCHG_r_rax') && repeat === 0xf3,
  // 3E before an indirect branch is `notrack`, which hides the segment.
  (_, _fields, theirs) => theirs.includes('notrack'),
  // MOVSXD of 16 bits reads 16 bits.
  (name) => name.startsWith('MOVSXD_r_rm.16'),
  // RDSSP is a NOP to a CPU that does not advertise shadow stacks.
  (name, { repeat }) => name.startsWith('NOP_rm_1E') && repeat === 0xf3,
  // MPX, CLDEMOTE and PREFETCHIT are NOPs to a CPU that does not advertise them, and WBNOINVD is WBINVD.
  (name, _fields, theirs) => /^NOP_rm_1[8ABC]/.test(name) && /^(\S+ )*(bnd|cldemote|prefetchit)/.test(theirs),
  // WBINVD ignores 66 and F2 (an EPYC does).
  (name, { repeat, narrow }) => name === 'WBINVD' && (repeat !== 0 || narrow === 1),
  // 66 beside F2 and F3 does not make XMM registers of MMX registers.
  (name, { narrow }) => /^MOV(Q2DQ|DQ2Q)/.test(name) && narrow === 1,
  // Bases of segments are read and written in 32 or 64 bits (Intel SDM, RDFSBASE).
  (name, { narrow }) => /^(RD|WR)[FG]SBASE/.test(name) && narrow === 1,
  // REX.W wins over 66.
  (name, { wide, narrow }) =>
    /^(L(CALL|JMP)_m|F(LDENV|NSTENV|NSAVE|RSTOR))/.test(name) && wide === 1 && narrow === 1,
];

/**
 * A branch's text with its target cut to 16 bits, where the operand size is 16: objdump cuts it neither with offsets of 8 bits
 * nor, where there is another prefix, at the end of the segment.
 */
function withShortTarget(text: string, { encoding, form }: x86_64.X86Instruction): string {
  if (form.bits !== 16 || !encoding.opcode.immediates.includes('cb')) return text;
  return text.replace(/0x[0-9a-f]+$/, (target) => `0x${BigInt.asUintN(16, BigInt(target)).toString(16)}`);
}

/** What differs, or null. */
function difference(
  bytes: Uint8Array,
  index: number,
  mode: x86_64.Mode,
  theirs: Disassembled | null,
): string | null {
  const found = decoder.decode(bytes, mode);
  if (found.kind === 'truncated' || found.kind === 'tooLong') return null;
  if (theirs === null) return `${hex(bytes)}: objdump sees none`;
  if (found.kind === 'undefined') {
    const length = found.fields?.length;
    const isKnown = length !== undefined && !/\(bad\)|^(\S+ )*rex(\.\w+)?$/.test(theirs.text.trim());
    return isKnown && theirs.length !== length
      ? `${hex(bytes)}: ${length} bytes, objdump ${theirs.length}: ${theirs.text}`
      : null;
  }
  const { instruction, fields } = found;
  const mine = normal(x86_64.printInstruction(instruction, fields, addressOf(index)));
  const other = normal(theirs.text);
  const [own, expected] = [mine.text, other.text].map((text) => withShortTarget(text, instruction));
  const isSame = own === expected && mine.prefixes.every((prefix) => other.prefixes.includes(prefix));
  if (isSame && fields.length === theirs.length) return null;
  if (known.some((holds) => holds(instruction.name, fields, theirs.text.trim()))) return null;
  return `${hex(bytes.slice(0, fields.length))} ${instruction.name}: ${mine.prefixes.join(' ')} ${mine.text} (${fields.length}), objdump ${theirs.text} (${theirs.length})`;
}

function compare(mode: x86_64.Mode, all: readonly Uint8Array[]): string[] {
  // What is behind an instruction does not matter to objdump only if it is not there.
  const cut = all.map((bytes) => {
    const parsed = x86_64.parse(bytes, mode);
    return parsed.kind === 'parsed' ? bytes.slice(0, parsed.fields.length) : bytes;
  });
  const theirs = disassemble(cut, mode);
  return cut.flatMap((bytes, index) => difference(bytes, index, mode, theirs[index] ?? null) ?? []);
}

for (const mode of x86_64.modes) {
  const chosen = encodings.filter(({ name, modes }) => only.test(name) && modes.includes(mode));

  test(`every encoding has the same text and length as in objdump, in ${mode}-bit code`, { skip }, (t) => {
    const dice = new Dice(seed + mode);
    const all = Array.from({ length: wanted }, (_, turn) =>
      drawBytes(chosen[turn % chosen.length]!, dice, mode),
    );
    const differ = compare(mode, all);
    t.diagnostic(`${all.length} instructions, ${differ.length} differ`);
    assert.equal(differ.length, 0, `${differ.length} differ:\n${differ.slice(0, 60).join('\n')}`);
  });

  test(`random bytes have the same text and length as in objdump, in ${mode}-bit code`, { skip }, (t) => {
    const dice = new Dice(seed + 1000 + mode);
    const all = Array.from({ length: wanted }, () => drawAnything(dice, mode));
    const differ = compare(mode, all);
    t.diagnostic(`${all.length} instructions, ${differ.length} differ`);
    assert.equal(differ.length, 0, `${differ.length} differ:\n${differ.slice(0, 60).join('\n')}`);
  });
}
