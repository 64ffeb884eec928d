/**
 * The MP tables of a PVHVM guest, with the values of hvmloader of Xen 4.17 (tools/firmware/hvmloader/mp_tables.c), where SeaBIOS copies them.
 * A kernel without ACPI finds its CPUs by them.
 */
import {
  mp_bus,
  mp_config_header,
  mp_floating_pointer,
  mp_io_apic,
  mp_io_interrupt,
  mp_processor,
  MP_PROCESSOR_BOOTSTRAP,
  MP_PROCESSOR_ENABLED,
  VIOAPIC_DEFAULT_BASE_ADDRESS,
} from '../../abi/index.js';
import { localApicAt } from './memory_map.js';
import { characters, checksumOf, joined } from './table_bytes.js';

/** Types of entries. */
const entry = { processor: 0, bus: 1, ioApic: 2, ioInterrupt: 3 } as const;
const specRev = 4;
/** What hvmloader says of every processor, whatever CPUID says: family 6, an FPU and a local APIC. */
const processor = { local_apic_version: 0x11, signature: 0x600, feature_flags: 0x201 } as const;
const ioApic = { io_apic_id: 1, version: 0x11, flags: 1 } as const;
const isaBus = 0;
/** ISA interrupts that PCI's links take: active low and level-triggered. */
const pciLinks: readonly number[] = [5, 10, 11];
const pciSignal = 0xf;

function interruptEntry(irq: number): Uint8Array {
  return mp_io_interrupt.encode({
    type: entry.ioInterrupt,
    interrupt_type: 0,
    flags: pciLinks.includes(irq) ? pciSignal : 0,
    source_bus: isaBus,
    source_irq: irq,
    io_apic_id: ioApic.io_apic_id,
    // The timer's is input 2.
    input: irq === 0 ? 2 : irq,
  });
}

function entriesFor(apicIds: readonly number[]): Uint8Array[] {
  // 2 is the second 8259's.
  const irqs = Array.from({ length: 16 }, (_, irq) => irq).filter((irq) => irq !== 2);
  return [
    ...apicIds.map((id, vcpu) =>
      mp_processor.encode({
        type: entry.processor,
        local_apic_id: id,
        flags: MP_PROCESSOR_ENABLED | (vcpu === 0 ? MP_PROCESSOR_BOOTSTRAP : 0),
        ...processor,
        reserved: new Uint8Array(8),
      }),
    ),
    mp_bus.encode({ type: entry.bus, bus_id: isaBus, bus_type: characters('ISA   ') }),
    mp_io_apic.encode({ type: entry.ioApic, ...ioApic, address: VIOAPIC_DEFAULT_BASE_ADDRESS }),
    ...irqs.map(interruptEntry),
  ];
}

/** The tables of a guest whose vCPUs have these APIC ids, by vCPU id: as many bytes from `at` on as `mpTableBytes` says. */
export function mpTables(apicIds: readonly number[], at: bigint): Uint8Array {
  const entries = entriesFor(apicIds);
  const config = joined([
    mp_config_header.encode({
      signature: characters('PCMP'),
      length: mp_config_header.size + joined(entries).length,
      spec_rev: specRev,
      checksum: 0,
      oem_id: characters('_HVMCPU_'),
      product_id: characters('XEN'.padEnd(12)),
      oem_table: 0,
      oem_table_size: 0,
      entry_count: entries.length,
      local_apic: Number(localApicAt),
      extended_length: 0,
      extended_checksum: 0,
      reserved: 0,
    }),
    ...entries,
  ]);
  config[mp_config_header.offsets.checksum] = checksumOf(config);
  const pointer = mp_floating_pointer.encode({
    signature: characters('_MP_'),
    physical_address: Number(at) + mp_floating_pointer.size,
    length: 1,
    spec_rev: specRev,
    checksum: 0,
    features: new Uint8Array(5),
  });
  pointer[mp_floating_pointer.offsets.checksum] = checksumOf(pointer);
  return joined([pointer, config]);
}

/** Size of these tables. */
export function mpTableBytes(vcpus: number): number {
  return mpTables(
    Array.from({ length: vcpus }, () => 0),
    0n,
  ).length;
}
