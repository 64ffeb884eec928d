/** The block of an A64 vCPU, with the accessors that are specific to the architecture. */
import { a64Flags, registerFile, statePlace } from '../../isa/index.js';
import { flagOffset } from '../flags.js';
import { cpuOffsets } from '../layout.js';
import { VcpuBlock } from '../vcpu_block.js';

/** State indexes that the host uses often. */
export const stateSlots = {
  daif: statePlace('DAIF'),
  lines: statePlace('ISR_EL1'),
  event: statePlace('event'),
  monitorBytes: statePlace('monitorBytes'),
} as const;

/** Byte offsets of the flag sources. */
const flags = {
  n: flagOffset(a64Flags, 'n'),
  z: flagOffset(a64Flags, 'z'),
  c: flagOffset(a64Flags, 'c'),
  v: flagOffset(a64Flags, 'v'),
} as const;

export class A64Block extends VcpuBlock {
  get stackPointer(): bigint {
    return this.register(registerFile.stackPointer);
  }

  set stackPointer(value: bigint) {
    this.setRegister(registerFile.stackPointer, value);
  }

  /** Advances pc to the next instruction. */
  advance(): void {
    const low = (this.pcLow + 4) >>> 0;
    const at = this.offset + cpuOffsets.pc;
    this.memory.setWord(at, low);
    if (low < 4) this.memory.setWord(at + 4, (this.pcHigh + 1) >>> 0);
  }

  /** N, Z, C and V as four bits; N is the highest. */
  get nzcv(): number {
    const { memory, offset } = this;
    const sign = (flag: number): number => memory.word(offset + flag + 4) >>> 31;
    const zero = memory.word(offset + flags.z) === 0 && memory.word(offset + flags.z + 4) === 0;
    const c = memory.word(offset + flags.c);
    return (sign(flags.n) << 3) | (zero ? 4 : 0) | (c << 1) | sign(flags.v);
  }

  set nzcv(nzcv: number) {
    const { memory, offset } = this;
    memory.setWord(offset + flags.n + 4, (nzcv & 8) !== 0 ? 0x80000000 : 0);
    memory.setWord(offset + flags.z, (nzcv & 4) !== 0 ? 0 : 1);
    memory.setWord(offset + flags.z + 4, 0);
    memory.setWord(offset + flags.c, (nzcv >> 1) & 1);
    memory.setWord(offset + flags.v + 4, (nzcv & 1) !== 0 ? 0x80000000 : 0);
  }
}
