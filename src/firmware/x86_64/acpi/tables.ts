/** What the ACPI tables of all guests have in common (Xen 4.17 tools/libacpi/build.c and static_tables.c). */
import {
  ACPI_ADR_SPACE_SYSTEM_IO,
  ACPI_GPE0_BLK_ADDRESS_V1,
  ACPI_PM1A_CNT_BLK_ADDRESS_V1,
  ACPI_PM1A_EVT_BLK_ADDRESS_V1,
  ACPI_PM_TMR_BLK_ADDRESS_V1,
  acpi_facs,
  acpi_fadt_1,
  acpi_fadt_5,
  acpi_madt,
  acpi_rsdp,
  acpi_rsdp_first_bytes,
  acpi_table_header,
  madtLocalApic,
  PIIX_RCR_IOPORT,
  viewOf,
  writeMadt,
} from '../../../abi/index.js';
import type { acpi_generic_address, MadtEntry, ValueOf } from '../../../abi/index.js';
import { InvariantError } from '../../../base/index.js';
import { acpiInfoAt, localApicAt, pageBytes } from '../memory_map.js';
import { characters, checksumOf } from '../table_bytes.js';
import type { Loaded } from '../table_bytes.js';

/** What every table's header says, with zeros behind the texts. */
const oem = {
  oem_id: 'Xen\0\0\0',
  oem_table_id: 'HVM\0\0\0\0\0',
  oem_revision: 0,
  creator_id: 'HVML',
  creator_revision: 0,
} as const;

/** Ports of the power management registers. In a PVH guest nothing is there. */
const ports = {
  pm1aEvent: ACPI_PM1A_EVT_BLK_ADDRESS_V1,
  pm1aControl: ACPI_PM1A_CNT_BLK_ADDRESS_V1,
  timer: ACPI_PM_TMR_BLK_ADDRESS_V1,
  gpe0: ACPI_GPE0_BLK_ADDRESS_V1,
  reset: PIIX_RCR_IOPORT,
} as const;
const resetValue = 6;
const sciInterrupt = 9;
/** A latency of 0xfff: the state is not supported (ACPI 6.5, 5.2.9). */
const noState = 0xfff;

const alignment = 16n;

/** Room for what a MADT may have besides CPUs: 16 interrupt source overrides and an IO-APIC. */
const otherMadtBytes = 16 * 10 + 12;
const localApicEntryBytes = 8;
/** PCAT_COMPAT: there are also two 8259. In a PVH guest they read as all ones. */
const madtFlags = 1;
const madtRevision = 2;

type Creator = Partial<Pick<ValueOf<typeof acpi_table_header>, 'creator_id' | 'creator_revision'>>;

/** A table with its length and its checksum. `creator`: other than Xen's loader. */
export function table(
  signature: string,
  revision: number,
  body: Uint8Array,
  creator: Creator = {},
): Uint8Array {
  const bytes = new Uint8Array(acpi_table_header.size + body.length);
  const header = { signature, length: bytes.length, revision, checksum: 0, ...oem, ...creator };
  bytes.set(acpi_table_header.encode(header));
  bytes.set(body, acpi_table_header.size);
  bytes[acpi_table_header.offsets.checksum] = checksumOf(bytes);
  return bytes;
}

/** The part of a table behind its header. */
function bodyOf(bytes: Uint8Array): Uint8Array {
  return bytes.subarray(acpi_table_header.size);
}

export function facs(): Uint8Array {
  const empty = acpi_facs.decode(new Uint8Array(acpi_facs.size));
  return acpi_facs.encode({ ...empty, signature: characters('FACS'), length: acpi_facs.size, version: 1 });
}

function fixedFields(facsAt: bigint, dsdtAt: bigint): Partial<ValueOf<typeof acpi_fadt_1>> {
  return {
    firmware_ctrl: Number(facsAt),
    dsdt: Number(dsdtAt),
    sci_int: sciInterrupt,
    pm1a_evt_blk: ports.pm1aEvent,
    pm1a_cnt_blk: ports.pm1aControl,
    gpe0_blk: ports.gpe0,
    pm1_evt_len: 4,
    pm1_cnt_len: 2,
    gpe0_blk_len: 4,
    p_lvl2_lat: noState,
    p_lvl3_lat: noState,
  };
}

const timerFields = { pm_tmr_blk: ports.timer, pm_tmr_len: 4 } as const;

/**
 * WBINVD, PROC_C1, TMR_VAL_EXT; RTC is not in the fixed registers; the platform clock is to be used. In a PVH guest the power and
 * sleep buttons are not in the fixed registers either.
 */
export const fadtFlags = { usual: 0x8145, pvh: 0x8175 } as const;

/** The FADT of ACPI 1.0, to which the RSDT points. It names a timer that a PVH guest does not have. */
export function oldFadt(facsAt: bigint, dsdtAt: bigint): Uint8Array {
  const fields = {
    ...acpi_fadt_1.decode(new Uint8Array(acpi_fadt_1.size)),
    ...fixedFields(facsAt, dsdtAt),
    ...timerFields,
    flags: fadtFlags.usual,
  };
  return table('FACP', 1, bodyOf(acpi_fadt_1.encode(fields)));
}

function ioRegister(port: number, bits: number): ValueOf<typeof acpi_generic_address> {
  return {
    space_id: ACPI_ADR_SPACE_SYSTEM_IO,
    bit_width: bits,
    bit_offset: 0,
    access_width: 0,
    address: BigInt(port),
  };
}

/** What tells the FADTs of kinds of guests apart. */
export interface FadtKind {
  readonly revision: 4 | 5;
  /** IAPC_BOOT_ARCH (ACPI 6.5, 5.2.9.3). */
  readonly bootFlags: number;
  readonly flags: number;
  readonly hasTimer: boolean;
}

/** Size of a FADT of revision 4: it ends before the sleep registers (ACPI 4.0, 5.2.9). */
const fadt4Bytes = acpi_fadt_5.offsets.sleep_control_reg;

/** The FADT to which the XSDT points. */
export function fadt(facsAt: bigint, dsdtAt: bigint, kind: FadtKind): Uint8Array {
  const fields = {
    ...acpi_fadt_5.decode(new Uint8Array(acpi_fadt_5.size)),
    ...fixedFields(facsAt, dsdtAt),
    iapc_boot_arch: kind.bootFlags,
    flags: kind.flags,
    reset_reg: ioRegister(ports.reset, 8),
    reset_value: resetValue,
    x_firmware_ctrl: facsAt,
    x_dsdt: dsdtAt,
    x_pm1a_evt_blk: ioRegister(ports.pm1aEvent, 32),
    x_pm1a_cnt_blk: ioRegister(ports.pm1aControl, 16),
    ...(kind.hasTimer ? { ...timerFields, x_pm_tmr_blk: ioRegister(ports.timer, 32) } : {}),
  };
  const bytes = acpi_fadt_5.encode(fields);
  return table('FACP', kind.revision, bodyOf(kind.revision === 4 ? bytes.subarray(0, fadt4Bytes) : bytes));
}

/** `others` come first. Each CPU's UID is its vCPU id; its APIC id is given. */
export function madt(apicIds: readonly number[], others: readonly MadtEntry[] = []): Uint8Array {
  return writeMadt({
    ...oem,
    revision: madtRevision,
    local_apic_address: Number(localApicAt),
    flags: madtFlags,
    entries: [...others, ...apicIds.map((apicId, vcpu) => madtLocalApic(vcpu, apicId))],
  });
}

/** The bytes that Xen sets aside for a MADT with so many CPUs. */
export function madtRoom(vcpus: number): number {
  return acpi_madt.size + otherMadtBytes + localApicEntryBytes * vcpus;
}

/** The RSDT or the XSDT: addresses of 4 or of 8 bytes. */
export function rootTable(signature: string, addresses: readonly bigint[], bytesEach: 4 | 8): Uint8Array {
  const body = new Uint8Array(bytesEach * addresses.length);
  const view = viewOf(body);
  for (const [i, address] of addresses.entries()) {
    if (bytesEach === 4) view.setUint32(4 * i, Number(address), true);
    else view.setBigUint64(8 * i, address, true);
  }
  return table(signature, 1, body);
}

export function rsdp(rsdtAt: bigint, xsdtAt: bigint): Uint8Array {
  const bytes = acpi_rsdp.encode({
    signature: characters('RSD PTR '),
    checksum: 0,
    oem_id: characters(oem.oem_id),
    revision: 2,
    rsdt_address: Number(rsdtAt),
    length: acpi_rsdp.size,
    xsdt_address: xsdtAt,
    extended_checksum: 0,
    reserved: new Uint8Array(3),
  });
  bytes[acpi_rsdp.offsets.checksum] = checksumOf(bytes.subarray(0, acpi_rsdp_first_bytes));
  bytes[acpi_rsdp.offsets.extended_checksum] = checksumOf(bytes);
  return bytes;
}

function alignUp(value: bigint, to: bigint): bigint {
  return ((value + to - 1n) / to) * to;
}

/** Places tables one behind the other. */
export class Pages {
  readonly #parts: Loaded[] = [];
  readonly #start: bigint;
  #next: bigint;

  constructor(start: bigint) {
    this.#start = start;
    this.#next = start;
  }

  /** Adds a table, for which `room` bytes are set aside. Returns its address. */
  add(bytes: Uint8Array, room = bytes.length): bigint {
    const at = this.#next;
    if (bytes.length > room) throw new InvariantError(`a table has ${bytes.length} bytes, not ${room}`);
    this.#parts.push({ at, bytes });
    this.#next = alignUp(at + BigInt(room), alignment);
    return at;
  }

  /** The pages with all tables. */
  done(): Loaded {
    const bytes = new Uint8Array(Number(alignUp(this.#next, pageBytes) - this.#start));
    for (const part of this.#parts) bytes.set(part.bytes, Number(part.at - this.#start));
    return { at: this.#start, bytes };
  }
}

/** Offsets in the page for AML of what AML reads (struct acpi_info); the DSDTs declare the same. */
const info = {
  devices: 0,
  vcpus: 2,
  windowAt: 4,
  windowBytes: 8,
  checksumAt: 12,
  firstEntryAt: 16,
} as const;

/** What that page says. Addresses are guest physical ones. */
export interface InfoPage {
  readonly vcpus: number;
  readonly madtAt: bigint;
  /** Offset of the first CPU's entry in the MADT. */
  readonly firstCpu: number;
  /** Bits for the devices that are there: two UARTs, a parallel port, the HPET. */
  readonly devices?: number;
  /** The window of PCI devices' memory below 4 GiB. */
  readonly window?: { readonly start: number; readonly bytes: number };
}

/** The page that AML reads. */
export function infoPage({ vcpus, madtAt, firstCpu, devices = 0, window }: InfoPage): Loaded {
  const bytes = new Uint8Array(Number(pageBytes));
  const view = viewOf(bytes);
  view.setUint8(info.devices, devices);
  view.setUint16(info.vcpus, vcpus, true);
  view.setUint32(info.windowAt, window?.start ?? 0, true);
  view.setUint32(info.windowBytes, window?.bytes ?? 0, true);
  view.setUint32(info.checksumAt, Number(madtAt) + acpi_table_header.offsets.checksum, true);
  view.setUint32(info.firstEntryAt, Number(madtAt) + firstCpu, true);
  return { at: acpiInfoAt, bytes };
}
