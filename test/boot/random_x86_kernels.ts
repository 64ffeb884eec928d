/**
 * Kernels for x86-64 of random code: bytes, instructions that exist, and accesses to hypercalls, ports, registers and the local APIC, in
 * every mode of the CPU. Whatever they do, the host continues, the run ends in time, and nothing changes outside the guest.
 */
import assert from 'node:assert/strict';
import type { TraceEvent } from '../../src/audit/index.js';
import { present } from '../../src/base/index.js';
import { Boot, bootReport } from '../../src/boot/index.js';
import type { BootOptions } from '../../src/boot/index.js';
import * as isa from '../../src/isa/x86_64/index.js';
import { Dice } from '../conformance/a64_draw.js';
import { drawBytes, encodings } from '../conformance/x86_draw.js';
import { xenFrames } from './random_kernels.js';

/** Parts of the image, which begins at `base`: the entry, tables, the code of another vCPU, and the random code. */
const base = 0x100_0000;
const at = {
  globalTable: base + 0x1000,
  images: base + 0x1100,
  task: base + 0x1200,
  startup: base + 0x1400,
  interruptTable: base + 0x2000,
  root: base + 0x3000,
  pointers: base + 0x4000,
  directory: base + 0x5000,
  code: base + 0xa000,
} as const;
const codeBytes = 0x2000;
const imageBytes = 0x1_0000;
const stackTop = base + 0x1_8000;

const limits = { instructions: 20_000, guestNs: 1_000_000_000n };
/** The longest turn. A run ends at the end of a turn. */
const longestTurn = 40_000;

export const entryModes = [
  '32-bit',
  '16-bit',
  '32-bit paging',
  'PAE',
  'long',
  'compatibility',
  'user',
  '32-bit user',
] as const;
type EntryMode = (typeof entryModes)[number];

const bitsOf = (mode: EntryMode): isa.Mode =>
  mode === 'long' || mode === 'user' ? 64 : mode === '16-bit' ? 16 : 32;

/** Selectors, by the place of the descriptors. */
const selectors = {
  code64: 8,
  data: 0x10,
  code32: 0x18,
  code16: 0x20,
  user32: 0x28,
  userData: 0x30,
  user64: 0x38,
  task: 0x40,
} as const;
const descriptors = [
  0n,
  0x00af_9b00_0000_ffffn,
  0x00cf_9300_0000_ffffn,
  0x00cf_9b00_0000_ffffn,
  0x0000_9b00_0000_ffffn | ((BigInt(at.code) & 0xff_ffffn) << 16n) | ((BigInt(at.code) >> 24n) << 56n),
  0x00cf_fb00_0000_ffffn,
  0x00cf_f300_0000_ffffn,
  0x00af_fb00_0000_ffffn,
  0x0000_8900_0000_0067n | ((BigInt(at.task) & 0xff_ffffn) << 16n) | ((BigInt(at.task) >> 24n) << 56n),
  0n,
] as const;

const hex = (value: number): string => `$0x${value.toString(16)}`;

/** Goes on in 32-bit code behind a far return. */
const farTo = (selector: number, target: number): string =>
  `push ${hex(selector)}\npush ${hex(target)}\nlret`;
const toUser = (selector: number): string =>
  `push ${hex(selectors.userData | 3)}\npush ${hex(stackTop)}\npush $0x3202\npush ${hex(selector | 3)}\npush ${hex(at.code)}`;

/** The code at the entry, which leads to the random code in a mode. `image` is the address of the tables' images. */
function entryText(mode: EntryMode, hasPage: boolean): string {
  const tables = `mov ${hex(at.images)}, %eax\nlgdtl (%eax)\nlidtl 0x10(%eax)\nmov ${hex(stackTop)}, %esp`;
  const data = ['ds', 'es', 'ss', 'fs', 'gs'].map((name) => `mov %eax, %${name}`).join('\n');
  const flat = `${tables}\nmov ${hex(selectors.data)}, %eax\n${data}`;
  // INIT and SIPIs for all others, which begin at a page that has a copy of their code.
  const others = hasPage
    ? `mov ${hex(at.startup)}, %esi\nmov $0x8000, %edi\nmov $0x80, %ecx\nrep movsl %ds:(%esi), %es:(%edi)\nmov $0xfee00300, %edi
       movl $0xc4500, (%edi)\nmovl $0xc4608, (%edi)`
    : '';
  const start = `.code32\n${flat}\n${others}`;
  const paging = (control: number, root: number, features: number): string =>
    `mov ${hex(control)}, %eax\nmov %eax, %cr4\nmov ${hex(root)}, %eax\nmov %eax, %cr3\nmov $0xc0000080, %ecx\nmov ${hex(features)}, %eax
     xor %edx, %edx\nwrmsr\nmov $0x80000033, %eax\nmov %eax, %cr0`;
  const long = `${start}\n${paging(0x6b0, at.root, 0xd01)}\nmov ${hex(selectors.task)}, %eax\nltr %ax`;
  switch (mode) {
    case '32-bit':
      return `${start}\n${farTo(selectors.code32, at.code)}`;
    case '16-bit':
      return `${start}\n${farTo(selectors.code16, 0)}`;
    case '32-bit paging':
      // The tables of long mode are no tables of 32 bits: the first entry of this one maps 4 MiB.
      return `${start}\n${paging(0x690, at.directory + 0x4000, 0)}\n${farTo(selectors.code32, at.code)}`;
    case 'PAE':
      return `${start}\n${paging(0x6b0, at.pointers + 0x800, 0x800)}\n${farTo(selectors.code32, at.code)}`;
    case 'long':
      return `${long}\n${farTo(selectors.code64, at.code)}`;
    case 'compatibility':
      return `${long}\n${farTo(selectors.code32, at.code)}`;
    case 'user':
      return `${long}\n${toUser(selectors.user64)}\niret`;
    case '32-bit user':
      return `${long}\n${toUser(selectors.user32)}\niret`;
  }
}

const systemForms = encodings.filter(({ opcode }) => opcode.map === 1 && opcode.byte < 0x40);
const rareForms = encodings.filter(({ opcode }) =>
  [
    0x8e, 0x9a, 0x9c, 0x9d, 0xc8, 0xca, 0xcb, 0xcc, 0xcd, 0xcf, 0xe4, 0xec, 0xee, 0xea, 0xf1, 0xf4, 0xfa,
    0xfb, 0xff, 0x6c, 0x6f,
  ].includes(opcode.byte),
);
const [movEax, vmmcall, wrmsr, rdmsr, outEax, inEax] = [
  0xb8,
  [0x0f, 0x01, 0xd9],
  [0x0f, 0x30],
  [0x0f, 0x32],
  [0xef],
  [0xed],
] as const;

const places = [
  base,
  at.code,
  at.globalTable,
  at.root,
  at.interruptTable,
  0,
  0x8000,
  0xfee0_0000,
  0xfc00_0000,
  0xfeff_c000,
  0x8000_0000,
  0xffff_ffff,
];
const modelSpecific = [
  0x10, 0x1b, 0x3b, 0x277, 0x6e0, 0x800, 0x80b, 0x80f, 0x830, 0x838, 0x83f, 0x4000_0000, 0xc000_0080,
  0xc000_0082, 0xc000_0101,
];
const ports = [0x20, 0x42, 0x61, 0x80, 0xe9, 0xcf8, 0xcfc, 0x3f8, 0xaf00, 0xb000];
const hypercalls = [12, 17, 18, 20, 21, 24, 29, 32, 34, 55];

function value(dice: Dice): number {
  const kind = dice.below(6);
  if (kind === 0) return dice.pick(places) + dice.below(0x1000);
  if (kind === 1) return dice.pick(modelSpecific) + dice.below(2);
  if (kind === 2) return dice.pick(ports);
  if (kind === 3) return dice.pick(hypercalls);
  return kind === 4 ? dice.below(16) : dice.word();
}

/** MOV of a number to one of the first eight registers; 16-bit code takes half of it. */
function load(dice: Dice, mode: isa.Mode, register = dice.below(8)): number[] {
  const number = value(dice);
  const bytes = [0, 8, 16, 24].map((shift) => Math.floor(number / 2 ** shift) & 0xff);
  return [movEax + (register === 4 ? 0 : register), ...(mode === 16 ? bytes.slice(0, 2) : bytes)];
}

/** A call or an access of the machine with registers that are plausible. */
function request(dice: Dice, mode: isa.Mode): number[] {
  const registers = [0, 1, 2, 3, 6, 7].flatMap((register) => load(dice, mode, register));
  return [...registers, ...dice.pick([vmmcall, vmmcall, wrmsr, rdmsr, outEax, inEax])];
}

function piece(dice: Dice, mode: isa.Mode, style: number): Iterable<number> {
  const kind = dice.below(16);
  if (style === 0 || kind === 0) return Array.from({ length: 1 + dice.below(8) }, () => dice.below(256));
  if (kind < 3) return request(dice, mode);
  if (kind < 6) return load(dice, mode);
  const all = style === 1 ? encodings : kind < 9 ? systemForms : kind < 11 ? rareForms : encodings;
  const bytes = drawBytes(dice.pick(all), dice, mode);
  const parsed = isa.parse(bytes, mode);
  return parsed.kind === 'parsed' ? bytes.slice(0, parsed.fields.length) : bytes;
}

function randomCode(dice: Dice, mode: isa.Mode, bytes: number): Uint8Array {
  const style = dice.below(3);
  const code: number[] = [];
  while (code.length < bytes) code.push(...piece(dice, mode, style));
  return Uint8Array.from(code.slice(0, bytes));
}

function image(dice: Dice, mode: EntryMode): Uint8Array {
  const bytes = new Uint8Array(imageBytes);
  const view = new DataView(bytes.buffer);
  const offset = (address: number): number => address - base;
  const put64 = (address: number, number: bigint): void => view.setBigUint64(offset(address), number, true);
  bytes.set(isa.assemble(isa.x86, entryText(mode, dice.below(2) === 0), base, 32).bytes);
  for (const [index, descriptor] of descriptors.entries()) put64(at.globalTable + 8 * index, descriptor);
  const wide = bitsOf(mode) === 64 || mode === 'compatibility' || mode === '32-bit user';
  view.setUint16(offset(at.images), 8 * descriptors.length - 1, true);
  view.setUint32(offset(at.images) + 2, at.globalTable, true);
  // Gates lead into the random code; or there are none.
  view.setUint16(offset(at.images) + 0x10, dice.below(4) === 0 ? 0 : 0xfff, true);
  view.setUint32(offset(at.images) + 0x12, at.interruptTable, true);
  for (let vector = 0; vector < 256; vector += 1) {
    const handler = BigInt(at.code + dice.below(codeBytes));
    const kind = BigInt(dice.pick([0x8e, 0x8f, 0xee, 0xef])) << 40n;
    const selector = BigInt(wide ? selectors.code64 : selectors.code32) << 16n;
    const gate = (handler & 0xffffn) | selector | kind | ((handler >> 16n) << 48n);
    put64(at.interruptTable + (wide ? 16 : 8) * vector, wide ? gate | (1n << 32n) : gate);
  }
  for (const place of [4, 0x24]) put64(at.task + place, BigInt(stackTop));
  put64(at.root, BigInt(at.pointers) | 7n);
  for (let index = 0; index < 4; index += 1) {
    put64(at.pointers + 8 * index, BigInt(at.directory + 0x1000 * index) | 7n);
    put64(at.pointers + 0x800 + 8 * index, BigInt(at.directory + 0x1000 * index) | 1n);
  }
  for (let index = 0; index < 2048; index += 1)
    put64(at.directory + 8 * index, (BigInt(index) << 21n) | 0x87n);
  for (let index = 0; index < 1024; index += 1)
    view.setUint32(offset(at.directory) + 0x4000 + 4 * index, ((index << 22) | 0x87) >>> 0, true);
  bytes.set(randomCode(dice, 16, 0x200), offset(at.startup));
  bytes.set(randomCode(dice, bitsOf(mode), codeBytes), offset(at.code));
  return bytes;
}

function options(dice: Dice, mode: EntryMode): BootOptions {
  const vcpus = 1 + dice.below(4);
  return {
    kernel: {
      name: 'random',
      version: null,
      sha256: '',
      image: image(dice, mode),
      memoryBytes: imageBytes + 0x1_0000,
      placement: { architecture: 'amd64', loadAt: base, entry: base },
    },
    initrd: null,
    commandLine: '',
    vcpus,
    memoryMiB: 32,
    release: dice.pick(['4.17', '4.18'] as const),
    seed: dice.below(1000),
    xenstore: dice.below(2) === 0,
    whatIf: null,
    entryVcpu: dice.below(vcpus),
    until: { kind: dice.pick(['poweroff', 'userspace'] as const) },
    limits,
  };
}

export interface RandomRun {
  readonly mode: EntryMode;
  readonly outcome: string;
  readonly instructions: number;
  readonly hypercalls: number;
}

/** Boots the kernel of a seed. */
export function bootRandomX86Kernel(seed: number): RandomRun {
  const dice = new Dice(seed);
  const mode = present(entryModes[seed % entryModes.length], 'a mode');
  const asked = options(dice, mode);
  const events: TraceEvent[] = [];
  const boot = new Boot(asked, { event: (event) => events.push(event) });
  const before = Buffer.from(xenFrames(boot.guest));
  while (boot.step(5_000) !== 'ended');
  const result = boot.result();
  assert.ok(result.instructions <= limits.instructions + longestTurn, `${result.instructions} instructions`);
  assert.ok(
    JSON.stringify(bootReport(asked, result, { package: null, suites: [] }, { wallMs: 1, node: '' })),
  );
  const hypercalls = events.filter(({ kind }) => kind === 'hypercall').length;
  if (hypercalls === 0) assert.ok(xenFrames(boot.guest).equals(before), 'Xen’s frames');
  return { mode, outcome: result.outcome, instructions: result.instructions, hypercalls };
}
