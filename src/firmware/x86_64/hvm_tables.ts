/**
 * The ACPI tables of a PVHVM guest as hvmloader of Xen 4.17 builds them (tools/firmware/hvmloader/util.c; tools/libacpi/build.c): with a
 * PM timer, an I/O APIC, an HPET and the sleep states. The RSDP lies where SeaBIOS copies it.
 */
import { acpi_madt, HPET_BASE_ADDRESS, VIOAPIC_DEFAULT_BASE_ADDRESS, viewOf } from '../../abi/index.js';
import type { MadtEntry } from '../../abi/index.js';
import * as aml from './acpi/aml.js';
import { hvmDsdtCode } from './acpi/hvm_dsdt.js';
import {
  facs,
  fadt,
  fadtFlags,
  infoPage,
  madt,
  madtRoom,
  oldFadt,
  Pages,
  rootTable,
  rsdp,
  table,
} from './acpi/tables.js';
import type { FadtKind } from './acpi/tables.js';
import { acpiInfoAt, pageBytes } from './memory_map.js';
import { pciWindow } from './hvm_memory_map.js';
import type { Loaded } from './table_bytes.js';

/** With an 8042. */
const fadtKind: FadtKind = { revision: 4, bootFlags: 2, flags: fadtFlags.usual, hasTimer: true };
/** Space that Xen sets aside for its own DSDT. Ours is smaller, and the tables behind it lie where Xen's do. */
const dsdtBytes = 0x92a3;
/** In the page for AML: there is an HPET. */
const hasHpet = 1 << 3;
/** What iasl names itself in the tables that it compiled. */
const compiler = { creator_id: 'INTL', creator_revision: 0x2020_0925 } as const;

/** Types of MADT entries, and their sizes in bytes (ACPI 6.5, 5.2.12). */
const entryType = { ioApic: 1, sourceOverride: 2 } as const;
const ioApicEntryBytes = 12;
const overrideBytes = 10;
const ioApicId = 1;
/** Active low and level-triggered. */
const pciSignal = 0xf;

function ioApic(): MadtEntry {
  const tail = new Uint8Array(ioApicEntryBytes - 2);
  tail[0] = ioApicId;
  viewOf(tail).setUint32(2, VIOAPIC_DEFAULT_BASE_ADDRESS, true);
  return { kind: 'other', type: entryType.ioApic, tail };
}

/** An ISA interrupt that is another input of the I/O APIC, or not edge-triggered and active high. */
function sourceOverride(source: number, input: number, flags: number): MadtEntry {
  const tail = new Uint8Array(overrideBytes - 2);
  tail[1] = source;
  viewOf(tail).setUint32(2, input, true);
  viewOf(tail).setUint16(6, flags, true);
  return { kind: 'other', type: entryType.sourceOverride, tail };
}

/** The timer's is input 2; 5, 10 and 11 are those of PCI's links. */
const interruptEntries: readonly MadtEntry[] = [
  sourceOverride(0, 2, 0),
  ...[5, 10, 11].map((number) => sourceOverride(number, number, pciSignal)),
  ioApic(),
];
const firstCpu = acpi_madt.size + 4 * overrideBytes + ioApicEntryBytes;

/** The HPET's description (IA-PC HPET Specification 1.0a, 3.2.4): its id and its address. */
function hpet(): Uint8Array {
  const body = new Uint8Array(20);
  const view = viewOf(body);
  view.setUint32(0, 0x8086_a201, true);
  view.setBigUint64(8, BigInt(HPET_BASE_ADDRESS), true);
  return table('HPET', 1, body);
}

/** Windows ACPI Emulated Devices Table: the RTC needs no acknowledgement, and the PM timer one read. */
function waet(): Uint8Array {
  const body = new Uint8Array(4);
  body[0] = 3;
  return table('WAET', 1, body);
}

/** A sleep state: the values for both halves of PM1. */
function sleepState(path: string, type: number): Uint8Array {
  const values = [type, type, 0, 0].map(aml.integer);
  return table('SSDT', 2, Uint8Array.from(aml.named(path, aml.packageOf(...values))), compiler);
}

/** What is loaded of a guest's ACPI tables. */
export interface HvmAcpiTables {
  /** In order of their addresses: the RSDP, the page for AML, and the pages with all other tables. */
  readonly parts: readonly Loaded[];
  /** Size of the pages, from that for AML on. */
  readonly bytes: bigint;
}

/** The tables of a guest whose vCPUs have these APIC ids, by vCPU id, at most 128; with the RSDP at `rsdpAt`. */
export function hvmAcpiTables(apicIds: readonly number[], rsdpAt: bigint): HvmAcpiTables {
  const pages = new Pages(acpiInfoAt + pageBytes);
  const facsAt = pages.add(facs());
  const dsdtAt = pages.add(table('DSDT', 2, hvmDsdtCode(), compiler), dsdtBytes);
  const oldFadtAt = pages.add(oldFadt(facsAt, dsdtAt));
  const fadtAt = pages.add(fadt(facsAt, dsdtAt, fadtKind));
  const madtAt = pages.add(madt(apicIds, interruptEntries), madtRoom(apicIds.length));
  const others = [hpet(), waet(), sleepState('\\_S3_', 1), sleepState('\\_S4_', 0)];
  const otherAts = others.map((bytes) => pages.add(bytes));
  const xsdtAt = pages.add(rootTable('XSDT', [fadtAt, madtAt, ...otherAts], 8));
  const rsdtAt = pages.add(rootTable('RSDT', [oldFadtAt, madtAt, ...otherAts], 4));
  const page = infoPage({ vcpus: apicIds.length, madtAt, firstCpu, devices: hasHpet, window: pciWindow });
  const rest = pages.done();
  return {
    parts: [{ at: rsdpAt, bytes: rsdp(rsdtAt, xsdtAt) }, page, rest],
    bytes: rest.at + BigInt(rest.bytes.length) - page.at,
  };
}
