/**
 * SMBIOS 2.4 (DMTF DSP0134, 5.2.1 and chapter 7): the entry point and the structures that a guest of Xen has. Behind the formatted part of
 * each come its texts, which it counts from 1. They are only written here, never read.
 */
import { bytes, packedStruct, u16, u32, u8 } from './struct.js';

/** Entry point (5.2.1). The first checksum covers all of it, the second one all from `intermediate_anchor` on. */
export const smbios_entry_point = packedStruct('smbios_entry_point', {
  anchor: bytes(4),
  checksum: u8,
  length: u8,
  major_version: u8,
  minor_version: u8,
  max_structure_size: u16,
  revision: u8,
  formatted_area: bytes(5),
  intermediate_anchor: bytes(5),
  intermediate_checksum: u8,
  table_length: u16,
  table_address: u32,
  structure_count: u16,
  bcd_revision: u8,
});

const header = { type: u8, length: u8, handle: u16 } as const;

/** BIOS information (7.1): type 0. */
export const smbios_bios = packedStruct('smbios_bios', {
  ...header,
  vendor: u8,
  version: u8,
  starting_segment: u16,
  release_date: u8,
  rom_size: u8,
  characteristics: bytes(8),
  characteristics_extension: bytes(2),
  major_release: u8,
  minor_release: u8,
  controller_major_release: u8,
  controller_minor_release: u8,
});

/** System information (7.2): type 1. */
export const smbios_system = packedStruct('smbios_system', {
  ...header,
  manufacturer: u8,
  product: u8,
  version: u8,
  serial_number: u8,
  uuid: bytes(16),
  wake_up_type: u8,
  sku: u8,
  family: u8,
});

/** System enclosure (7.4), as far as SMBIOS 2.1 has it: type 3. */
export const smbios_enclosure = packedStruct('smbios_enclosure', {
  ...header,
  manufacturer: u8,
  enclosure_type: u8,
  version: u8,
  serial_number: u8,
  asset_tag: u8,
  boot_up_state: u8,
  power_supply_state: u8,
  thermal_state: u8,
  security_status: u8,
});

/** Processor information (7.5), as far as SMBIOS 2.3 has it: type 4. Speeds are in MHz. */
export const smbios_processor = packedStruct('smbios_processor', {
  ...header,
  socket: u8,
  processor_type: u8,
  family: u8,
  manufacturer: u8,
  id: bytes(8),
  version: u8,
  voltage: u8,
  external_clock: u16,
  max_speed: u16,
  current_speed: u16,
  status: u8,
  upgrade: u8,
  l1_cache: u16,
  l2_cache: u16,
  l3_cache: u16,
  serial_number: u8,
  asset_tag: u8,
  part_number: u8,
});

/** OEM strings (7.12): type 11. */
export const smbios_oem_strings = packedStruct('smbios_oem_strings', { ...header, count: u8 });

/** Physical memory array (7.17): type 16. Its capacity is in KiB. */
export const smbios_memory_array = packedStruct('smbios_memory_array', {
  ...header,
  location: u8,
  use: u8,
  error_correction: u8,
  maximum_capacity: u32,
  error_information: u16,
  device_count: u16,
});

/** Memory device (7.18), as far as SMBIOS 2.3 has it: type 17. Its size is in MiB. */
export const smbios_memory_device = packedStruct('smbios_memory_device', {
  ...header,
  array: u16,
  error_information: u16,
  total_width: u16,
  data_width: u16,
  size: u16,
  form_factor: u8,
  device_set: u8,
  device_locator: u8,
  bank_locator: u8,
  memory_type: u8,
  type_detail: u16,
  speed: u16,
  manufacturer: u8,
  serial_number: u8,
  asset_tag: u8,
  part_number: u8,
});

/** Memory array mapped address (7.20): type 19. Addresses are in KiB, the last one included. */
export const smbios_mapped_array = packedStruct('smbios_mapped_array', {
  ...header,
  start: u32,
  end: u32,
  array: u16,
  partition_width: u8,
});

/** System boot information (7.33): type 32. */
export const smbios_boot = packedStruct('smbios_boot', { ...header, reserved: bytes(6), status: u8 });

/** End of the table (7.45): type 127. */
export const smbios_end = packedStruct('smbios_end', header);
