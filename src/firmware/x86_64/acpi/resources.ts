/** An encoder for the resource descriptors that the DSDTs of this module need (ACPI 6.5, 6.4). */
import type { Aml } from './aml.js';
import { buffer } from './aml.js';

function little(value: bigint, bytes: number): number[] {
  return Array.from({ length: bytes }, (_, i) => Number((value >> BigInt(8 * i)) & 0xffn));
}

const word = (value: number): number[] => little(BigInt(value), 2);

/** A resource template: the descriptors with the end tag, whose checksum is 0, as compilers of ASL leave it. */
export function template(...descriptors: Aml[]): Aml {
  return buffer([...descriptors.flat(), 0x79, 0]);
}

/** I/O ports with 16-bit decoding from a fixed address on (6.4.2.5). */
export function ports(at: number, count: number, alignment = 0): Aml {
  return [0x47, 1, ...word(at), ...word(at), alignment, count];
}

/** Interrupts of the PICs, edge-triggered and active high (6.4.2.1). */
export function interrupts(...numbers: readonly number[]): Aml {
  return [0x22, ...word(numbers.reduce((mask, number) => mask | (1 << number), 0))];
}

/** Interrupts of the PICs: a set to choose from, level-triggered, active low and shared. */
export function sharedInterrupts(...numbers: readonly number[]): Aml {
  return [0x23, ...word(numbers.reduce((mask, number) => mask | (1 << number), 0)), 0x18];
}

/** A DMA channel of 8 bits with compatible timing (6.4.2.2). */
export function dma(channel: number, isBusMaster: boolean): Aml {
  return [0x2a, 1 << channel, isBusMaster ? 4 : 0];
}

const kinds = { memory: 0, io: 1, bus: 2 } as const;

/** An address space descriptor (6.4.3.5): both ends of the range are fixed. */
export interface Space {
  readonly kind: keyof typeof kinds;
  /** Width of its addresses in bytes: 2, 4 or 8. */
  readonly width: 2 | 4 | 8;
  readonly first: bigint;
  /** The last address; the length is what lies between. */
  readonly last: bigint;
  readonly isConsumer?: boolean;
  /** Subtractive decoding: whatever nobody else takes. */
  readonly isSubtractive?: boolean;
  /** Flags of the kind: of memory, 1 writable, 2 cacheable, 4 write-combining; of ports, 3 the whole range. */
  readonly flags: number;
}

const tags = { 2: 0x88, 4: 0x87, 8: 0x8a } as const;

export function addressSpace({ kind, width, first, last, flags, ...options }: Space): Aml {
  const { isConsumer = false, isSubtractive = false } = options;
  const general = 0xc | (isConsumer ? 1 : 0) | (isSubtractive ? 2 : 0);
  const numbers = [0n, first, last, 0n, last - first + 1n].flatMap((value) => little(value, width));
  const length = 3 + numbers.length;
  return [tags[width], ...word(length), kinds[kind], general, flags, ...numbers];
}
