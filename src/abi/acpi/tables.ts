/**
 * ACPI tables besides the MADT, as far as a guest of Xen has them: RSDP, RSDT, XSDT, FADT and FACS (ACPI 6.5, chapter 5). They
 * are only written here, never read.
 */
import { bytes, packedStruct, u16, u32, u64, u8 } from '../struct.js';
import { acpi_table_header } from './madt.js';

/** Generic Address Structure (5.2.3.2). */
export const acpi_generic_address = packedStruct('acpi_generic_address', {
  space_id: u8,
  bit_width: u8,
  bit_offset: u8,
  access_width: u8,
  address: u64,
});

/** `space_id` of a range of I/O ports. */
export const ACPI_ADR_SPACE_SYSTEM_IO = 1;

/** Root System Description Pointer, revision 2 (5.2.5.3). */
export const acpi_rsdp = packedStruct('acpi_rsdp', {
  signature: bytes(8),
  checksum: u8,
  oem_id: bytes(6),
  revision: u8,
  rsdt_address: u32,
  length: u32,
  xsdt_address: u64,
  extended_checksum: u8,
  reserved: bytes(3),
});

/** The bytes of the RSDP that `checksum` covers: those of revision 0. */
export const acpi_rsdp_first_bytes = 20;

/** Firmware ACPI Control Structure (5.2.10). It has no checksum. */
export const acpi_facs = packedStruct('acpi_facs', {
  signature: bytes(4),
  length: u32,
  hardware_signature: u32,
  firmware_waking_vector: u32,
  global_lock: u32,
  flags: u32,
  x_firmware_waking_vector: u64,
  version: u8,
  reserved: bytes(31),
});

const oldFadt = {
  header: acpi_table_header,
  firmware_ctrl: u32,
  dsdt: u32,
  reserved_model: u8,
  preferred_pm_profile: u8,
  sci_int: u16,
  smi_cmd: u32,
  acpi_enable: u8,
  acpi_disable: u8,
  s4bios_req: u8,
  pstate_cnt: u8,
  pm1a_evt_blk: u32,
  pm1b_evt_blk: u32,
  pm1a_cnt_blk: u32,
  pm1b_cnt_blk: u32,
  pm2_cnt_blk: u32,
  pm_tmr_blk: u32,
  gpe0_blk: u32,
  gpe1_blk: u32,
  pm1_evt_len: u8,
  pm1_cnt_len: u8,
  pm2_cnt_len: u8,
  pm_tmr_len: u8,
  gpe0_blk_len: u8,
  gpe1_blk_len: u8,
  gpe1_base: u8,
  cst_cnt: u8,
  p_lvl2_lat: u16,
  p_lvl3_lat: u16,
  flush_size: u16,
  flush_stride: u16,
  duty_offset: u8,
  duty_width: u8,
  day_alrm: u8,
  mon_alrm: u8,
  century: u8,
  iapc_boot_arch: u16,
  reserved: u8,
  flags: u32,
} as const;

/** Fixed ACPI Description Table of ACPI 1.0: 116 bytes. */
export const acpi_fadt_1 = packedStruct('acpi_fadt_1', oldFadt);

/** Fixed ACPI Description Table of revision 5 (ACPI 5.0, 5.2.9): 268 bytes. */
export const acpi_fadt_5 = packedStruct('acpi_fadt_5', {
  ...oldFadt,
  reset_reg: acpi_generic_address,
  reset_value: u8,
  arm_boot_arch: u16,
  fadt_minor_version: u8,
  x_firmware_ctrl: u64,
  x_dsdt: u64,
  x_pm1a_evt_blk: acpi_generic_address,
  x_pm1b_evt_blk: acpi_generic_address,
  x_pm1a_cnt_blk: acpi_generic_address,
  x_pm1b_cnt_blk: acpi_generic_address,
  x_pm2_cnt_blk: acpi_generic_address,
  x_pm_tmr_blk: acpi_generic_address,
  x_gpe0_blk: acpi_generic_address,
  x_gpe1_blk: acpi_generic_address,
  sleep_control_reg: acpi_generic_address,
  sleep_status_reg: acpi_generic_address,
});
