/**
 * What the registers of a CPU say about the kernel that it runs. Each architecture finds these in other registers
 * (`arm64/anchors.ts`); the readers of this module know only this interface.
 */

/** An image in guest memory. */
export interface PlacedImage {
  /** Guest physical address of its first byte. */
  readonly at: bigint;
  readonly bytes: number;
}

/** The kernel of one CPU, by the values that its registers hold now. */
export interface KernelAnchors {
  /** Whether the CPU uses the kernel's own map of memory, so that kernel addresses can be read through it. */
  readonly hasKernelMap: boolean;
  /** What the kernel adds to a per-CPU variable's address on this CPU; 0 before it has set up its per-CPU areas. */
  readonly perCpuBase: bigint;
  /** Kernel virtual address of the current task; null while no kernel code runs, or where no register has it. */
  readonly task: bigint | null;
  /** The return address of the function that the CPU is in. In the function that makes a hypercall: who asked for the call. */
  readonly caller: bigint;
  readonly stackPointer: bigint;
  /** That of the function that made a hypercall, which on x86 may be made by a function of its own. */
  readonly callerStack: bigint;
  /** The values of the registers that a callee preserves: what a caller needs after a call is there, or on its stack. */
  readonly preserved: readonly bigint[];
  /**
   * Kernel virtual address of `_text`, the start of `image`; null while the registers do not tell. A kernel may choose the
   * address when it boots (KASLR), so it is found anew in each run.
   */
  text(image: PlacedImage): bigint | null;
}

/** A symbol that every kernel of an architecture has. A symbol table is believed only if it has this one in a possible place. */
export interface KnownSymbol {
  readonly name: string;
  /** Its usual offset from `_text`, in bytes; null if it has none. */
  readonly usualOffset: number | null;
  /** The alignment that the architecture requires for it, in bytes. */
  readonly alignment: number;
}

/** How the kernels of one architecture are read. `Cpu` is its view of a CPU's registers. */
export interface KernelArchitecture<Cpu> {
  readonly knownSymbol: KnownSymbol;
  /**
   * The address of `_text` for which a kernel that is loaded at `at` was linked, if its per-CPU section may be linked at address 0.
   * Then that section's addresses are those of the file, wherever the kernel runs. Null if the section is always in the image.
   */
  linkedText(at: bigint): bigint | null;
  anchorsOf(cpu: Cpu): KernelAnchors;
  /**
   * The offset in `image` of the 64-bit variable that the function at `start` reads first; null if its code does not show that.
   * `start` and the result are offsets from `_text`.
   */
  loadedVariable(image: Uint8Array, start: number): number | null;
}

/** Whether an address is in the upper half of the address space, where Linux maps itself on all 64-bit architectures. */
export function isKernelAddress(address: bigint): boolean {
  return address >> 63n !== 0n;
}

/**
 * The start of `image` by addresses in its code, of which two must agree; null if they do not. The image lies in one piece in
 * physical and in virtual memory, so a virtual address in it and the physical address behind it give its start. One address
 * is not enough: there may be a second mapping of some code, and modules are elsewhere.
 */
export function textBehind(
  codeAddresses: readonly bigint[],
  translate: (address: bigint) => bigint | null,
  { at, bytes }: PlacedImage,
): bigint | null {
  const seen = new Set<bigint>();
  for (const address of codeAddresses.filter(isKernelAddress)) {
    const physical = translate(address);
    const offset = physical === null ? -1n : physical - at;
    if (offset < 0n || offset >= BigInt(bytes)) continue;
    const text = address - offset;
    if (seen.has(text)) return text;
    seen.add(text);
  }
  return null;
}
