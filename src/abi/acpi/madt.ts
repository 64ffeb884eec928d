/**
 * The Multiple APIC Description Table (signature "APIC"): which CPUs the firmware says there are.
 * ACPI 6.5, 5.2.6 (the header that all tables share) and 5.2.12; only the entry types that name a CPU are laid
 * out here, the rest are carried as bytes. The table comes from firmware, that is from anybody: reading one
 * never throws anything but InputError.
 */
import { InputError } from '../../base/index.js';
import { packedStruct, u16, u32, u64, u8 } from '../struct.js';
import type { CType, ValueOf } from '../struct.js';
import { isAcpidump, readAcpidump } from './acpidump.js';

/** `count` characters of one byte each, kept as they are: no byte is refused and none is dropped. */
function characters(count: number): CType<string> {
  return {
    name: `char[${count}]`,
    size: count,
    align: 1,
    read: (view, at) =>
      String.fromCharCode(...Array.from({ length: count }, (_, i) => view.getUint8(at + i))),
    write: (view, at, value) => {
      for (let i = 0; i < count; i += 1) view.setUint8(at + i, value.charCodeAt(i));
    },
  };
}

/** What every ACPI table begins with (5.2.6). All bytes of the table add up to 0 modulo 256. */
export const acpi_table_header = packedStruct('acpi_table_header', {
  signature: characters(4),
  length: u32,
  revision: u8,
  checksum: u8,
  oem_id: characters(6),
  oem_table_id: characters(8),
  oem_revision: u32,
  creator_id: characters(4),
  creator_revision: u32,
});

/** The MADT's own fields, before its entries (5.2.12). */
export const acpi_madt = packedStruct('acpi_madt', {
  header: acpi_table_header,
  local_apic_address: u32,
  flags: u32,
});

/** What every entry begins with. */
export const acpi_madt_entry = packedStruct('acpi_madt_entry', { type: u8, length: u8 });

/** Type 0, Processor Local APIC (5.2.12.2): both ids have 8 bits. */
export const acpi_madt_local_apic = packedStruct('acpi_madt_local_apic', {
  acpi_processor_uid: u8,
  apic_id: u8,
  flags: u32,
});

/** Type 9, Processor Local x2APIC (5.2.12.12): for ids of 255 and above. */
export const acpi_madt_local_x2apic = packedStruct('acpi_madt_local_x2apic', {
  reserved: u16,
  x2apic_id: u32,
  flags: u32,
  acpi_processor_uid: u32,
});

/** Type 11, GIC CPU Interface (5.2.12.14), as far as all revisions from ACPI 5.1 on have it: 76 bytes. */
export const acpi_madt_gicc = packedStruct('acpi_madt_gicc', {
  reserved: u16,
  cpu_interface_number: u32,
  acpi_processor_uid: u32,
  flags: u32,
  parking_protocol_version: u32,
  performance_interrupt_gsiv: u32,
  parked_address: u64,
  physical_base_address: u64,
  gicv: u64,
  gich: u64,
  vgic_maintenance_interrupt: u32,
  gicr_base_address: u64,
  mpidr: u64,
});

/** Entry types (5.2.12, table "Interrupt Controller Structure Types"). */
export const ACPI_MADT_TYPE_LOCAL_APIC = 0;
export const ACPI_MADT_TYPE_LOCAL_X2APIC = 9;
export const ACPI_MADT_TYPE_GICC = 11;

/** Flags of types 0, 9 and 11: the CPU is there. */
export const ACPI_MADT_ENABLED = 1 << 0;
/** Flag of types 0 and 9 from ACPI 6.3 on: a CPU that is not there may be added while the system runs. */
export const ACPI_MADT_ONLINE_CAPABLE = 1 << 1;
/** The same flag's place in type 11, from ACPI 6.5 on. */
export const ACPI_MADT_GICC_ONLINE_CAPABLE = 1 << 3;

/** `tail`: bytes of the entry beyond the layout above, as a later revision may have; empty in most tables. */
export interface WithTail {
  tail: Uint8Array;
}
export type MadtLocalApic = { kind: 'local_apic' } & ValueOf<typeof acpi_madt_local_apic> & WithTail;
export type MadtLocalX2apic = { kind: 'local_x2apic' } & ValueOf<typeof acpi_madt_local_x2apic> & WithTail;
export type MadtGicc = { kind: 'gicc' } & ValueOf<typeof acpi_madt_gicc> & WithTail;
/** An entry of any other type; `tail` is all that follows its type and length. */
export type MadtOther = { kind: 'other'; type: number } & WithTail;
export type MadtEntry = MadtLocalApic | MadtLocalX2apic | MadtGicc | MadtOther;

/** A MADT as a plain value (base/value.ts). */
export interface Madt {
  revision: number;
  oem_id: string;
  oem_table_id: string;
  oem_revision: number;
  creator_id: string;
  creator_revision: number;
  local_apic_address: number;
  flags: number;
  /** In the order of the table, which is the order in which Linux numbers CPUs. */
  entries: MadtEntry[];
}

/** What {@link readMadt} gives. */
export interface ReadMadt {
  madt: Madt;
  /** One line for each thing that is wrong with the table but does not keep it from being read. */
  warnings: string[];
}

const signature = 'APIC';

const layouts = {
  local_apic: { type: ACPI_MADT_TYPE_LOCAL_APIC, layout: acpi_madt_local_apic },
  local_x2apic: { type: ACPI_MADT_TYPE_LOCAL_X2APIC, layout: acpi_madt_local_x2apic },
  gicc: { type: ACPI_MADT_TYPE_GICC, layout: acpi_madt_gicc },
} as const;

function sumOf(bytes: Uint8Array): number {
  return bytes.reduce((sum, byte) => (sum + byte) & 0xff, 0);
}

/** The table's length in bytes, once its header is known to be sound. */
function checkedLength(bytes: Uint8Array): number {
  if (bytes.length < acpi_madt.size) {
    throw new InputError(`a MADT has at least ${acpi_madt.size} bytes, this has ${bytes.length}`);
  }
  const { header } = acpi_madt.decode(bytes);
  if (header.signature !== signature) {
    throw new InputError(
      `not a MADT: its signature is ${JSON.stringify(header.signature)}, not "${signature}"`,
    );
  }
  if (header.length < acpi_madt.size) {
    throw new InputError(`the MADT says it is ${header.length} bytes long; its header has ${acpi_madt.size}`);
  }
  if (header.length > bytes.length) {
    throw new InputError(
      `the MADT says it is ${header.length} bytes long, but only ${bytes.length} are here`,
    );
  }
  return header.length;
}

/** The type and length of the entry at byte `at` of a table of `table.length` bytes. */
function entryHeader(table: Uint8Array, at: number): ValueOf<typeof acpi_madt_entry> {
  if (at + acpi_madt_entry.size > table.length) {
    throw new InputError(`the MADT ends within the entry at byte ${at}`);
  }
  const header = acpi_madt_entry.decode(table, at);
  if (header.length < acpi_madt_entry.size) {
    throw new InputError(`the MADT entry at byte ${at} says it is ${header.length} bytes long`);
  }
  if (at + header.length > table.length) {
    throw new InputError(
      `the MADT entry at byte ${at} is ${header.length} bytes long and ends past the table`,
    );
  }
  return header;
}

function readEntry(type: number, body: Uint8Array, at: number): MadtEntry {
  const known = Object.entries(layouts).find(([, { type: ours }]) => ours === type);
  if (known === undefined) return { kind: 'other', type, tail: Uint8Array.from(body) };
  const [kind, { layout }] = known;
  if (body.length < layout.size) {
    const [has, needs] = [body.length, layout.size].map((size) => size + acpi_madt_entry.size);
    throw new InputError(
      `the MADT entry at byte ${at} is of type ${type} and has ${has} bytes, not ${needs} or more`,
    );
  }
  return { kind, ...layout.decode(body), tail: Uint8Array.from(body.subarray(layout.size)) } as MadtEntry;
}

/** The table itself, which may stand among others in the text that acpidump prints. */
function tableIn(bytes: Uint8Array): { table: Uint8Array; warnings: string[] } {
  if (!isAcpidump(bytes)) return { table: bytes, warnings: [] };
  const tables = readAcpidump(bytes);
  const [first, ...more] = tables.filter((table) => table.signature === signature);
  if (first === undefined) {
    const others = [...new Set(tables.map((table) => table.signature))].slice(0, 20).join(', ');
    throw new InputError(`the acpidump text contains no table "${signature}", only ${others}`);
  }
  const warnings =
    more.length === 0 ? [] : [`the acpidump text has ${more.length + 1} MADTs; the first is read`];
  return { table: first.bytes, warnings };
}

/**
 * The MADT in `bytes`: the table as Linux offers it in /sys/firmware/acpi/tables/APIC, or the text that acpidump
 * prints, of this table or of all. What follows the table's own length is not looked at. A wrong checksum is a warning.
 * Throws {@link InputError} on a wrong signature, on a length that the bytes do not bear out, and on an entry that is
 * too short for its type.
 */
export function readMadt(bytes: Uint8Array): ReadMadt {
  const found = tableIn(bytes);
  const table = found.table.subarray(0, checkedLength(found.table));
  const { header, local_apic_address, flags } = acpi_madt.decode(table);
  const entries: MadtEntry[] = [];
  for (let at = acpi_madt.size; at < table.length;) {
    const { type, length } = entryHeader(table, at);
    entries.push(readEntry(type, table.subarray(at + acpi_madt_entry.size, at + length), at));
    at += length;
  }
  const { revision, oem_id, oem_table_id, oem_revision, creator_id, creator_revision } = header;
  const madt: Madt = {
    revision,
    oem_id,
    oem_table_id,
    oem_revision,
    creator_id,
    creator_revision,
    local_apic_address,
    flags,
    entries,
  };
  const sum = sumOf(table);
  const sumWarning = sum === 0 ? [] : [`the MADT's bytes add up to ${sum}, not to 0 modulo 256`];
  return { madt, warnings: [...found.warnings, ...sumWarning] };
}

interface Layout {
  readonly name: string;
  encode(value: unknown): Uint8Array;
  decode(bytes: Uint8Array): unknown;
}

/** `value` in its layout's bytes. Throws {@link InputError} on a value too wide for its field. */
function encodeExactly(layout: Layout, value: object): Uint8Array {
  const bytes = layout.encode(value);
  const read = layout.decode(bytes) as Record<string, unknown>;
  for (const [field, kept] of Object.entries(read)) {
    const given = (value as Record<string, unknown>)[field];
    if (typeof kept !== 'object' && given !== kept) {
      throw new InputError(`the value given for ${field} does not fit its field in ${layout.name}`);
    }
  }
  return bytes;
}

function writeEntry(entry: MadtEntry): Uint8Array {
  const { type, body } =
    entry.kind === 'other'
      ? { type: entry.type, body: new Uint8Array() }
      : { type: layouts[entry.kind].type, body: encodeExactly(layouts[entry.kind].layout, entry) };
  const length = acpi_madt_entry.size + body.length + entry.tail.length;
  const head = encodeExactly(acpi_madt_entry, { type, length });
  return Uint8Array.from([...head, ...body, ...entry.tail]);
}

/** The fields of a MADT that {@link writeMadt} sets unless they are given. Revision 5 is ACPI 6.3's. */
const defaultFields: Omit<Madt, 'entries'> = {
  revision: 5,
  oem_id: 'DOMULA',
  oem_table_id: 'DOMULATR',
  oem_revision: 1,
  creator_id: 'DOMU',
  creator_revision: 1,
  local_apic_address: 0xfee0_0000,
  flags: 0,
};

/** The bytes of a MADT, checksum included. Throws {@link InputError} on a value too wide for its field. */
export function writeMadt(content: Partial<Madt> & Pick<Madt, 'entries'>): Uint8Array {
  const { local_apic_address, flags, entries, ...rest } = { ...defaultFields, ...content };
  const bodies = entries.map(writeEntry);
  const length = bodies.reduce((sum, body) => sum + body.length, acpi_madt.size);
  const header = { signature, length, checksum: 0, ...rest };
  encodeExactly(acpi_table_header, header);
  const table = new Uint8Array(length);
  table.set(encodeExactly(acpi_madt, { header, local_apic_address, flags }));
  let at = acpi_madt.size;
  for (const body of bodies) {
    table.set(body, at);
    at += body.length;
  }
  table[acpi_table_header.offsets.checksum] = -sumOf(table) & 0xff;
  return table;
}

/** A type 0 entry, enabled unless `flags` says otherwise. */
export function madtLocalApic(uid: number, apicId: number, flags = ACPI_MADT_ENABLED): MadtLocalApic {
  return { kind: 'local_apic', acpi_processor_uid: uid, apic_id: apicId, flags, tail: new Uint8Array() };
}

/** A type 9 entry, enabled unless `flags` says otherwise. */
export function madtLocalX2apic(uid: number, x2apicId: number, flags = ACPI_MADT_ENABLED): MadtLocalX2apic {
  return {
    kind: 'local_x2apic',
    reserved: 0,
    x2apic_id: x2apicId,
    flags,
    acpi_processor_uid: uid,
    tail: new Uint8Array(),
  };
}

/** A type 11 entry of a GICv3 system, all addresses 0, enabled unless `flags` says otherwise. */
export function madtGicc(uid: number, mpidr: number | bigint, flags = ACPI_MADT_ENABLED): MadtGicc {
  return {
    kind: 'gicc',
    ...acpi_madt_gicc.decode(new Uint8Array(acpi_madt_gicc.size)),
    cpu_interface_number: uid,
    acpi_processor_uid: uid,
    flags,
    mpidr: BigInt(mpidr),
    tail: new Uint8Array(),
  };
}
