/**
 * The part of a DSDT that describes the processors. It behaves as that of Xen 4.17 (tools/libacpi/mk_dsdt.c): 128 processor objects,
 * whose state is the flags of the MADT's entries; and a general purpose event by which the guest reads the map of present CPUs from
 * ports and writes it into these flags. The text is our own.
 *
 * Xen 4.17 has no device behind these ports in a PVH guest. They read as all ones, so the guest marks 128 CPUs as present, and
 * for those that the MADT does not have it writes into the tables behind the MADT.
 */
import type { Aml } from './aml.js';
import { PIIX4_CPU_HOTPLUG_IO_BASE } from '../../../abi/index.js';
import * as aml from './aml.js';

/** The number of processor objects (HVM_MAX_VCPUS). */
const processors = 128;
/** The block of P_BLK registers that each processor object names; nothing is there. */
const processorBlock = { at: 0xb010, bytes: 6 } as const;
/** The ports that hold the map of present CPUs, a bit each, and the event that says that it has changed. */
const presentCpus = { port: PIIX4_CPU_HOTPLUG_IO_BASE, event: '_E02' } as const;
/** A local APIC entry of the MADT: its size in bytes, and the offset of its flags. */
const entry = { bytes: 8, flagsAt: 4 } as const;

/** The Processor Local APIC entry of a CPU that is not there. */
const noEntry = [0, 8, 0xff, 0xff, 0, 0, 0, 0];
/** _STA: present, enabled, shown and functioning (ACPI 6.5, 6.3.7). */
const present = 0xf;
/** Values of Notify (5.6.6). */
const notified = { deviceCheck: 1, ejectRequest: 3 } as const;
const ejectMilliseconds = 200;

function hex(value: number): string {
  return value.toString(16).toUpperCase().padStart(2, '0');
}

function processorName(cpu: number): string {
  return `PR${hex(cpu)}`;
}

/** A processor: whether it is there is the first flag of its entry in the MADT. CPU 0 always has an entry. */
function processorObject(cpu: number): Aml {
  const isFlagged = aml.when(aml.name('FLG_'), aml.give(aml.integer(present)));
  const hasEntry = aml.less(aml.integer(cpu), aml.name('NCPU'));
  return aml.processor(
    processorName(cpu),
    cpu,
    processorBlock,
    aml.named('_HID', aml.text('ACPI0007')),
    aml.named('_UID', aml.integer(cpu)),
    aml.operationRegion(
      'MATR',
      aml.space.memory,
      aml.add(aml.name('MAPA'), aml.integer(entry.bytes * cpu)),
      aml.integer(entry.bytes),
    ),
    aml.field('MATR', ['MAT_', 8 * entry.bytes]),
    aml.field('MATR', [null, 8 * entry.flagsAt], ['FLG_', 1]),
    aml.method(
      '_MAT',
      0,
      aml.give(
        cpu === 0 ? aml.toBuffer(aml.name('MAT_')) : aml.call('PMAT', aml.integer(cpu), aml.name('MAT_')),
      ),
    ),
    aml.method('_STA', 0, cpu === 0 ? isFlagged : aml.when(hasEntry, isFlagged), aml.give(aml.integer(0))),
    aml.method('_EJ0', 1, aml.sleep(ejectMilliseconds)),
  );
}

/** Compares the map's bit of a CPU, the lowest of Local1, with its flag, and makes the flag and the checksum follow. */
function followCpu(cpu: number): Aml {
  const one = aml.integer(1);
  const flag = aml.name(`^${processorName(cpu)}.FLG_`);
  const checksum = aml.name('MSU_');
  const bit = aml.local(2);
  return [
    // A byte of the map has the CPUs of eight objects.
    ...(cpu % 8 === 0
      ? aml.store(aml.dereference(aml.index(aml.local(0), aml.integer(cpu / 8))), aml.local(1))
      : aml.shiftRight(aml.local(1), one, aml.local(1))),
    ...aml.and(aml.local(1), one, bit),
    ...aml.when(aml.not(aml.equal(bit, flag)), [
      ...aml.store(bit, flag),
      ...aml.when(
        aml.equal(bit, one),
        [...aml.notify(processorName(cpu), notified.deviceCheck), ...aml.subtract(checksum, one, checksum)],
        [...aml.notify(processorName(cpu), notified.ejectRequest), ...aml.add(checksum, one, checksum)],
      ),
    ]),
  ];
}

/** The objects, and what they share. */
export function processorScope(): Aml {
  const cpus = Array.from({ length: processors }, (_, cpu) => cpu);
  return aml.scope(
    '_SB_',
    aml.operationRegion('MSUM', aml.space.memory, aml.name('MSUA'), aml.integer(1)),
    aml.field('MSUM', ['MSU_', 8]),
    aml.method(
      'PMAT',
      2,
      aml.when(aml.less(aml.arg(0), aml.name('NCPU')), aml.give(aml.toBuffer(aml.arg(1)))),
      aml.give(aml.buffer(noEntry)),
    ),
    ...cpus.map(processorObject),
    aml.operationRegion('PRST', aml.space.io, aml.integer(presentCpus.port), aml.integer(processors / 8)),
    aml.field('PRST', ['PRS_', processors]),
    aml.method(
      'PRSC',
      0,
      aml.toBuffer(aml.name('PRS_'), aml.local(0)),
      ...cpus.map(followCpu),
      aml.give(aml.integer(1)),
    ),
  );
}

/** The event by which the guest looks at the map of present CPUs. */
export function processorEvent(): Aml {
  return aml.scope('_GPE', aml.method(presentCpus.event, 0, aml.call('\\_SB_.PRSC')));
}
