/**
 * What SeaBIOS leaves in its own memory of a PVHVM guest of Xen 4.17, where an OS searches for it: copies of what hvmloader hands over, each
 * below the one before (SeaBIOS src/fw/biostables.c and src/malloc.c, malloc_fseg; addresses as observed with four vCPUs).
 */
import { smbios_entry_point } from '../../abi/index.js';
import { loaderPages } from './hvm_memory_map.js';
import { mpTableBytes, mpTables } from './mp_tables.js';
import { smbios } from './smbios.js';
import type { SmbiosParts } from './smbios.js';
import type { Loaded } from './table_bytes.js';

const alignment = 16;
const end = 0xf_5d00n;
/** hvmloader's PCI interrupt routing table, which is missing here. */
const routingBytes = 128;
const rsdpBytes = 36;

function below(at: bigint, bytes: number): bigint {
  return at - BigInt(Math.ceil(bytes / alignment) * alignment);
}

/** Where a guest with that many vCPUs has SMBIOS's entry point, the MP tables and ACPI's RSDP. */
export function biosPlaces(vcpus: number): Readonly<Record<'smbios' | 'mpTables' | 'rsdp', bigint>> {
  const smbiosAt = below(end, smbios_entry_point.size);
  const mpTablesAt = below(smbiosAt, mpTableBytes(vcpus));
  return {
    smbios: smbiosAt,
    mpTables: mpTablesAt,
    rsdp: below(mpTablesAt - BigInt(routingBytes), rsdpBytes),
  };
}

/** SMBIOS's entry point and structures, and the MP tables, of a guest whose vCPUs have these APIC ids. */
export function hvmBiosTables(apicIds: readonly number[], parts: Omit<SmbiosParts, 'vcpus'>): Loaded[] {
  const vcpus = apicIds.length;
  const places = biosPlaces(vcpus);
  const { entryPoint, structures } = smbios({ ...parts, vcpus }, loaderPages.start);
  return [
    { at: places.mpTables, bytes: mpTables(apicIds, places.mpTables) },
    { at: places.smbios, bytes: entryPoint },
    { at: loaderPages.start, bytes: structures },
  ];
}
