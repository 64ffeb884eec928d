/** The devices at an HVM guest's ports: Xen's own, and those of its device model. */
import {
  ACPI_GPE0_BLK_ADDRESS_V1,
  ACPI_PCIHP_ADDR_PIIX4,
  ACPI_PM1A_CNT_BLK_ADDRESS_V1,
  ACPI_PM1A_EVT_BLK_ADDRESS_V1,
  ACPI_PM_TMR_BLK_ADDRESS_V1,
  PIIX4_CPU_HOTPLUG_IO_BASE,
  XEN_HVM_DEBUGCONS_IOPORT,
} from '../../../abi/index.js';
import {
  driveIsa,
  fixedPorts,
  pciBase,
  pciConfiguration,
  pmTimer,
  readDma,
  readDmaPage,
  readFixedPort,
  readGpe,
  readI8042Data,
  readI8042Status,
  readPci,
  readPic,
  readPicLevel,
  readPit,
  readPlatformPort,
  readPm1Control,
  readPm1Event,
  readRtc,
  readSpeaker,
  routeLink,
  selectPci,
  writeDma,
  writeDmaPage,
  writeFixedPort,
  writeGpe,
  writeI8042Command,
  writeI8042Data,
  writePci,
  writePic,
  writePicLevel,
  writePit,
  writePlatformPort,
  writePm1Control,
  writePm1Event,
  writeRtc,
  writeSpeaker,
} from '../../../devices/index.js';
import type { I8042Port, PicNumber } from '../../../devices/index.js';
import type { PortBytes } from '../../../engine/x86_64/index.js';
import { allOnes } from '../ports.js';
import { disksBase, linkRoutes, pciFunction, platformPortsBase, resetDisks } from './pci_functions.js';
import type { Platform } from './platform.js';
import { byteDevice, onlyBytes } from './ports.js';
import type { PortDevice } from './ports.js';

/** The bytes of an access's value, lowest first. */
const bytesOf = (value: number, bytes: PortBytes): number[] =>
  Array.from({ length: bytes }, (_, index) => (value >>> (8 * index)) & 0xff);

function joined(bytes: PortBytes, read: (index: number) => number): number {
  let value = 0;
  for (let index = 0; index < bytes; index += 1) value |= (read(index) & 0xff) << (8 * index);
  return value >>> 0;
}

function pic(platform: Platform, first: number, number: PicNumber): PortDevice {
  return onlyBytes(
    byteDevice(
      first,
      2,
      (offset) => {
        const value = readPic(platform.state.pics, number, offset === 1);
        platform.routing.picChanged();
        return value;
      },
      (offset, value) => {
        const unmasked = writePic(platform.state.pics, number, offset === 1, value);
        platform.routing.picChanged();
        if (unmasked) platform.routing.mayUnmask();
      },
    ),
  );
}

function picLevel(platform: Platform, number: PicNumber): PortDevice {
  return byteDevice(
    0x4d0 + number,
    1,
    () => readPicLevel(platform.state.pics, number),
    (_, value) => writePicLevel(platform.state.pics, number, value),
  );
}

function pit(platform: Platform): PortDevice {
  const { parts } = platform;
  return onlyBytes(
    byteDevice(
      0x40,
      4,
      (offset) => (offset === 3 ? 0xff : readPit(platform.state.pit, offset, parts.nowNs())),
      (offset, value) => {
        const interrupt = writePit(platform.state.pit, offset, value, parts.nowNs());
        if (interrupt !== null) platform.setPit(interrupt);
      },
    ),
  );
}

function rtc(platform: Platform): PortDevice {
  const { parts } = platform;
  return onlyBytes(
    byteDevice(
      0x70,
      2,
      (offset) => readRtc(platform.state.rtc, platform.rtc, offset, parts.nowNs()),
      (offset, value) => writeRtc(platform.state.rtc, platform.rtc, offset, value, parts.nowNs()),
    ),
  );
}

/** PM1 events are Xen's, and take any size. */
function pm1Events(platform: Platform): PortDevice {
  return {
    first: ACPI_PM1A_EVT_BLK_ADDRESS_V1,
    count: 4,
    isWhole: true,
    read: (offset, bytes) => joined(bytes, (index) => readPm1Event(platform.state.pm, offset + index)),
    write: (offset, bytes, value) => {
      for (const [index, byte] of bytesOf(value, bytes).entries()) {
        writePm1Event(platform.state.pm, offset + index, byte);
      }
      platform.passPower();
    },
  };
}

/** The PM timer takes loads of 32 bits. */
function powerTimer(platform: Platform): PortDevice {
  return {
    first: ACPI_PM_TMR_BLK_ADDRESS_V1,
    count: 4,
    isWhole: true,
    read: (_, bytes) => {
      platform.passPower();
      return bytes === 4 ? pmTimer(platform.parts.nowNs()) : allOnes[bytes];
    },
    write: () => undefined,
  };
}

/** The devices that Xen itself emulates. */
export function xenPorts(platform: Platform): PortDevice[] {
  const { parts } = platform;
  return [
    pic(platform, 0x20, 0),
    pic(platform, 0xa0, 1),
    picLevel(platform, 0),
    picLevel(platform, 1),
    pit(platform),
    byteDevice(
      0x61,
      1,
      () => readSpeaker(platform.state.pit, parts.nowNs()),
      (_, value) => writeSpeaker(platform.state.pit, value, parts.nowNs()),
    ),
    rtc(platform),
    byteDevice(
      XEN_HVM_DEBUGCONS_IOPORT,
      1,
      () => 0xff,
      (_, value) => parts.print(value),
    ),
    pm1Events(platform),
    powerTimer(platform),
  ];
}

function i8042(platform: Platform): PortDevice[] {
  const port: I8042Port = {
    drive: (irq, isHigh) => driveIsa(platform.state.lines, platform.routing.lines, irq, isHigh),
    reset: () => platform.reset(),
  };
  return [
    byteDevice(
      0x60,
      1,
      () => readI8042Data(platform.state.i8042, port),
      (_, value) => writeI8042Data(platform.state.i8042, port, value),
    ),
    byteDevice(
      0x64,
      1,
      () => readI8042Status(platform.state.i8042),
      (_, value) => writeI8042Command(platform.state.i8042, port, value),
    ),
  ];
}

function dma(platform: Platform): PortDevice[] {
  const [first, second] = [() => platform.state.dma[0], () => platform.state.dma[1]];
  return [
    byteDevice(
      0x00,
      16,
      (offset) => readDma(first(), offset),
      (offset, value) => writeDma(first(), offset, value),
    ),
    byteDevice(
      0xc0,
      32,
      (offset) => readDma(second(), offset >> 1),
      (offset, value) => writeDma(second(), offset >> 1, value),
    ),
    byteDevice(
      0x80,
      16,
      (offset) => readDmaPage(offset < 8 ? first() : second(), offset & 7),
      (offset, value) => writeDmaPage(offset < 8 ? first() : second(), offset & 7, value),
    ),
  ];
}

/** Unplugging the disks resets their controller. */
function unplugged(platform: Platform, asked: number): void {
  if ((asked & 1) !== 0) resetDisks(pciConfiguration(platform.state.pci, pciFunction.disks));
}

function fixedPlatformPorts(platform: Platform): PortDevice {
  return {
    first: 0x10,
    count: fixedPorts,
    isWhole: true,
    read: (offset, bytes) => readFixedPort(platform.state.xen, offset, bytes),
    write: (offset, bytes, value) => {
      if (bytes === 1 && offset === 0 && (value & 1) !== 0) {
        platform.parts.notModelled('write protection of the ROMs');
      }
      unplugged(platform, writeFixedPort(platform.state.xen, offset, bytes, value));
    },
  };
}

/** Bits of port 0xcf9 and of 0x92. */
const resetNow = { control: 4, system: 1 } as const;

function pciPorts(platform: Platform): PortDevice[] {
  const { functions } = platform;
  return [
    {
      first: 0xcf8,
      count: 4,
      isWhole: true,
      read: (offset, bytes) => {
        if (bytes === 1 && offset === 1) return platform.state.resetControl;
        return joined(bytes, (index) => readPci(platform.state.pci, functions, offset + index));
      },
      write: (offset, bytes, value) => {
        if (bytes === 4 && offset === 0) selectPci(platform.state.pci, value);
        if (bytes === 1 && offset === 1) writeResetControl(platform, value);
      },
    },
    byteDevice(
      0xcfc,
      4,
      (offset) => readPci(platform.state.pci, functions, 4 + offset),
      (offset, value) => {
        const written = writePci(platform.state.pci, functions, offset, value);
        if (written?.index === pciFunction.isaBridge) routeWritten(platform, written.register, written.value);
      },
    ),
  ];
}

function writeResetControl(platform: Platform, value: number): void {
  platform.state.resetControl = value & 2;
  if ((value & resetNow.control) !== 0) platform.reset();
}

/** A link's route: bit 7 turns it off. */
function routeWritten(platform: Platform, register: number, value: number): void {
  const link = register - linkRoutes;
  if (link < 0 || link > 3) return;
  routeLink(platform.state.lines, platform.routing.lines, link, (value & 0x80) === 0 ? value & 0xf : 0);
}

/** Slots of bus 0 whose devices are not fixed: all but those of the host bridge and of the PIIX3. */
const removableSlots = 0xffff_fffc;

/** Hot-plug registers of PCI slots (QEMU hw/acpi/pcihp.c), which take 32 bits, and the map of CPUs that are present. */
function hotPlug(platform: Platform): PortDevice[] {
  return [
    {
      first: ACPI_PCIHP_ADDR_PIIX4,
      count: 0x14,
      isWhole: true,
      read: (offset, bytes) => (bytes === 4 && offset === 0xc ? removableSlots : 0),
      write: (offset, bytes, value) => {
        if (bytes === 4 && offset === 8 && value !== 0) platform.parts.notModelled('removal of a PCI device');
      },
    },
    byteDevice(
      PIIX4_CPU_HOTPLUG_IO_BASE,
      0x20,
      (offset) => {
        const present = platform.parts.vcpus - 8 * offset;
        return present >= 8 ? 0xff : present <= 0 ? 0 : (1 << present) - 1;
      },
      () => undefined,
    ),
  ];
}

function powerControl(platform: Platform): PortDevice[] {
  return [
    byteDevice(
      ACPI_PM1A_CNT_BLK_ADDRESS_V1,
      2,
      (offset) => readPm1Control(platform.state.pm, offset),
      (offset, value) => {
        const sleep = writePm1Control(platform.state.pm, offset, value);
        if (sleep === 'off') platform.powerOff();
        if (sleep === 'suspend') platform.parts.notModelled('suspending to memory');
      },
    ),
    byteDevice(
      ACPI_GPE0_BLK_ADDRESS_V1,
      4,
      (offset) => readGpe(platform.state.pm, offset),
      (offset, value) => {
        writeGpe(platform.state.pm, offset, value);
        platform.passPower();
      },
    ),
    byteDevice(
      0x92,
      1,
      () => platform.state.systemControl,
      (_, value) => {
        const before = platform.state.systemControl;
        platform.state.systemControl = value;
        if ((value & ~before & resetNow.system) !== 0) platform.reset();
      },
    ),
  ];
}

/** A disk controller's ports without a disk: they read as 0. */
const noDisk = (first: number, count: number): PortDevice =>
  byteDevice(
    first,
    count,
    () => 0,
    () => undefined,
  );

/** The devices of the device model at ports that do not move. */
export function deviceModelPorts(platform: Platform): PortDevice[] {
  return [
    ...dma(platform),
    fixedPlatformPorts(platform),
    ...i8042(platform),
    ...[0x1f0, 0x170].map((first) => noDisk(first, 8)),
    ...[0x3f6, 0x376].map((first) => noDisk(first, 1)),
    ...pciPorts(platform),
    ...hotPlug(platform),
    ...powerControl(platform),
  ];
}

/** The disk controller's transfers to memory: command, status and table of two channels. */
function readDisks(platform: Platform, offset: number): number {
  const channel = platform.state.disks[offset >> 3];
  const register = offset & 7;
  if (channel === undefined) return 0xff;
  if (register >= 4) return channel.table[register - 4] ?? 0;
  return register === 0 ? channel.command : register === 2 ? channel.status : 0xff;
}

function writeDisks(platform: Platform, offset: number, value: number): void {
  const channel = platform.state.disks[offset >> 3];
  const register = offset & 7;
  if (channel === undefined) return;
  if (register >= 4) channel.table[register - 4] = register === 4 ? value & 0xfc : value;
  if (register === 0) channel.command = value & 9;
  if (register === 2) channel.status = (value & 0x60) | (channel.status & 1) | (channel.status & ~value & 6);
}

/** The device at a port where a base address register puts it. */
export function movablePorts(platform: Platform, port: number): PortDevice | undefined {
  const { pci } = platform.state;
  const disks = pciBase(pci, pciFunction.disks, disksBase);
  if (disks !== null && port >= disks && port < disks + disksBase.bytes) {
    return byteDevice(
      disks,
      disksBase.bytes,
      (offset) => readDisks(platform, offset),
      (offset, value) => writeDisks(platform, offset, value),
    );
  }
  const first = pciBase(pci, pciFunction.platform, platformPortsBase);
  if (first === null || port < first || port >= first + platformPortsBase.bytes) return undefined;
  return byteDevice(
    first,
    platformPortsBase.bytes,
    (offset) => readPlatformPort(platform.state.xen, offset),
    (offset, value) => unplugged(platform, writePlatformPort(platform.state.xen, offset, value)),
  );
}
