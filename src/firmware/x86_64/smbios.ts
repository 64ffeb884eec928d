/**
 * The SMBIOS structures of a PVHVM guest, with the values of hvmloader of Xen 4.17 (tools/firmware/hvmloader/smbios.c) where no configuration
 * says otherwise.
 */
import {
  smbios_bios,
  smbios_boot,
  smbios_enclosure,
  smbios_end,
  smbios_entry_point,
  smbios_mapped_array,
  smbios_memory_array,
  smbios_memory_device,
  smbios_oem_strings,
  smbios_processor,
  smbios_system,
} from '../../abi/index.js';
import { characters, checksumOf, joined } from './table_bytes.js';

export interface SmbiosParts {
  /** Xen's: `4.17.7`. */
  readonly version: string;
  /** The domain's, as text, and its 16 bytes. */
  readonly uuid: { readonly text: string; readonly bytes: Uint8Array };
  readonly vcpus: number;
  readonly memoryMiB: number;
}

/** When the observed hvmloader was built. */
const releaseDate = '11/04/2026';
/** The TSC's frequency. */
const speedMhz = 1000;
/** No structure of that kind. */
const none = { cache: 0xffff, errorInformation: 0xfffe } as const;
/** States: safe, and unknown. */
const state = { safe: 3, unknown: 2 } as const;
const arrayHandle = 0x1000;

type Header = Record<'type' | 'length' | 'handle', number>;

/** A structure with its texts, and what ends them. */
function structure<V extends object>(
  { size, encode }: { readonly size: number; readonly encode: (value: V) => Uint8Array },
  [type, handle]: readonly [number, number],
  value: Omit<V, keyof Header>,
  texts: readonly string[] = [],
): Uint8Array {
  const fixed = encode({ type, length: size, handle, ...value } as V);
  const ending = texts.length === 0 ? '\0\0' : '\0';
  return joined([fixed, characters(texts.map((text) => `${text}\0`).join('') + ending)]);
}

function bios(version: string): Uint8Array {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return structure(
    smbios_bios,
    [0, 0],
    {
      vendor: 1,
      version: 2,
      starting_segment: 0xe800,
      release_date: 3,
      rom_size: 0,
      // PCI, and EDD; then targeted content distribution.
      characteristics: Uint8Array.of(0x80, 0, 0x08, 0, 0, 0, 0, 0),
      characteristics_extension: Uint8Array.of(0, 0x04),
      major_release: major,
      minor_release: minor,
      controller_major_release: 0xff,
      controller_minor_release: 0xff,
    },
    ['Xen', version, releaseDate],
  );
}

function system({ version, uuid }: SmbiosParts): Uint8Array {
  return structure(
    smbios_system,
    [1, 0x100],
    {
      manufacturer: 1,
      product: 2,
      version: 3,
      serial_number: 4,
      uuid: uuid.bytes,
      wake_up_type: 6,
      sku: 0,
      family: 0,
    },
    ['Xen', 'HVM domU', version, uuid.text],
  );
}

function enclosure(): Uint8Array {
  return structure(
    smbios_enclosure,
    [3, 0x300],
    {
      manufacturer: 1,
      enclosure_type: 1,
      version: 0,
      serial_number: 0,
      asset_tag: 0,
      boot_up_state: state.safe,
      power_supply_state: state.safe,
      thermal_state: state.safe,
      security_status: state.unknown,
    },
    ['Xen'],
  );
}

/** `number`: from 1. */
function processor(number: number): Uint8Array {
  return structure(
    smbios_processor,
    [4, 0x400 + number],
    {
      socket: 1,
      processor_type: 3,
      family: 1,
      manufacturer: 2,
      id: new Uint8Array(8),
      version: 0,
      voltage: 0,
      external_clock: 0,
      max_speed: speedMhz,
      current_speed: speedMhz,
      // In use.
      status: 0x41,
      upgrade: 1,
      l1_cache: none.cache,
      l2_cache: none.cache,
      l3_cache: none.cache,
      serial_number: 0,
      asset_tag: 0,
      part_number: 0,
    },
    [`CPU ${number}`, 'AMD'],
  );
}

/** All memory as one array with one device: a guest has less than 16 GiB. */
function memory(memoryMiB: number): Uint8Array[] {
  return [
    structure(smbios_memory_array, [16, arrayHandle], {
      location: 1,
      use: 3,
      error_correction: 6,
      maximum_capacity: memoryMiB * 1024,
      error_information: none.errorInformation,
      device_count: 1,
    }),
    structure(
      smbios_memory_device,
      [17, 0x1100],
      {
        array: arrayHandle,
        error_information: none.errorInformation,
        total_width: 64,
        data_width: 64,
        size: memoryMiB,
        form_factor: 9,
        device_set: 0,
        device_locator: 1,
        bank_locator: 0,
        memory_type: 7,
        type_detail: 0,
        speed: 0,
        manufacturer: 0,
        serial_number: 0,
        asset_tag: 0,
        part_number: 0,
      },
      ['DIMM 0'],
    ),
    structure(smbios_mapped_array, [19, 0x1300], {
      start: 0,
      end: memoryMiB * 1024 - 1,
      array: arrayHandle,
      partition_width: 1,
    }),
  ];
}

/** The entry point, and the structures that it leads to, which lie at `at`. */
export function smbios(
  parts: SmbiosParts,
  at: bigint,
): Readonly<Record<'entryPoint' | 'structures', Uint8Array>> {
  const all = [
    bios(parts.version),
    system(parts),
    enclosure(),
    ...Array.from({ length: parts.vcpus }, (_, vcpu) => processor(vcpu + 1)),
    structure(smbios_oem_strings, [11, 0xb00], { count: 1 }, ['Xen']),
    ...memory(parts.memoryMiB),
    structure(smbios_boot, [32, 0x2000], { reserved: new Uint8Array(6), status: 0 }),
    structure(smbios_end, [127, 0x7f00], {}),
  ];
  const structures = joined(all);
  const entryPoint = smbios_entry_point.encode({
    anchor: characters('_SM_'),
    checksum: 0,
    length: smbios_entry_point.size,
    major_version: 2,
    minor_version: 4,
    max_structure_size: Math.max(...all.map(({ length }) => length)),
    revision: 0,
    formatted_area: new Uint8Array(5),
    intermediate_anchor: characters('_DMI_'),
    intermediate_checksum: 0,
    table_length: structures.length,
    table_address: Number(at),
    structure_count: all.length,
    bcd_revision: 0x24,
  });
  const { checksum, intermediate_anchor, intermediate_checksum } = smbios_entry_point.offsets;
  entryPoint[intermediate_checksum] = checksumOf(entryPoint.subarray(intermediate_anchor));
  entryPoint[checksum] = checksumOf(entryPoint);
  return { entryPoint, structures };
}
