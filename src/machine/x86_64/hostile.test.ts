/** Guests that do what no kernel does: random registers, ports, local APIC accesses and hypercalls, from all vCPUs. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { present, valueToJson } from '../../base/index.js';
import { draw, drawBetween, randomOf } from '../random.js';
import type { Random } from '../random.js';
import { hashSaved } from '../state.js';
import { testGuest } from './test_guest.js';
import type { TestGuest } from './test_guest.js';

/** Acts of 32 bytes each: what to do, a number, and three values. */
const acts = { at: 0x3_0000, count: 4000, bytes: 32 } as const;
const kinds = 11;

function pick<T>(random: Random, values: readonly T[]): T {
  const found = values[drawBetween(random, 0, values.length - 1)];
  assert.ok(found !== undefined);
  return found;
}

/** A value of any size, an address in the guest, or a small number. */
function anyValue(random: Random): bigint {
  const size = BigInt(drawBetween(random, 0, 63));
  const values = [
    draw(random) >> size,
    0x6000n + (draw(random) & 0x1ff8n),
    draw(random) & 7n,
    draw(random) & 0xffffn,
  ];
  return pick(random, values);
}

function anyRegister(random: Random): number {
  const any = drawBetween(random, 0, 0xffff_ffff);
  const ranges = [
    0x800 + (any & 0x3f),
    0x200 + (any & 0xff),
    0xc001_0000 + (any & 0xff),
    0x4000_0000 + (any & 3),
    any,
  ];
  return pick(random, [0x10, 0x1b, 0x3b, 0x6e0, 0x830, 0x838, 0x832, 0x80f, ...ranges]);
}

/** Ports of an HVM guest's devices, but for those that end it. */
const devicePorts = [
  0x20, 0x21, 0xa0, 0xa1, 0x4d0, 0x40, 0x43, 0x61, 0x70, 0x71, 0x60, 0x10, 0x12, 0xcf8, 0xcfc, 0xcfd, 0xcfe, 0xae0c,
  0xaf00, 0xafe2, 0xb000, 0xb002, 0xb008, 0xc000, 0xc100, 0xc102, 0x1f7, 0x0d, 0x87,
]; // prettier-ignore
/** Where memory-mapped devices lie behind the I/O APIC: that, the HPET, and the local APIC. */
const devicePages = [0, 0x10_0000, 0x20_0000] as const;

/** The number of an act on an HVM guest's devices: a port, or a place in memory; as for others where it is of another kind. */
function deviceNumber(random: Random, kind: number): number {
  if (kind === 2 || kind === 3 || kind === 10) {
    return pick(random, [pick(random, devicePorts), pick(random, devicePorts), numberOf(random, 2)]);
  }
  if (kind !== 5 && kind !== 6) return numberOf(random, kind);
  const offset = pick(random, [0, 0, 0x10, 0x10, drawBetween(random, 0, 0x3ff), numberOf(random, 5)]);
  return pick(random, devicePages) + offset;
}

/** The number of an act: a register, a port, a call, a register's place in the xAPIC page, or a leaf. */
function numberOf(random: Random, kind: number): number {
  if (kind <= 1) return anyRegister(random);
  if (kind <= 3) return drawBetween(random, 0, 0xffff);
  if (kind === 4) return pick(random, [12, 17, 20, 21, 24, 29, 32, 33, 34, 41, drawBetween(random, 0, 63)]);
  if (kind <= 6)
    return pick(random, [0x300, 0x310, 0xf0, 0x80, 0xb0, 0x320, 0x380, 0x3e0, drawBetween(random, 0, 0xfff)]);
  return drawBetween(random, 0, 0xffff_ffff);
}

function randomActs(seed: number, hvm: boolean): Uint8Array {
  const random = randomOf(seed);
  const view = new DataView(new ArrayBuffer(acts.count * acts.bytes));
  for (let index = 0; index < acts.count; index += 1) {
    const at = index * acts.bytes;
    const kind = drawBetween(random, 0, kinds - 1);
    view.setUint32(at, kind, true);
    view.setUint32(at + 4, hvm ? deviceNumber(random, kind) : numberOf(random, kind), true);
    for (const place of [8, 16, 24]) view.setBigUint64(at + place, anyValue(random), true);
  }
  return new Uint8Array(view.buffer);
}

const program = (memory: string): string => `
    mov $0x1b, %ecx
    rdmsr
    or $0x400, %eax
    wrmsr
    mov $0x80f, %ecx
    mov $0x1ff, %eax
    wrmsr
    mov $0x830, %ecx
    mov $0x608, %eax
    mov $0x2, %edx
    wrmsr
    mov $0x4, %edx
    wrmsr
  next:
    mov $0x1, %ebx
    lock xadd %rbx, 0x4000
    cmp $${acts.count}, %ebx
    jae end
    shl $0x5, %rbx
    add $${acts.at}, %rbx
    mov (%rbx), %esi
    mov 0x4(%rbx), %ecx
    mov %ecx, %edx
    mov 0x8(%rbx), %eax
    cmp $0x1, %esi
    je read_register
    cmp $0x2, %esi
    je read_port
    cmp $0x3, %esi
    je write_port
    cmp $0x4, %esi
    je call
    cmp $0x5, %esi
    je write_page
    cmp $0x6, %esi
    je read_page
    cmp $0x7, %esi
    je priority
    cmp $0x8, %esi
    je open
    cmp $0x9, %esi
    je identify
    cmp $0xa, %esi
    je write_word
    mov 0xc(%rbx), %edx
    wrmsr
    jmp next
  read_register:
    rdmsr
    jmp next
  read_port:
    in (%dx), %eax
    jmp next
  write_port:
    out %al, (%dx)
    jmp next
  write_word:
    out %eax, (%dx)
    jmp next
  call:
    mov %ecx, %eax
    mov 0x8(%rbx), %rdi
    mov 0x10(%rbx), %rsi
    mov 0x18(%rbx), %rdx
    vmmcall
    jmp next
  write_page:
    mov $${memory}, %esi
    mov %eax, (%rsi,%rcx,1)
    jmp next
  read_page:
    mov $${memory}, %esi
    mov (%rsi,%rcx,1), %eax
    jmp next
  priority:
    and $0xf, %eax
    mov %rax, %cr8
    jmp next
  open:
    sti
    nop
    cli
    jmp next
  identify:
    mov %ecx, %eax
    mov 0x10(%rbx), %ecx
    cpuid
    jmp next
  end:
    cli
    hlt
    jmp end
  protect:
    add $0x8, %rsp
    addq $0x2, (%rsp)
  ignore:
    iretq
`;

function guestOf(seed: number, hvm = false): TestGuest {
  const vectors = Array.from({ length: 256 }, (_, vector) => vector).filter(
    (vector) => vector >= 32 || vector === 2,
  );
  const gates = Object.fromEntries([
    ...vectors.map((vector) => [vector, 'ignore']),
    [13, 'protect'],
  ]) as Record<number, string>;
  const text = program(hvm ? '0xfec00000' : '0xfee00000');
  const guest = testGuest(text, { vcpus: 3, seed, secondary: 'next', gates, hvm });
  guest.machine.load(BigInt(acts.at), randomActs(seed, hvm));
  return guest;
}

describe('a hostile guest', () => {
  it('ends, hangs or runs on, and never throws', () => {
    let done = 0n;
    for (let seed = 1; seed <= 6; seed += 1) {
      const guest = guestOf(seed);
      const reason = guest.machine.run(400_000, 10_000_000_000n);
      assert.ok(['shutdown', 'stuck', 'limit'].includes(reason), reason);
      done += guest.result(0);
      assert.equal(guest.machine.nowNs >= BigInt(guest.machine.instructions), true);
    }
    assert.ok(done > 1000n, `${done} acts`);
  });

  it('does as little to the devices of an HVM guest', () => {
    let done = 0n;
    for (let seed = 1; seed <= 6; seed += 1) {
      const guest = guestOf(seed, true);
      guest.machine.run(400_000, 10_000_000_000n);
      done += guest.result(0);
    }
    assert.ok(done > 1000n, `${done} acts`);
  });

  it('can be saved in the midst of its run, and goes on from there as it would have', () => {
    for (const [seed, hvm] of [
      [3, false],
      [5, false],
      [2, true],
      [4, true],
    ] as const) {
      const whole = guestOf(seed, hvm);
      const cut = guestOf(seed, hvm);
      cut.machine.run(9_000, 10_000_000_000n);
      const saved = cut.machine.save();
      const other = guestOf(seed, hvm);
      other.machine.restore(saved);
      assert.equal(hashSaved(other.machine.save()), hashSaved(saved));
      for (const guest of [whole, other]) {
        guest.machine.run(60_000 - guest.machine.instructions, 10_000_000_000n);
      }
      assert.equal(hashSaved(other.machine.save()), hashSaved(whole.machine.save()));
    }
  });
});

/** Accesses to ports and to memory-mapped devices, as a vCPU makes them. */
describe("an HVM guest's platform", () => {
  it('takes 100,000 random accesses: none throws, and its state does not grow', () => {
    const guest = testGuest('hlt', { hvm: true, vcpus: 4 });
    const platform = present(guest.machine.board.platform, 'a platform');
    const random = randomOf(1);
    const sizeOf = (): number => valueToJson(platform.save()).length;
    const before = sizeOf();
    const ports = [...devicePorts, 0x64, 0x92, 0xcf9, 0xb004];
    for (let count = 0; count < 100_000; count += 1) {
      const bytes = pick(random, [1, 2, 4] as const);
      const value = Number(anyValue(random) & 0xffff_ffffn);
      const port = pick(random, [pick(random, ports), drawBetween(random, 0, 0xffff)]);
      const address = 0xfec0_0000 + deviceNumber(random, 5);
      switch (drawBetween(random, 0, 4)) {
        case 0:
          platform.writePort(port, bytes, value % 2 ** (8 * bytes));
          break;
        case 1: {
          const found = platform.readPort(port, bytes);
          assert.ok(
            Number.isInteger(found) && found >= 0 && found < 2 ** (8 * bytes),
            `port ${port}: ${found}`,
          );
          break;
        }
        case 2:
          platform.writeMemory(address, bytes, BigInt(value));
          break;
        case 3: {
          const found = platform.readMemory(address, bytes);
          assert.ok(found >= 0n && found < 1n << BigInt(8 * bytes), `${address}: ${found}`);
          break;
        }
        default:
          platform.passTo(BigInt(value) * 1000n);
          platform.routing.entering(0);
          if (platform.routing.isPicPending(0)) platform.routing.acknowledgePic(0);
      }
    }
    assert.ok(sizeOf() < 2 * before, `${before} to ${sizeOf()} characters`);
  });
});
