/**
 * The DSDT of a PVHVM guest. It behaves as that of Xen 4.17 for a device model of QEMU's (tools/libacpi/dsdt.asl and mk_dsdt.c): the
 * PCI bus with its windows, interrupt links and routing, the devices behind the ISA bridge, the slots that can be hot-plugged, and
 * the processors. The text is our own.
 */
import { ACPI_PCIHP_ADDR_PIIX4, HPET_BASE_ADDRESS } from '../../../abi/index.js';
import type { Aml } from './aml.js';
import * as aml from './aml.js';
import { acpiInfoAt } from '../memory_map.js';
import { infoBytes } from './dsdt.js';
import { processorEvent, processorScope } from './processors.js';
import * as resource from './resources.js';

const number = aml.integer;
const present = 0xf;

/** The fields of the page that the firmware fills in; `info` in ./tables.ts has the same offsets. */
function info(): Aml {
  return aml.scope(
    '_SB_',
    aml.operationRegion('BIOS', aml.space.memory, number(Number(acpiInfoAt)), number(infoBytes)),
    aml.field(
      'BIOS',
      ['UAR1', 1],
      ['UAR2', 1],
      ['LTP1', 1],
      ['HPET', 1],
      [null, 12],
      ['NCPU', 16],
      ['PMIN', 32],
      ['PLEN', 32],
      ['MSUA', 32],
      ['MAPA', 32],
      ['VGIA', 32],
      ['LMIN', 32],
      ['HMIN', 32],
      ['LLEN', 32],
      ['HLEN', 32],
    ),
  );
}

/** A device that is there if a field of the page says so. */
function presentIf(path: string): Aml {
  return aml.method(
    '_STA',
    0,
    aml.when(aml.equal(aml.name(path), number(0)), aml.give(number(0)), aml.give(number(present))),
  );
}

const always = aml.method('_STA', 0, aml.give(number(present)));

function isaDevice(path: string, id: string, terms: readonly Aml[], ...resources: Aml[]): Aml {
  return aml.device(
    path,
    aml.named('_HID', aml.eisaId(id)),
    ...terms,
    aml.named('_CRS', resource.template(...resources)),
  );
}

const uid = (value: number): Aml => aml.named('_UID', number(value));

/** Ports of the board that belong to no other device: first port and count. */
const boardPorts = [
  [0x10, 0x10],
  [0x22, 0xc],
  [0x30, 0x10],
  [0x44, 0x1c],
  [0x62, 2],
  [0x65, 0xb],
  [0x72, 0xe],
  [0x80, 1],
  [0x84, 3],
  [0x88, 1],
  [0x8c, 3],
  [0x90, 0x10],
  [0xa2, 0x1c],
  [0xe0, 0x10],
  [0x8a0, 4],
  [0xcc0, 0x10],
  [0x4d0, 2],
] as const;
const dmaPorts = [
  [0, 0x10],
  [0x81, 3],
  [0x87, 1],
  [0x89, 3],
  [0x8f, 1],
  [0xc0, 0x20],
  [0x480, 0x10],
] as const;

const { ports, interrupts, dma } = resource;

/** The ISA bridge: its routing of the interrupt links, and the devices behind it. */
function isaBridge(): Aml {
  return aml.device(
    'ISA_',
    aml.named('_ADR', number(0x1_0000)),
    aml.operationRegion('PIRQ', aml.space.pciConfig, number(0x60), number(4)),
    aml.scope('\\', aml.field('\\_SB_.PCI0.ISA_.PIRQ', ['PIRA', 8], ['PIRB', 8], ['PIRC', 8], ['PIRD', 8])),
    isaDevice('SYSR', 'PNP0C02', [uid(1)], ...boardPorts.map(([at, count]) => ports(at, count))),
    isaDevice('PIC_', 'PNP0000', [], ports(0x20, 2, 1), ports(0xa0, 2, 1), interrupts(2)),
    isaDevice('DMA0', 'PNP0200', [], dma(4, true), ...dmaPorts.map(([at, count]) => ports(at, count))),
    isaDevice('TMR_', 'PNP0100', [], ports(0x40, 4), interrupts(0)),
    isaDevice('RTC_', 'PNP0B00', [], ports(0x70, 2), interrupts(8)),
    isaDevice('SPKR', 'PNP0800', [], ports(0x61, 1)),
    isaDevice('PS2M', 'PNP0F13', [aml.named('_CID', aml.eisaId('PNP0F13')), always], interrupts(12)),
    isaDevice(
      'PS2K',
      'PNP0303',
      [aml.named('_CID', aml.eisaId('PNP030B')), always],
      ports(0x60, 1),
      ports(0x64, 1),
      interrupts(1),
    ),
    isaDevice(
      'FDC0',
      'PNP0700',
      [always],
      ports(0x3f0, 6, 1),
      ports(0x3f7, 1, 1),
      interrupts(6),
      dma(2, false),
    ),
    isaDevice('UAR1', 'PNP0501', [uid(1), presentIf('\\_SB_.UAR1')], ports(0x3f8, 8, 8), interrupts(4)),
    isaDevice('UAR2', 'PNP0501', [uid(2), presentIf('\\_SB_.UAR2')], ports(0x2f8, 8, 8), interrupts(3)),
    isaDevice('LTP1', 'PNP0400', [uid(2), presentIf('\\_SB_.LTP1')], ports(0x378, 8, 8), interrupts(7)),
  );
}

/** Flags of memory: writable, and cacheable or write-combining. */
const memory = { uncached: 1, cached: 3, combining: 5 } as const;
const wholeRange = 3;
/** Byte offsets of the windows' fields in the bus's resources: the window below 4 GiB, and the one above. */
const low = { first: 0x5c, last: 0x60, length: 0x68 } as const;
const high = { first: 0x7a, last: 0x82, length: 0x92 } as const;

/** Bus numbers, the configuration ports, ports, video memory, and memory below and above 4 GiB. */
function busWindows(): Aml {
  return resource.template(
    resource.addressSpace({
      kind: 'bus',
      width: 2,
      first: 0n,
      last: 0xffn,
      isSubtractive: true,
      flags: 0,
    }),
    ports(0xcf8, 8, 1),
    resource.addressSpace({ kind: 'io', width: 2, first: 0n, last: 0xcf7n, flags: wholeRange }),
    resource.addressSpace({ kind: 'io', width: 2, first: 0xd00n, last: 0xffffn, flags: wholeRange }),
    resource.addressSpace({
      kind: 'memory',
      width: 4,
      first: 0xa_0000n,
      last: 0xb_ffffn,
      flags: memory.combining,
    }),
    resource.addressSpace({
      kind: 'memory',
      width: 4,
      first: 0xf000_0000n,
      last: 0xf4ff_ffffn,
      flags: memory.uncached,
    }),
    resource.addressSpace({
      kind: 'memory',
      width: 8,
      first: 0xf_ffff_fff0n,
      last: 0xf_ffff_ffffn,
      flags: memory.uncached,
    }),
  );
}

/** What the bus passes on. The memory windows are those that the firmware left in the page. */
function busResources(): Aml {
  const all = aml.local(1);
  const set = (path: string, value: Aml): Aml => aml.store(value, aml.name(path));
  const field = (path: string, at: number): Aml => aml.bufferField(32, all, number(at), path);
  return aml.method(
    '_CRS',
    0,
    aml.store(busWindows(), all),
    field('MMIN', low.first),
    field('MMAX', low.last),
    field('MLEN', low.length),
    set('MMIN', aml.name('PMIN')),
    set('MLEN', aml.name('PLEN')),
    aml.add(aml.name('MMIN'), aml.name('MLEN'), aml.name('MMAX')),
    aml.decrement(aml.name('MMAX')),
    field('MINL', high.first),
    field('MINH', high.first + 4),
    field('MAXL', high.last),
    field('MAXH', high.last + 4),
    field('LENL', high.length),
    field('LENH', high.length + 4),
    set('MINL', aml.name('LMIN')),
    set('MINH', aml.name('HMIN')),
    set('LENL', aml.name('LLEN')),
    set('LENH', aml.name('HLEN')),
    aml.add(aml.name('MINL'), aml.name('LENL'), aml.name('MAXL')),
    aml.add(aml.name('MINH'), aml.name('HLEN'), aml.name('MAXH')),
    // A window above 4 GiB ends one byte before the sum. Without one, all of it is 0.
    aml.when(aml.not(aml.equal(aml.name('LENL'), number(0))), [
      ...aml.when(aml.less(aml.name('MAXL'), aml.name('MINL')), aml.increment(aml.name('MAXH'))),
      ...aml.when(aml.equal(aml.name('MAXL'), number(0)), aml.decrement(aml.name('MAXH'))),
      ...aml.decrement(aml.name('MAXL')),
    ]),
    aml.give(all),
  );
}

const links = ['A', 'B', 'C', 'D'] as const;
/** The interrupts that a link may be routed to. */
const linkInterrupts = [5, 10, 11] as const;
/** In PIRQA to PIRQD of the ISA bridge: the link is not routed. */
const notRouted = 0x80;

/** A link between an INTx line and an interrupt of the PICs. */
function link(letter: string, index: number): Aml {
  const route = aml.name(`PIR${letter}`);
  return aml.device(
    `LNK${letter}`,
    aml.named('_HID', aml.eisaId('PNP0C0F')),
    uid(index + 1),
    aml.method(
      '_STA',
      0,
      aml.when(aml.and(route, number(notRouted)), aml.give(number(0x9)), aml.give(number(0xb))),
    ),
    aml.method('_PRS', 0, aml.give(aml.name('BUFA'))),
    aml.method('_DIS', 0, aml.or(route, number(notRouted), route)),
    aml.method(
      '_CRS',
      0,
      aml.and(route, number(0xf), aml.local(0)),
      aml.shiftLeft(number(1), aml.local(0), aml.name('IRQV')),
      aml.give(aml.name('BUFB')),
    ),
    aml.method(
      '_SRS',
      1,
      aml.bufferField(16, aml.arg(0), number(1), 'IRQ1'),
      aml.lowestBit(aml.name('IRQ1'), aml.local(0)),
      aml.decrement(aml.local(0)),
      aml.store(aml.local(0), route),
    ),
  );
}

const slots = Array.from({ length: 31 }, (_, i) => i + 1);
const pins = [0, 1, 2, 3] as const;

/** A row of the routing table for each pin of each slot. */
function routes(
  path: string,
  target: (slot: number, pin: number) => readonly [source: Aml, index: number],
): Aml {
  const rows = slots.flatMap((slot) =>
    pins.map((pin) => {
      const [source, index] = target(slot, pin);
      return aml.packageOf(number(((slot << 16) | 0xffff) >>> 0), number(pin), source, number(index));
    }),
  );
  return aml.named(path, aml.packageOf(...rows));
}

/** By links in PIC mode, and to the I/O APIC's inputs from 16 on (Xen 4.17 asm-x86/hvm/irq.h, hvm_pci_intx_link and hvm_pci_intx_gsi). */
function routing(): Aml {
  return [
    ...aml.method(
      '_PRT',
      0,
      aml.when(aml.name('PICD'), aml.give(aml.name('PRTA'))),
      aml.give(aml.name('PRTP')),
    ),
    ...routes('PRTP', (slot, pin) => [aml.name(`LNK${links[(slot + pin) & 3] ?? 'A'}`), 0]),
    ...routes('PRTA', (slot, pin) => [number(0), 16 + ((4 * slot + (slot >> 3) + pin) & 31)]),
  ];
}

/** Ports of the slots' hot-plug: what was plugged in and is to go, and what is to be ejected and may be. */
const hotPlug = { events: ACPI_PCIHP_ADDR_PIIX4, eject: ACPI_PCIHP_ADDR_PIIX4 + 8, debug: 0xb044 } as const;

function slotName(slot: number): string {
  return `S${slot}`.padEnd(4, '_');
}

/** A slot whose device can be ejected. */
function slotDevice(slot: number): Aml {
  const bit = number((1 << slot) >>> 0);
  return aml.device(
    slotName(slot),
    aml.named('_ADR', number(slot << 16)),
    aml.method('_EJ0', 1, aml.store(bit, aml.name('B0EJ'))),
    aml.named('_SUN', number(slot)),
    aml.method(
      '_STA',
      0,
      aml.when(aml.and(aml.name('B0RM'), bit), aml.give(number(present))),
      aml.give(number(0)),
    ),
  );
}

function slotDevices(): Aml {
  return [
    ...isaDevice('HP0_', 'PNP0C02', [], ports(hotPlug.events, 0x10), ports(hotPlug.debug, 4)),
    ...aml.named('BUFA', resource.template(resource.sharedInterrupts(...linkInterrupts))),
    ...aml.named('BUFB', resource.template(resource.sharedInterrupts())),
    ...aml.bufferField(16, aml.name('BUFB'), number(1), 'IRQV'),
    ...links.flatMap(link),
    ...routing(),
    ...aml.operationRegion('SEJ_', aml.space.io, number(hotPlug.eject), number(8)),
    ...aml.wordField('SEJ_', ['B0EJ', 32], ['B0RM', 32]),
    ...slots.flatMap(slotDevice),
  ];
}

/** The event by which the guest looks at what was plugged in, and what is to go. */
function slotEvent(): Aml {
  const notified = (list: string, slot: number, value: number): Aml =>
    aml.when(
      aml.and(aml.name(list), number((1 << slot) >>> 0)),
      aml.notify(`\\_SB_.PCI0.${slotName(slot)}`, value),
    );
  return aml.scope(
    '_GPE',
    aml.operationRegion('PCST', aml.space.io, number(hotPlug.events), number(8)),
    aml.wordField('PCST', ['PCIU', 32], ['PCID', 32]),
    aml.method('_E01', 0, ...slots.flatMap((slot) => [notified('PCIU', slot, 1), notified('PCID', slot, 3)])),
  );
}

/** The PCI bus: what it is and passes on, the HPET and the ISA bridge. */
function bus(): Aml {
  return aml.device(
    'PCI0',
    aml.named('_HID', aml.eisaId('PNP0A03')),
    uid(0),
    aml.named('_ADR', number(0)),
    aml.named('_BBN', number(0)),
    busResources(),
    aml.device(
      'HPET',
      aml.named('_HID', aml.eisaId('PNP0103')),
      uid(0),
      presentIf('\\_SB_.HPET'),
      aml.named(
        '_CRS',
        resource.template(
          resource.addressSpace({
            kind: 'memory',
            width: 4,
            first: BigInt(HPET_BASE_ADDRESS),
            last: BigInt(HPET_BASE_ADDRESS + 0x3ff),
            isConsumer: true,
            flags: memory.uncached,
          }),
        ),
      ),
    ),
    isaBridge(),
  );
}

/** The conventional memory, as a device that consumes it. */
function lowMemory(): Aml {
  return aml.device(
    'MEM0',
    aml.named('_HID', aml.eisaId('PNP0C02')),
    aml.named(
      '_CRS',
      resource.template(
        resource.addressSpace({
          kind: 'memory',
          width: 8,
          first: 0n,
          last: 0x9_ffffn,
          isConsumer: true,
          flags: memory.cached,
        }),
      ),
    ),
  );
}

/** The AML of the DSDT, without its header. */
export function hvmDsdtCode(): Uint8Array {
  return Uint8Array.from([
    ...aml.scope('_SB_', lowMemory(), bus()),
    // Soft off is sleep type 0.
    ...aml.named('_S5_', aml.packageOf(...[0, 0, 0, 0].map(number))),
    ...aml.named('PICD', number(0)),
    ...aml.method('_PIC', 1, aml.store(aml.arg(0), aml.name('PICD'))),
    ...info(),
    ...processorScope(),
    ...processorEvent(),
    ...aml.scope('_SB_.PCI0', slotDevices()),
    ...slotEvent(),
  ]);
}
