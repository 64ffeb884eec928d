/**
 * Says what the vCPUs of a guest were doing when the run hung or was stopped. Each architecture reads the state of its vCPUs
 * (`arm64/hung_guest.ts`). This file has what all share: the form of the answer, and the text for addresses and groups of vCPUs.
 */
import type { KernelImage } from './kernel_image.js';
import type { HigherLevel } from './arm64/hung_guest.js';
import type { XenVcpuId } from '../identity/index.js';

/** An instruction that the CPU refused in the kernel, and whose exception the guest never returned from. */
export interface RefusedInstruction {
  readonly vcpu: XenVcpuId;
  readonly pc: bigint;
  /** As objdump writes it, or the word in hexadecimal; null where nothing can be read there. */
  readonly instruction: string | null;
  /** The privilege level that it needs; null where none would help. */
  readonly needs: HigherLevel | null;
}

/** The diagnosis of a guest that hung or was stopped. */
export interface HungGuest {
  /** Clauses for the line that says how the run ended, in the order of vCPUs; mostly none. */
  readonly clauses: readonly string[];
  readonly refused: RefusedInstruction | null;
}

/** The kernel, as far as a diagnosis of its guest needs it. */
export interface LoadedKernel {
  /** Guest physical address of its image. */
  readonly at: bigint;
  /** The unpacked image as in the file. */
  readonly image: KernelImage;
  /** Its size in memory from `at` on, in bytes. */
  readonly memoryBytes: number;
  /** The text after "Linux version" in it; null if there is none. */
  readonly version: string | null;
  /** A kernel address by the kernel's own symbols; as a number if there is no symbol. */
  symbolAt(address: bigint): string;
}

/** Maximum number of clauses, so that they fit one line. */
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
export function clausesOf(said: readonly { readonly vcpu: XenVcpuId; readonly text: string }[]): string[] {
  const groups = new Map<string, number[]>();
  for (const { vcpu, text } of said) groups.set(text, [...(groups.get(text) ?? []), vcpu]);
  return [...groups].slice(0, mostClauses).map(([text, [first = 0, ...others]]) => {
    const more = others.length === 1 ? '1 more vCPU' : `${others.length} more vCPUs`;
    return `vCPU ${first} ${text}${others.length === 0 ? '' : ` (the same of ${more})`}`;
  });
}
