/**
 * The ACPI tables of a PVH guest as libxl of Xen 4.17 builds them (tools/libacpi/build.c, acpi_build_tables;
 * tools/libs/light/libxl_x86_acpi.c): FACS, DSDT, FADT twice, MADT, XSDT and RSDT in pages behind the page that AML reads, and
 * the RSDP behind these pages.
 */
import { acpi_madt } from '../../abi/index.js';
import { dsdtCode } from './acpi/dsdt.js';
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
import type { Loaded } from './table_bytes.js';

export interface AcpiTables {
  /** The RSDP, the page for AML, and the tables, in the order in which libxl loads them. */
  readonly modules: readonly Loaded[];
  readonly rsdpAt: bigint;
}

/** No VGA, no CMOS RTC, no timer. */
const fadtKind: FadtKind = { revision: 5, bootFlags: 0x24, flags: fadtFlags.pvh, hasTimer: false };
/** Space that Xen sets aside for its own DSDT. Ours is smaller, and the tables behind it lie where Xen's do. */
const dsdtBytes = 0x6c9b;
/** The loaded size of the RSDP. */
const rsdpBytes = 64;

/** The tables of a guest whose vCPUs have these APIC ids, by vCPU id; at most 128. */
export function acpiTables(apicIds: readonly number[]): AcpiTables {
  const pages = new Pages(acpiInfoAt + pageBytes);
  const facsAt = pages.add(facs());
  const dsdtAt = pages.add(table('DSDT', 5, dsdtCode()), dsdtBytes);
  const oldFadtAt = pages.add(oldFadt(facsAt, dsdtAt));
  const fadtAt = pages.add(fadt(facsAt, dsdtAt, fadtKind));
  const madtAt = pages.add(madt(apicIds), madtRoom(apicIds.length));
  const xsdtAt = pages.add(rootTable('XSDT', [fadtAt, madtAt], 8));
  const rsdtAt = pages.add(rootTable('RSDT', [oldFadtAt, madtAt], 4));
  const tables = pages.done();
  const rsdpAt = tables.at + BigInt(tables.bytes.length);
  const root = new Uint8Array(rsdpBytes);
  root.set(rsdp(rsdtAt, xsdtAt));
  return {
    modules: [
      { at: rsdpAt, bytes: root },
      infoPage({ vcpus: apicIds.length, madtAt, firstCpu: acpi_madt.size }),
      tables,
    ],
    rsdpAt,
  };
}
