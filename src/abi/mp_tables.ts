/** The tables of the MultiProcessor Specification 1.4 (chapter 4). They are only written here, never read. */
import { bytes, packedStruct, u16, u32, u8 } from './struct.js';

/** MP floating pointer structure (4.1). Its checksum covers all of it; `length` is in units of 16 bytes. */
export const mp_floating_pointer = packedStruct('mp_floating_pointer', {
  signature: bytes(4),
  physical_address: u32,
  length: u8,
  spec_rev: u8,
  checksum: u8,
  features: bytes(5),
});

/** MP configuration table header (4.2). `length` counts the entries, too, and so does the checksum. */
export const mp_config_header = packedStruct('mp_config_header', {
  signature: bytes(4),
  length: u16,
  spec_rev: u8,
  checksum: u8,
  oem_id: bytes(8),
  product_id: bytes(12),
  oem_table: u32,
  oem_table_size: u16,
  entry_count: u16,
  local_apic: u32,
  extended_length: u16,
  extended_checksum: u8,
  reserved: u8,
});

/** Processor (4.3.1): type 0. */
export const mp_processor = packedStruct('mp_processor', {
  type: u8,
  local_apic_id: u8,
  local_apic_version: u8,
  flags: u8,
  signature: u32,
  feature_flags: u32,
  reserved: bytes(8),
});
/** Flags of a processor: it may be used, and it is the one that starts. */
export const MP_PROCESSOR_ENABLED = 1;
export const MP_PROCESSOR_BOOTSTRAP = 2;

/** Bus (4.3.2): type 1. */
export const mp_bus = packedStruct('mp_bus', { type: u8, bus_id: u8, bus_type: bytes(6) });

/** I/O APIC (4.3.3): type 2. */
export const mp_io_apic = packedStruct('mp_io_apic', {
  type: u8,
  io_apic_id: u8,
  version: u8,
  flags: u8,
  address: u32,
});

/** I/O interrupt assignment (4.3.4): type 3. */
export const mp_io_interrupt = packedStruct('mp_io_interrupt', {
  type: u8,
  interrupt_type: u8,
  flags: u16,
  source_bus: u8,
  source_irq: u8,
  io_apic_id: u8,
  input: u8,
});
