/** The devices of the device model: i8042 with keyboard and mouse, DMA, PCI, the Xen platform device, and ACPI power management. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import {
  acpiPmAsserted,
  acpiPmDueNs,
  gpeAsserted,
  newAcpiPm,
  passAcpiPm,
  pmTimer,
  readGpe,
  readPm1Control,
  readPm1Event,
  writeGpe,
  writePm1Control,
  writePm1Event,
} from './acpi_pm.js';
import { newDma, readDma, readDmaPage, writeDma, writeDmaPage } from './dma.js';
import { newI8042, readI8042Data, readI8042Status, writeI8042Command, writeI8042Data } from './i8042.js';
import type { I8042Port, I8042State } from './i8042.js';
import { newPci, pciBase, pciConfiguration, readPci, selectPci, writePci } from './pci.js';
import type { PciFunction } from './pci.js';
import {
  newXenPlatform,
  readFixedPort,
  readPlatformPort,
  writeFixedPort,
  writePlatformPort,
} from './xen_platform.js';

interface Bench {
  readonly state: I8042State;
  readonly port: I8042Port;
  readonly told: string[];
}

function bench(): Bench {
  const told: string[] = [];
  const isUp = new Map<number, boolean>();
  const port: I8042Port = {
    drive: (irq, isHigh) => {
      if (isHigh !== (isUp.get(irq) ?? false)) told.push(`${irq} ${isHigh ? 'up' : 'down'}`);
      isUp.set(irq, isHigh);
    },
    reset: () => void told.push('reset'),
  };
  return { state: newI8042(), port, told };
}

const command = ({ state, port }: Bench, ...values: readonly number[]): void => {
  const [first = 0, ...parameters] = values;
  writeI8042Command(state, port, first);
  for (const value of parameters) writeI8042Data(state, port, value);
};
const keyboard = ({ state, port }: Bench, value: number): void => writeI8042Data(state, port, value);
/** All bytes that wait, those of the mouse as text. */
function answers({ state, port }: Bench): (number | string)[] {
  const found: (number | string)[] = [];
  while ((readI8042Status(state) & 1) !== 0) {
    const isMouse = (readI8042Status(state) & 0x20) !== 0;
    const value = readI8042Data(state, port);
    found.push(isMouse ? value.toString(16) : value);
  }
  return found;
}

describe('the i8042', () => {
  test('answers its own commands', () => {
    const one = bench();
    assert.equal(readI8042Status(one.state), 0x1c);
    for (const [value, expected] of [
      [0x20, 0x61],
      [0xaa, 0x55],
      [0xa9, 0],
      [0xab, 0],
      [0xc0, 0x80],
      [0xd0, 0xcf],
    ] as const) {
      command(one, value);
      assert.deepEqual(answers(one), [expected], value.toString(16));
    }
    command(one, 0xa8);
    command(one, 0x20);
    assert.deepEqual(answers(one), [0x41]);
    command(one, 0x60, 0x47);
    command(one, 0x20);
    assert.deepEqual(answers(one), [0x47]);
  });

  test('gives bytes back as if the mouse had sent them, with its interrupt', () => {
    const one = bench();
    command(one, 0x60, 2);
    command(one, 0xd3, 0xa5);
    assert.deepEqual(one.told, ['12 up']);
    assert.deepEqual(answers(one), ['a5']);
    assert.deepEqual(one.told, ['12 up', '12 down']);
    command(one, 0xd2, 0x1e);
    assert.deepEqual([one.told.length, answers(one)], [2, [0x1e]]);
  });

  test('lets keyboard and mouse answer', () => {
    const one = bench();
    keyboard(one, 0xf2);
    assert.deepEqual(answers(one), [0xfa, 0xab, 0x41]);
    assert.deepEqual(one.told, ['1 up', '1 down', '1 up', '1 down', '1 up', '1 down']);
    keyboard(one, 0xed);
    keyboard(one, 0x07);
    assert.deepEqual(answers(one), [0xfa, 0xfa]);
    keyboard(one, 0xff);
    assert.deepEqual(answers(one), [0xfa, 0xaa]);
    keyboard(one, 0x17);
    assert.deepEqual(answers(one), [0xfe]);
    keyboard(one, 0xf0);
    keyboard(one, 0);
    assert.deepEqual(answers(one), [0xfa, 0xfa, 0x41]);
    command(one, 0xd4, 0xff);
    assert.deepEqual(answers(one), ['fa', 'aa', '0']);
    for (const rate of [200, 100, 80]) {
      command(one, 0xd4, 0xf3);
      command(one, 0xd4, rate);
    }
    answers(one);
    command(one, 0xd4, 0xf2);
    assert.deepEqual(answers(one), ['fa', '3']);
    command(one, 0xd4, 0xe9);
    assert.deepEqual(answers(one), ['fa', '0', '2', '50']);
  });

  test('holds back what a port that is off says', () => {
    const one = bench();
    keyboard(one, 0xee);
    assert.deepEqual(answers(one), [0xee]);
    command(one, 0xad);
    one.state.keyboard.queue.push(0x1e);
    command(one, 0x20);
    assert.deepEqual(answers(one), [0x71]);
    command(one, 0xae);
    assert.deepEqual(answers(one), [0x1e]);
  });

  test('resets the machine by its output port', () => {
    for (const values of [[0xfe], [0xf0], [0xd1, 0xfe]]) {
      const one = bench();
      command(one, ...values);
      assert.deepEqual(one.told, ['reset']);
    }
    const one = bench();
    command(one, 0xff);
    command(one, 0xd1, 0xdf);
    assert.deepEqual(one.told, []);
  });

  test('takes any sequence of accesses, and keeps few bytes', () => {
    const act = fc.tuple(fc.integer({ min: 0, max: 3 }), fc.integer({ min: 0, max: 255 }));
    fc.assert(
      fc.property(fc.array(act, { maxLength: 300 }), (acts) => {
        const one = bench();
        for (const [kind, value] of acts) {
          if (kind === 0) writeI8042Command(one.state, one.port, value);
          else if (kind === 1) writeI8042Data(one.state, one.port, value);
          else
            assert.ok((kind === 2 ? readI8042Data(one.state, one.port) : readI8042Status(one.state)) <= 255);
          const { keyboard: keys, mouse } = one.state;
          assert.ok(keys.queue.length <= 3 && mouse.queue.length <= 5 && mouse.knocks.length <= 3);
        }
      }),
    );
  });
});

describe('the DMA controllers', () => {
  test('keep addresses, counts and pages', () => {
    const dma = newDma();
    for (const value of [0x34, 0x12]) writeDma(dma, 4, value);
    assert.deepEqual([readDma(dma, 4), readDma(dma, 4), dma.channels[2]?.address], [0x34, 0x12, 0x1234]);
    writeDma(dma, 4, 0);
    writeDma(dma, 12, 0);
    assert.equal(readDma(dma, 4), 0, 'the flip-flop was cleared');
    for (const [offset, channel] of [
      [1, 2],
      [2, 3],
      [3, 1],
      [7, 0],
    ] as const) {
      writeDmaPage(dma, offset, 0x40 + channel);
      assert.deepEqual(
        [readDmaPage(dma, offset), dma.channels[channel]?.page],
        [0x40 + channel, 0x40 + channel],
      );
    }
    assert.deepEqual(
      [0, 4, 5, 6].map((offset) => readDmaPage(dma, offset)),
      [0xff, 0xff, 0xff, 0xff],
    );
  });

  test('have a mask and requests by software', () => {
    const dma = newDma();
    assert.equal(readDma(dma, 15), 0xf);
    writeDma(dma, 10, 2);
    assert.equal(readDma(dma, 15), 0xb);
    writeDma(dma, 9, 6);
    assert.equal(readDma(dma, 8), 0x40);
    writeDma(dma, 13, 0);
    assert.deepEqual([readDma(dma, 8), readDma(dma, 15)], [0, 0xf]);
  });
});

describe('PCI', () => {
  const configuration = new Uint8Array(0x100);
  configuration.set([0x53, 0x58, 1, 0, 7, 0, 0, 0x90]);
  configuration.set([1, 0xc0, 0, 0, 8, 0, 0, 0xf0], 0x10);
  const functions: readonly PciFunction[] = [
    {
      device: 2,
      number: 0,
      bases: [
        { index: 0, bytes: 0x100, kind: 'ports' },
        { index: 1, bytes: 0x100_0000, kind: 'memory' },
      ],
      configuration,
    },
  ];
  const at = (register: number): number => (0x8000_1000 | register) >>> 0;
  const word = (pci: ReturnType<typeof newPci>, register: number): number => {
    selectPci(pci, at(register));
    return [0, 1, 2, 3].reduce(
      (sum, offset) => sum + readPci(pci, functions, 4 + offset) * 2 ** (8 * offset),
      0,
    );
  };
  const put = (pci: ReturnType<typeof newPci>, register: number, value: number): void => {
    selectPci(pci, at(register));
    for (const offset of [0, 1, 2, 3]) writePci(pci, functions, offset, (value >>> (8 * offset)) & 0xff);
  };

  test('answers for its functions, and with all ones elsewhere', () => {
    const pci = newPci(functions);
    assert.equal(word(pci, 0), 0x0001_5853);
    assert.equal(readPci(pci, functions, 3), 0x80);
    for (const address of [0x8000_1100, 0x8000_1800, 0x8001_1000, 0x1000]) {
      selectPci(pci, address);
      assert.equal(readPci(pci, functions, 4), 0xff, address.toString(16));
    }
  });

  test('shows sizes of base addresses, and does not answer at addresses meanwhile', () => {
    const pci = newPci(functions);
    const [ports, memory] = functions[0]?.bases ?? [];
    assert.ok(ports !== undefined && memory !== undefined);
    assert.deepEqual([pciBase(pci, 0, ports), pciBase(pci, 0, memory)], [0xc000, 0xf000_0000]);
    for (const [register, expected] of [
      [0x10, 0xffff_ff01],
      [0x14, 0xff00_0008],
      [0x18, 0],
      [0x30, 0],
    ] as const) {
      put(pci, register, 0xffff_ffff);
      assert.equal(word(pci, register), expected, register.toString(16));
    }
    assert.deepEqual([pciBase(pci, 0, ports), pciBase(pci, 0, memory)], [null, null]);
    put(pci, 0x10, 0xd012);
    assert.deepEqual([word(pci, 0x10), pciBase(pci, 0, ports)], [0xd001, 0xd000]);
    put(pci, 4, 0);
    assert.equal(pciBase(pci, 0, ports), null);
  });

  test('keeps what is read-only, and clears status bits by ones', () => {
    const pci = newPci(functions);
    put(pci, 0, 0);
    put(pci, 4, 0xffff_ffff);
    assert.deepEqual([word(pci, 0), word(pci, 4)], [0x0001_5853, 0x0000_0507]);
    put(pci, 0x3c, 0xffff_ffff);
    assert.equal(word(pci, 0x3c), 0xff);
    assert.equal(functions[0]?.configuration[7], 0x90, 'what the functions were made from stays');
    assert.equal(pciConfiguration(pci, 7).length, 0x100);
  });
});

describe('the Xen platform device', () => {
  test('lets disks and network cards be unplugged', () => {
    const state = newXenPlatform();
    assert.deepEqual([readFixedPort(state, 0, 2), readFixedPort(state, 2, 1)], [0x49d2, 1]);
    assert.deepEqual([readFixedPort(state, 0, 4), readFixedPort(state, 4, 1)], [0xffff_ffff, 0xff]);
    assert.equal(writeFixedPort(state, 0, 1, 3), 0);
    assert.equal(writeFixedPort(state, 0, 4, 3), 0);
    assert.deepEqual([readFixedPort(state, 0, 1), state.unplugged], [1, 0]);
    assert.equal(writeFixedPort(state, 0, 2, 3), 3);
    assert.equal(state.unplugged, 3);
  });

  test('takes older requests at its own ports', () => {
    const state = newXenPlatform();
    assert.deepEqual([writePlatformPort(state, 8, 2), writePlatformPort(state, 8, 1)], [2, 1]);
    assert.equal(writePlatformPort(state, 4, 1), 3);
    writePlatformPort(state, 0, 1);
    assert.deepEqual([readPlatformPort(state, 0), readPlatformPort(state, 1)], [1, 0xff]);
  });
});

describe('ACPI power management', () => {
  /** When the timer's highest bit changes first: after 2^31 ticks of 3579545 Hz. */
  const half = ((1n << 31n) * 1_000_000_000n + 3_579_544n) / 3_579_545n;

  test('has a timer of 32 bits, with an event each time its highest bit changes', () => {
    const pm = newAcpiPm(0n);
    assert.deepEqual([pmTimer(0n), pmTimer(1_000_000_000n), pmTimer(2n * half)], [0, 3_579_545, 0]);
    assert.equal(acpiPmDueNs(pm), null);
    writePm1Event(pm, 2, 1);
    assert.equal(acpiPmDueNs(pm), half);
    passAcpiPm(pm, half - 1n);
    assert.equal(acpiPmAsserted(pm), false);
    passAcpiPm(pm, half);
    assert.deepEqual([acpiPmAsserted(pm), readPm1Event(pm, 0), acpiPmDueNs(pm)], [true, 1, null]);
    writePm1Event(pm, 0, 1);
    assert.deepEqual([acpiPmAsserted(pm), acpiPmDueNs(pm)], [false, 2n * half]);
    writePm1Event(pm, 3, 0x81);
    assert.deepEqual([readPm1Event(pm, 2), readPm1Event(pm, 3)], [1, 0x81]);
  });

  test('turns the machine off by types 0 and 2', () => {
    const pm = newAcpiPm(0n);
    assert.deepEqual([readPm1Control(pm, 0), readPm1Control(pm, 1)], [1, 0]);
    assert.deepEqual(
      [0x20, 0x24, 0x28, 0x2c, 0x08].map((value) => writePm1Control(pm, 1, value)),
      ['off', 'suspend', 'off', null, null],
    );
    assert.equal(readPm1Control(pm, 1), 0x08, 'the bit that starts the sleep reads as 0');
  });

  test('has general-purpose events, which none of its devices sets', () => {
    const pm = newAcpiPm(0n);
    for (const offset of [0, 1, 2, 3]) writeGpe(pm, offset, 0xff);
    assert.deepEqual(
      [0, 1, 2, 3].map((offset) => readGpe(pm, offset)),
      [0, 0, 0xff, 0xff],
    );
    assert.equal(gpeAsserted(pm), false);
    pm.gpeStatus = 4;
    assert.equal(gpeAsserted(pm), true);
    writeGpe(pm, 0, 4);
    assert.equal(gpeAsserted(pm), false);
  });
});
