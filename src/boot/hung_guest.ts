/**
 * What is said of a guest that came to no end. Each architecture finds out what its vCPUs stand at (`arm64/hung_guest.ts`); this
 * file has what all of them share: the form of the answer, and the words for addresses and groups of vCPUs.
 */
import type { HigherLevel } from './arm64/hung_guest.js';

/** An instruction that the CPU refused in the kernel, and whose exception the guest never returned from. */
export interface RefusedInstruction {
  readonly vcpu: number;
  readonly pc: bigint;
  /** As objdump writes it, or the word in hexadecimal; null where nothing can be read there. */
  readonly instruction: string | null;
  /** The privilege level that it needs; null where none would help. */
  readonly needs: HigherLevel | null;
}

export interface HungGuest {
  /** Clauses for the line that says how the run ended, in the order of vCPUs; mostly none. */
  readonly clauses: readonly string[];
  readonly refused: RefusedInstruction | null;
}

/** What must be known of the kernel. */
export interface LoadedKernel {
  /** Guest physical address of its image. */
  readonly at: bigint;
  /** Its file, unpacked. */
  readonly image: Uint8Array;
  /** The memory that it takes from `at` on, in bytes. */
  readonly memoryBytes: number;
  /** What it calls itself after "Linux version"; null where it does not. */
  readonly version: string | null;
  /** A kernel address by the kernel's own symbols; as a number where there is none. */
  symbolAt(address: bigint): string;
}

/** More than two clauses make no line. */
const mostClauses = 2;
const mostAddresses = 4;

/** An address, and the symbol there if there is one: `0xffff800008010000 (start_kernel+0x10)`. */
export function addressText(kernel: LoadedKernel, address: bigint): string {
  const number = `0x${address.toString(16)}`;
  const symbol = kernel.symbolAt(address);
  return symbol === number ? number : `${number} (${symbol})`;
}

/** The first addresses of a list, as {@link addressText} writes them. */
export function addressesText(addresses: readonly bigint[], kernel: LoadedKernel): string {
  const shown = addresses.slice(0, mostAddresses).map((address) => addressText(kernel, address));
  return addresses.length > mostAddresses ? `${shown.join(', ')} and more` : shown.join(', ');
}

/** One clause for each text; the vCPUs with the same text share a clause. */
export function clausesOf(said: readonly { readonly vcpu: number; readonly text: string }[]): string[] {
  const groups = new Map<string, number[]>();
  for (const { vcpu, text } of said) groups.set(text, [...(groups.get(text) ?? []), vcpu]);
  return [...groups].slice(0, mostClauses).map(([text, [first = 0, ...others]]) => {
    const more = others.length === 1 ? '1 more vCPU' : `${others.length} more vCPUs`;
    return `vCPU ${first} ${text}${others.length === 0 ? '' : ` (the same of ${more})`}`;
  });
}
