/** The block of an x86-64 vCPU, with the accessors that are specific to the architecture. */
import * as x86_64 from '../../isa/x86_64/index.js';
import { flagOffset } from '../flags.js';
import { VcpuBlock } from '../vcpu_block.js';

const { x86Flags, x86State } = x86_64;

/** Byte offsets of the flag sources. */
const sources = {
  c: flagOffset(x86Flags, 'c'),
  p: flagOffset(x86Flags, 'p'),
  a: flagOffset(x86Flags, 'a'),
  z: flagOffset(x86Flags, 'z'),
  s: flagOffset(x86Flags, 's'),
  o: flagOffset(x86Flags, 'o'),
} as const;

/** Bits of RFLAGS. */
export const rflags = {
  c: 1,
  always: 2,
  p: 4,
  a: 0x10,
  z: 0x40,
  s: 0x80,
  trap: 0x100,
  interrupt: 0x200,
  direction: 0x400,
  o: 0x800,
  privilegeAt: 12,
  nested: 0x4000,
  resume: 0x10000,
  virtual8086: 0x20000,
  alignmentCheck: 0x40000,
  identification: 0x200000,
} as const;

export const arithmeticFlags = rflags.c | rflags.p | rflags.a | rflags.z | rflags.s | rflags.o;

function hasEvenParity(byte: number): boolean {
  let folded = byte & 0xff;
  folded ^= folded >> 4;
  folded ^= folded >> 2;
  folded ^= folded >> 1;
  return (folded & 1) === 0;
}

export class X86Block extends VcpuBlock {
  /** RFLAGS without RF, which is 0 wherever a program can read it. */
  get rflags(): number {
    const { memory, offset } = this;
    const low = (source: number): number => memory.word(offset + source);
    const sign = (source: number): boolean => memory.word(offset + source + 4) >>> 31 === 1;
    const zero = low(sources.z) === 0 && memory.word(offset + sources.z + 4) === 0;
    return (
      rflags.always |
      (this.systemFlags & ~arithmeticFlags) |
      ((low(sources.c) & 1) === 1 ? rflags.c : 0) |
      (hasEvenParity(low(sources.p)) ? rflags.p : 0) |
      ((low(sources.a) & 0x10) !== 0 ? rflags.a : 0) |
      (zero ? rflags.z : 0) |
      (sign(sources.s) ? rflags.s : 0) |
      (sign(sources.o) ? rflags.o : 0)
    );
  }

  set rflags(value: number) {
    const { memory, offset } = this;
    const setSign = (source: number, bit: number): void => {
      memory.setWord(offset + source, 0);
      memory.setWord(offset + source + 4, (value & bit) === 0 ? 0 : 0x80000000);
    };
    memory.setWord(offset + sources.c, value & rflags.c);
    // A byte of 1 has an odd number of ones.
    memory.setWord(offset + sources.p, (value & rflags.p) === 0 ? 1 : 0);
    memory.setWord(offset + sources.a, value & rflags.a);
    memory.setWord(offset + sources.z, (value & rflags.z) === 0 ? 1 : 0);
    memory.setWord(offset + sources.z + 4, 0);
    setSign(sources.s, rflags.s);
    setSign(sources.o, rflags.o);
    this.systemFlags = value;
  }

  /** RFLAGS without the arithmetic flags, RF and bit 1. */
  get systemFlags(): number {
    return this.low(x86State.flags);
  }

  set systemFlags(value: number) {
    this.setHalves(x86State.flags, value & ~(arithmeticFlags | rflags.resume | rflags.always), 0);
  }

  get interruptsEnabled(): boolean {
    return (this.systemFlags & rflags.interrupt) !== 0;
  }

  /** CPL. */
  get privilege(): number {
    return this.low(x86State.privilege);
  }

  set privilege(level: number) {
    this.setHalves(x86State.privilege, level, 0);
  }
}
