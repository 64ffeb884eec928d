/**
 * PCI configuration space behind ports 0xcf8 to 0xcff (mechanism 1), for functions of bus 0 without capabilities (PCI Local Bus
 * Specification 3.0, 6; QEMU hw/pci/pci.c and pci_host.c).
 */

/** A function's base address register. */
export interface PciBase {
  /** 0 to 5. */
  readonly index: number;
  /** A power of two. */
  readonly bytes: number;
  readonly kind: 'ports' | 'memory';
}

/** A function of bus 0, as it is made. */
export interface PciFunction {
  readonly device: number;
  readonly number: number;
  readonly bases: readonly PciBase[];
  /** 256 bytes: the configuration as firmware leaves it. */
  readonly configuration: Uint8Array;
}

export interface PciState {
  /** Port 0xcf8. */
  address: number;
  /** By function, in the order in which they were given: 256 bytes each. */
  configurations: Uint8Array[];
}

const headerBytes = 0x40;
const at = { command: 4, status: 6, cacheLine: 0xc, bases: 0x10, interruptLine: 0x3c } as const;
/** Command: ports, memory, bus master, SERR#, and no INTx. */
const writableCommand = 0x507;
/** Status bits that a one clears. */
const clearableStatus = 0xf900;
const enabled = 0x8000_0000;

export function newPci(functions: readonly PciFunction[]): PciState {
  return { address: 0, configurations: functions.map(({ configuration }) => configuration.slice()) };
}

/** The bits of a byte of the configuration that a guest may write. */
function writableBits({ bases }: PciFunction, offset: number): number {
  if (offset >= headerBytes) return 0xff;
  if (offset === at.cacheLine || offset === at.interruptLine) return 0xff;
  if (offset === at.command) return writableCommand & 0xff;
  if (offset === at.command + 1) return writableCommand >> 8;
  const index = (offset - at.bases) >> 2;
  const base = bases.find((candidate) => candidate.index === index);
  if (offset < at.bases || base === undefined) return 0;
  return (~(base.bytes - 1) >>> (8 * (offset & 3))) & 0xff;
}

/** The function and register that port 0xcf8 selects, and the bytes of it; null if there is no such function. */
function selected(
  pci: PciState,
  functions: readonly PciFunction[],
  offset: number,
): readonly [number, Uint8Array, number] | null {
  const { address } = pci;
  if (((address >>> 16) & 0xff) !== 0) return null;
  const index = functions.findIndex(
    ({ device, number }) => device === ((address >>> 11) & 0x1f) && number === ((address >>> 8) & 7),
  );
  const configuration = pci.configurations[index];
  return configuration === undefined ? null : [index, configuration, (address & 0xfc) | (offset & 3)];
}

/** Reads a byte of port 0xcf8 + `offset`, 0 to 7. All ones where there is no function, or while the mechanism is off. */
export function readPci(pci: PciState, functions: readonly PciFunction[], offset: number): number {
  if (offset < 4) return (pci.address >>> (8 * offset)) & 0xff;
  if ((pci.address & enabled) === 0) return 0xff;
  const [, configuration, register] = selected(pci, functions, offset) ?? [];
  return configuration?.[register ?? 0] ?? 0xff;
}

/** Sets port 0xcf8, which takes whole accesses of 32 bits only. */
export function selectPci(pci: PciState, value: number): void {
  pci.address = value >>> 0;
}

/** A byte of a function's configuration that was written: the index of the function, and the register. */
export interface PciWritten {
  readonly index: number;
  readonly register: number;
  readonly value: number;
}

/** Writes a byte of port 0xcfc + `offset`, 0 to 3. Returns what was written; null if nothing was. */
export function writePci(
  pci: PciState,
  functions: readonly PciFunction[],
  offset: number,
  value: number,
): PciWritten | null {
  const found = (pci.address & enabled) === 0 ? null : selected(pci, functions, offset);
  if (found === null) return null;
  const [index, configuration, register] = found;
  const made = functions[index];
  if (made === undefined) return null;
  const before = configuration[register] ?? 0;
  const bits = writableBits(made, register);
  let after = (before & ~bits) | (value & bits);
  if (register === at.status || register === at.status + 1) {
    after = before & ~(value & (clearableStatus >> (8 * (register & 1))));
  }
  configuration[register] = after;
  return { index, register, value: after };
}

/** The configuration of the function of that index, as 256 bytes. */
export function pciConfiguration({ configurations }: PciState, index: number): Uint8Array {
  return configurations[index] ?? new Uint8Array(0x100);
}

/** Where a base address register of a function lies; null while the function does not answer there. */
export function pciBase(
  pci: PciState,
  index: number,
  { index: register, bytes, kind }: PciBase,
): number | null {
  const view = pciConfiguration(pci, index);
  const word = (offset: number): number =>
    ((view[offset] ?? 0) |
      ((view[offset + 1] ?? 0) << 8) |
      ((view[offset + 2] ?? 0) << 16) |
      ((view[offset + 3] ?? 0) << 24)) >>>
    0;
  const needed = kind === 'ports' ? 1 : 2;
  if (((view[at.command] ?? 0) & needed) === 0) return null;
  const start = (word(at.bases + 4 * register) & ~(bytes - 1)) >>> 0;
  const most = kind === 'ports' ? 0x1_0000 : 0x1_0000_0000;
  // At 0, and at the end of all addresses as while its size is asked for, it does not answer.
  return start === 0 || start + bytes >= most ? null : start;
}
