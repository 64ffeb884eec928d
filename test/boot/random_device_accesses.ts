/**
 * A PVHVM kernel that does nothing but access ports and memory-mapped registers of the platform at random, with and without interrupts.
 * Whatever it does, the host continues, and nothing changes outside the guest.
 */
import assert from 'node:assert/strict';
import {
  HPET_BASE_ADDRESS,
  PCI_MEM_START,
  VIOAPIC_DEFAULT_BASE_ADDRESS,
  viewOf,
} from '../../src/abi/index.js';
import { present } from '../../src/base/index.js';
import { Boot } from '../../src/boot/index.js';
import type { BootOptions } from '../../src/boot/index.js';
import { readPhysical } from '../../src/boot/physical_memory.js';
import * as isa from '../../src/isa/x86_64/index.js';
import { Dice } from '../conformance/a64_draw.js';
import { xenFrames } from './random_kernels.js';

/** Parts of the image, which begins at `base`. */
const base = 0x100_0000;
const at = {
  handler: base + 0x800,
  operations: base + 0x1000,
  ports: base + 0x2000,
  masks: base + 0x2800,
  addresses: base + 0x3000,
  image: base + 0x4000,
  interruptTable: base + 0x5000,
  count: base + 0x6000,
} as const;
const imageBytes = 0x7000;
const stackTop = base + 0x1_8000;
/** Instructions of one access, at most. */
const perAccess = 40;

/** Ports near which there are devices, in runs of 8, 4 or 1. */
const ports = {
  8: [
    ...[
      0x00, 0x08, 0x10, 0x20, 0x40, 0x70, 0x80, 0x87, 0xa0, 0xc0, 0xe8, 0x1f0, 0x2e8, 0x2f8, 0x370, 0x3c0,
      0x3d0,
    ],
    ...[0x3e8, 0x3f0, 0x3f8, 0x4d0, 0x510, 0xae00, 0xaf00, 0xafe0, 0xb008, 0xb100, 0xc000, 0xc008, 0xc100],
  ],
  4: [0xcfc, 0xcfc],
  1: [0xcf8, 0xcf8, 0xcf8, 0x60, 0xb000],
} as const;
/** Ports at or behind which a guest powers itself off or resets itself, sooner or later. */
const endingPorts = [0x61, 0x64, 0x92, 0xcf9, 0xb004] as const;

/** Pages with registers, and pages with none; each access adds 0 to 1023. */
const addresses = [
  ...[VIOAPIC_DEFAULT_BASE_ADDRESS, VIOAPIC_DEFAULT_BASE_ADDRESS, HPET_BASE_ADDRESS, HPET_BASE_ADDRESS],
  ...[0xfee0_0000, PCI_MEM_START, 0xf100_0000, 0xf200_0000, 0xfc00_0000, 0xfeff_8000, 0xfeff_c000, 0xa_0000],
  ...[0xf_0000, 0xb_8000, 0xfed4_0000, 0xffff_0000],
];

const hex = (value: number | bigint): string => `$0x${value.toString(16)}`;

/** One access each: port DX or address RDI, value RAX. */
const operations = [
  'in (%dx), %al',
  'in (%dx), %ax',
  'in (%dx), %eax',
  'out %al, (%dx)',
  'out %ax, (%dx)',
  'out %eax, (%dx)',
  'out %al, (%dx)',
  'in (%dx), %al',
  'mov (%rdi), %al',
  'mov (%rdi), %eax',
  'mov (%rdi), %rax',
  'mov (%rdi), %ax',
  'mov %al, (%rdi)',
  'mov %eax, (%rdi)',
  'mov %rax, (%rdi)',
  'mov %eax, (%rdi)',
] as const;
/** Bytes of an operation and of the jump back. */
const operationBytes = 16;

/** RBX: a random number, made anew by shifts (Marsaglia, Xorshift RNGs); R8: how many accesses are left. */
function loopText(seed: bigint, accesses: number, interrupts: boolean): string {
  return `.code64
    mov ${hex(at.image)}, %eax
    lidt (%rax)
    mov ${hex(stackTop)}, %esp
    movabs ${hex(seed)}, %rbx
    mov ${hex(accesses)}, %r8d
    ${interrupts ? 'sti' : 'cli'}
  next:
    mov %rbx, %rax
    shl $13, %rax
    xor %rax, %rbx
    mov %rbx, %rax
    shr $7, %rax
    xor %rax, %rbx
    mov %rbx, %rax
    shl $17, %rax
    xor %rax, %rbx
    mov %r8d, ${at.count}
    dec %r8d
    js done
    mov %rbx, %rcx
    shr $20, %rcx
    and $63, %ecx
    movzwl ${at.ports}(,%rcx,2), %edx
    mov ${at.addresses}(,%rcx,4), %edi
    mov %rbx, %rax
    shr $44, %rax
    and ${at.masks}(,%rcx,2), %ax
    movzwl %ax, %eax
    add %eax, %edx
    mov %rbx, %rax
    shr $40, %rax
    and $1023, %eax
    add %rax, %rdi
    mov %rbx, %rsi
    shr $56, %rsi
    and $15, %esi
    shl $4, %esi
    add ${hex(at.operations)}, %esi
    mov %rbx, %rax
    shr $7, %rax
    jmp *%rsi
  done:
    cli
    hlt`;
}

function image(dice: Dice, accesses: number): Uint8Array {
  const bytes = new Uint8Array(imageBytes);
  const view = new DataView(bytes.buffer);
  const put = (text: string, address: number): ReadonlyMap<string, number> => {
    const { bytes: code, symbols } = isa.assemble(isa.x86, text, address, 64);
    bytes.set(code, address - base);
    return symbols;
  };
  const seed = (BigInt(dice.word()) << 32n) | BigInt(dice.word()) | 1n;
  const symbols = put(loopText(seed, accesses, dice.below(2) === 0), base);
  // Acknowledges nothing, so that only what is of a higher priority interrupts again; or both controllers and the local APIC.
  const acknowledge = `mov ${hex(0xfee0_00b0)}, %edi\nmovl $0, (%rdi)\nmov $0x20, %al\nout %al, $0xa0\nout %al, $0x20`;
  put(
    `.code64\npush %rax\npush %rdi\n${dice.below(4) === 0 ? '' : acknowledge}\npop %rdi\npop %rax\niretq`,
    at.handler,
  );
  for (const [index, operation] of operations.entries())
    put(
      `.code64\n${operation}\njmp 0x${(symbols.get('next') ?? 0).toString(16)}`,
      at.operations + index * operationBytes,
    );
  const all = [
    ...ports[8].map((port) => [port, 7] as const),
    ...ports[4].map((port) => [port, 3] as const),
    ...ports[1].map((port) => [port, 0] as const),
    ...(dice.below(4) === 0 ? endingPorts.map((port) => [port, 0] as const) : []),
  ];
  for (let index = 0; index < 64; index += 1) {
    const [port, mask] = all[index] ?? [0x1000 + dice.below(0x9000), 7];
    view.setUint16(at.ports - base + 2 * index, port, true);
    view.setUint16(at.masks - base + 2 * index, mask, true);
    view.setUint32(at.addresses - base + 4 * index, addresses[index % addresses.length] ?? 0, true);
  }
  for (let vector = 0; vector < 256; vector += 1) {
    const handler = BigInt(at.handler);
    const gate = (handler & 0xffffn) | (0x10n << 16n) | (0x8en << 40n) | ((handler >> 16n) << 48n);
    view.setBigUint64(at.interruptTable - base + 16 * vector, gate, true);
  }
  view.setUint16(at.image - base, 0xfff, true);
  view.setBigUint64(at.image - base + 2, BigInt(at.interruptTable), true);
  return bytes;
}

export interface DeviceRun {
  readonly outcome: string;
  readonly ending: string;
  /** Accesses that were made before the guest ended: it may power itself off, or reset itself. */
  readonly accesses: number;
  readonly instructions: number;
}

/** Boots the kernel of a seed, which makes so many accesses. */
export function bootRandomDeviceAccesses(seed: number, accesses: number): DeviceRun {
  const dice = new Dice(seed);
  const vcpus = 1 + dice.below(4);
  const options: BootOptions = {
    kernel: {
      name: 'random',
      version: null,
      sha256: '',
      image: image(dice, accesses),
      memoryBytes: imageBytes + 0x1_8000,
      placement: { architecture: 'amd64', loadAt: base, entry: base, entry64: base },
    },
    initrd: null,
    commandLine: '',
    vcpus,
    memoryMiB: 64,
    type: 'hvm',
    release: dice.pick(['4.17', '4.18'] as const),
    seed: dice.below(1000),
    xenstore: dice.below(2) === 0,
    whatIf: null,
    entryVcpu: 0,
    until: { kind: 'poweroff' },
    limits: { instructions: accesses * perAccess * 2, guestNs: 1_000_000_000_000n },
  };
  const boot = new Boot(options);
  const before = Buffer.from(xenFrames(boot.guest));
  while (boot.step(200_000) !== 'ended');
  const { outcome, ending, instructions } = boot.result();
  assert.ok(xenFrames(boot.guest).equals(before), 'Xen’s frames');
  const left = viewOf(present(readPhysical(boot.machine, BigInt(at.count), 4), 'the count')).getUint32(
    0,
    true,
  );
  return { outcome, ending, accesses: accesses - left, instructions };
}
