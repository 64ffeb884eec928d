import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { cloneValue, valueFromJson, valueToJson } from '../../base/index.js';
import type { MmioBytes, MmioDevice } from '../mmio.js';
import {
  distributor,
  iccRegisters,
  irqAsserted,
  isIccRegister,
  newGic,
  readIcc,
  redistributorBytes,
  redistributors,
  setCpuPower,
  setLine,
  systemRegister,
  writeIcc,
} from './index.js';
import type { Gic } from './index.js';

/** A GIC whose CPUs have their number as affinity, with 16 CPUs per AFF1 in SGIs. */
function gicOf(cpus: number): Gic {
  const gic: Gic = {
    state: newGic(cpus),
    stale: new Set(),
    affinities: Array.from({ length: cpus }, (_, cpu) => (cpu & 0xf) | ((cpu >>> 4) << 8)),
    cpuOfAffinity: (affinity) => Number((affinity & 0xffn) | ((affinity >> 4n) & 0xff0n)),
    cpusOfSgi: (value) => {
      const first = Number((value >> 16n) & 0xffn) * 16;
      return Array.from({ length: 16 }, (_, i) => i)
        .filter((i) => ((value >> BigInt(i)) & 1n) === 1n)
        .map((i) => first + i);
    },
  };
  for (let cpu = 0; cpu < cpus; cpu += 1) setCpuPower(gic, cpu, true);
  return gic;
}

function frames(cpus = 4): { gic: Gic; gicd: MmioDevice; gicr: MmioDevice } {
  const gic = gicOf(cpus);
  return { gic, gicd: distributor(gic), gicr: redistributors(gic, 0x100_0000) };
}

const sgiFrame = 0x10000;

test('the distributor identifies itself', () => {
  const { gicd } = frames();
  assert.equal(gicd.size, 0x10000);
  assert.equal(gicd.read(0x0, 4), 0x10n, 'affinity routing, nothing enabled');
  assert.equal(gicd.read(0x4, 4), (9n << 19n) | (3n << 5n) | 7n, '10 bits, four CPUs, 256 INTIDs');
  assert.equal(gicd.read(0x8, 4), 0x34cn);
  assert.equal(gicd.read(0xffe8, 4), 0x30n, 'architecture revision 3');
  assert.equal(distributor(gicOf(12)).read(0x4, 4), (9n << 19n) | (7n << 5n) | 7n);
  gicd.write(0x0, 4, 0xffff_ffffn);
  assert.equal(gicd.read(0x0, 4), 0x12n, 'one bit can be set');
  gicd.write(0x0, 4, 0n);
  assert.equal(gicd.read(0x0, 4), 0x10n);
});

test('each redistributor reports its CPU, and only the last one has the Last bit', () => {
  const { gicr } = frames(20);
  const typer = (cpu: number): bigint | null => gicr.read(cpu * redistributorBytes + 8, 8);
  assert.equal(typer(0), 0n);
  assert.equal(typer(3), (3n << 32n) | (3n << 8n));
  assert.equal(typer(17), (0x101n << 32n) | (17n << 8n));
  assert.equal(typer(19), (0x103n << 32n) | (19n << 8n) | 0x10n);
  assert.equal(gicr.read(17 * redistributorBytes + 12, 4), 0x101n);
  assert.equal(gicr.read(0xffe8, 4), 0x30n);
  assert.equal(gicr.read(0x14, 4), 0n, 'awake');
  gicr.write(0x14, 4, 2n);
  assert.equal(gicr.read(0x14, 4), 0n, 'and stays so');
  assert.equal(gicr.read(20 * redistributorBytes, 4), null, 'nobody there');
  assert.equal(gicr.write(20 * redistributorBytes, 4, 0n), false);
});

test('GICR_TYPER contains AFF3', () => {
  const gic = { ...gicOf(1), affinities: [0x12_0034_5678] };
  assert.equal(redistributors(gic, 0x20000).read(0xc, 4), 0x1234_5678n);
});

test('enable bits are set and cleared by writing ones, for shared and private interrupts', () => {
  const { gicd, gicr, gic } = frames();
  for (const [mmio, at] of [
    [gicd, 0x104],
    [gicr, 2 * redistributorBytes + sgiFrame + 0x100],
  ] as const) {
    mmio.write(at, 4, 0x8000_0101n);
    mmio.write(at, 4, 0x2n);
    mmio.write(at + 0x80, 4, 0x1n);
    assert.equal(mmio.read(at, 4), 0x8000_0102n);
    assert.equal(mmio.read(at + 0x80, 4), 0x8000_0102n);
  }
  assert.deepEqual(
    gic.state.cpus.map(({ own }) => own.enabled),
    [0, 0, 0x8000_0102, 0],
  );
  gicd.write(0x100, 4, 0xffn);
  assert.equal(gicd.read(0x100, 4), 0n, 'private ones are the redistributors’');
  gicd.write(0x17c, 4, 0xffn);
  assert.equal(gicd.read(0x17c, 4), 0n, 'no such interrupts');
});

test('priorities are bytes, and all eight bits are kept', () => {
  const { gicd, gicr } = frames();
  gicd.write(0x420, 4, 0xa1a2_a3a4n);
  gicd.write(0x421, 1, 0x55n);
  assert.equal(gicd.read(0x420, 4), 0xa1a2_55a4n);
  assert.equal(gicd.read(0x423, 1), 0xa1n);
  assert.equal(gicd.read(0x420, 2), null, 'two bytes are refused');
  gicr.write(sgiFrame + 0x41c, 4, 0x1234_5678n);
  assert.equal(gicr.read(sgiFrame + 0x41f, 1), 0x12n);
  assert.equal(gicr.read(redistributorBytes + sgiFrame + 0x41f, 1), 0n);
});

test('configurations have two bits each; SGIs stay edge-triggered', () => {
  const { gicd, gicr, gic } = frames();
  gicd.write(0xc08, 4, 0xc000_000bn);
  gicd.write(0xc0c, 4, 0x8000_0002n);
  assert.equal(gicd.read(0xc08, 4), 0xc000_000bn);
  assert.equal(gicd.read(0xc0c, 4), 0x8000_0002n);
  assert.equal(gic.state.shared[0]!.edge, 0x8001_8003);
  gicr.write(sgiFrame + 0xc00, 4, 0n);
  gicr.write(sgiFrame + 0xc04, 4, 0x8000_0000n);
  assert.equal(gicr.read(sgiFrame + 0xc00, 4), 0n);
  assert.equal(gicr.read(sgiFrame + 0xc04, 4), 0x8000_0000n);
  assert.equal(gic.state.cpus[0]!.own.edge, 0x8000_ffff);
  fc.assert(
    fc.property(fc.nat(0xffff_ffff), fc.nat(0xffff_ffff), (a, b) => {
      gicd.write(0xc10, 4, BigInt(a));
      gicd.write(0xc14, 4, BigInt(b));
      assert.equal(gicd.read(0xc10, 4), BigInt(a));
      assert.equal(gicd.read(0xc14, 4), BigInt(b));
    }),
  );
});

test('groups, pending and active state read as zero, and ISACTIVER refuses writes', () => {
  const { gicd, gicr, gic } = frames();
  gicd.write(0x104, 4, 1n);
  gicd.write(0x204, 4, 1n);
  assert.equal(gic.state.shared[0]!.latched, 1);
  for (const offset of [0x84, 0x204, 0x284, 0x304, 0x384]) assert.equal(gicd.read(offset, 4), 0n);
  gicd.write(0x284, 4, 1n);
  assert.equal(gic.state.shared[0]!.latched, 1, 'ICPENDR does nothing');
  assert.equal(gicd.write(0x304, 4, 1n), false);
  assert.equal(gicr.write(sgiFrame + 0x300, 4, 1n), false);
  assert.equal(gicd.write(0x384, 4, 1n), true);
  assert.equal(gicd.write(0x84, 4, 0xffff_ffffn), true);
  assert.equal(gicd.write(0xf10, 4, 1n), false, 'GICD_CPENDSGIR');
  assert.equal(gicd.read(0xf10, 4), 0n);
});

test('a route names a CPU by affinity; "any CPU" means the first, and an unknown CPU changes nothing', () => {
  const { gicd, gic } = frames(20);
  const router = (intid: number): number => 0x6000 + 8 * intid;
  assert.ok(gicd.write(router(32), 8, 0x101n));
  assert.equal(gic.state.routes[0], 17);
  assert.equal(gicd.read(router(32), 8), 0x101n);
  gicd.write(router(32), 4, 0x2n);
  assert.equal(gicd.read(router(32), 8), 0x2n);
  gicd.write(router(32) + 4, 4, 0x1n);
  assert.equal(gicd.read(router(32), 8), 0x2n, 'AFF3 is not looked at here');
  gicd.write(router(32), 8, 0x104n);
  assert.equal(gicd.read(router(32), 8), 0x2n, 'no vCPU 20');
  gicd.write(router(32), 8, 0x8000_0003n);
  assert.equal(gicd.read(router(32), 8), 0n);
  gicd.write(router(255), 8, 3n);
  assert.equal(gic.state.routes[223], 3);
  gicd.write(router(256), 8, 3n);
  assert.equal(gicd.read(router(256), 8), 0n, 'no such interrupt');
  assert.equal(gicd.read(router(32), 2), null);
});

const icc = (crm: number, op2: number): number => systemRegister(3, 0, 12, crm, op2);

test('the CPU interface has the registers for five priority bits, and no others', () => {
  const names = iccRegisters.map(({ name }) => name);
  assert.equal(names.length, 18);
  assert.equal(new Set(names).size, 18);
  for (const { encoding, readable, writable } of iccRegisters) {
    const { gic } = frames();
    assert.ok(isIccRegister(encoding));
    assert.equal(readIcc(gic, 0, encoding) !== null, readable);
    assert.equal(writeIcc(gic, 0, encoding, 0n), writable);
  }
  const { gic } = frames();
  // ICC_AP1R1_EL1, ICC_ASGI1R_EL1, ICC_SGI0R_EL1
  for (const [crm, op2] of [
    [9, 1],
    [11, 6],
    [11, 7],
  ] as const) {
    assert.equal(isIccRegister(icc(crm, op2)), false);
    assert.equal(readIcc(gic, 0, icc(crm, op2)), null);
    assert.equal(writeIcc(gic, 0, icc(crm, op2), 0n), false);
  }
});

test('registers of the CPU interface keep their implemented bits', () => {
  const { gic } = frames();
  const kept = (encoding: number, value: bigint): bigint | null => {
    writeIcc(gic, 1, encoding, value);
    return readIcc(gic, 1, encoding);
  };
  assert.equal(kept(systemRegister(3, 0, 4, 6, 0), 0x1ffn), 0xf8n);
  assert.equal(kept(icc(8, 3), 0n), 2n, 'ICC_BPR0_EL1');
  assert.equal(kept(icc(12, 3), 0n), 3n, 'ICC_BPR1_EL1');
  assert.equal(kept(icc(12, 3), 0xffn), 7n);
  assert.equal(kept(icc(12, 4), ~0n), 0x8c03n, 'ICC_CTLR_EL1');
  assert.equal(readIcc(gic, 1, icc(12, 3)), 3n, 'the common binary point, one further');
  assert.equal(kept(icc(12, 3), 6n), 3n);
  assert.equal(kept(icc(12, 4), 0n), 0x8c00n);
  assert.equal(readIcc(gic, 1, icc(12, 3)), 7n, 'its own again');
  assert.equal(kept(icc(12, 5), 0n), 7n, 'ICC_SRE_EL1');
  assert.equal(kept(icc(12, 6), 3n), 1n);
  assert.equal(kept(icc(12, 7), 3n), 1n);
  assert.equal(readIcc(gic, 1, icc(8, 0)), 1023n, 'ICC_IAR0_EL1');
  assert.equal(readIcc(gic, 1, icc(11, 3)), 0xffn, 'ICC_RPR_EL1');
  assert.deepEqual(gic.state.cpus[0], newGicCpu());
});

test('an interrupt is taken, ended and deactivated through the registers; bits above the INTID are ignored', () => {
  const { gic, gicd, gicr } = frames();
  gicd.write(0x0, 4, 2n);
  gicr.write(sgiFrame + 0x100, 4, 1n << 27n);
  for (const [encoding, value] of [
    [systemRegister(3, 0, 4, 6, 0), 0xf0n],
    [icc(12, 7), 1n],
    [icc(12, 4), 2n],
  ] as const) {
    writeIcc(gic, 0, encoding, value);
  }
  setLine(gic, 0, 27, true);
  assert.equal(readIcc(gic, 0, icc(12, 2)), 27n, 'ICC_HPPIR1_EL1');
  assert.equal(readIcc(gic, 0, icc(12, 0)), 27n, 'ICC_IAR1_EL1');
  assert.equal(readIcc(gic, 0, icc(9, 0)), 1n, 'ICC_AP1R0_EL1');
  assert.equal(readIcc(gic, 0, icc(11, 3)), 0n, 'ICC_RPR_EL1');
  writeIcc(gic, 0, icc(12, 1), 0xff00_001bn);
  assert.equal(readIcc(gic, 0, icc(11, 3)), 0xffn);
  assert.equal(readIcc(gic, 0, icc(12, 0)), 1023n, 'still active');
  writeIcc(gic, 0, icc(11, 1), 0xff00_001bn);
  assert.equal(readIcc(gic, 0, icc(12, 0)), 27n);
  writeIcc(gic, 0, icc(9, 0), 0n);
  assert.equal(readIcc(gic, 0, icc(11, 3)), 0xffn, 'a kernel clears what it found active');
});

function newGicCpu(): unknown {
  const [cpu] = newGic(1).cpus;
  return { ...cpu!, powered: true };
}

const access = fc.oneof(
  fc.record({
    kind: fc.constantFrom('gicd', 'gicr'),
    offset: fc.oneof(
      fc.nat(0xffff),
      fc.constantFrom(0x100, 0x104, 0x180, 0x200, 0x204, 0x300, 0x400, 0xc04, 0x6100, 0x61f8),
    ),
    frame: fc.nat(11),
    bytes: fc.constantFrom<MmioBytes>(1, 2, 4, 8),
    value: fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }),
    write: fc.boolean(),
  }),
  fc.record({
    kind: fc.constant('icc' as const),
    encoding: fc.oneof(fc.constantFrom(...iccRegisters.map(({ encoding }) => encoding)), fc.nat(0xffff)),
    cpu: fc.nat(5),
    value: fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }),
    write: fc.boolean(),
  }),
  fc.record({ kind: fc.constant('line' as const), cpu: fc.nat(5), intid: fc.nat(300), high: fc.boolean() }),
  fc.record({ kind: fc.constant('power' as const), cpu: fc.nat(5), on: fc.boolean() }),
);

test('no action of the guest or its devices throws, and the state stays a plain value of words', () => {
  fc.assert(
    fc.property(fc.array(access, { maxLength: 80 }), (accesses) => {
      const { gic, gicd, gicr } = frames();
      for (const step of accesses) {
        if (step.kind === 'line') setLine(gic, step.cpu, step.intid, step.high);
        else if (step.kind === 'power') setCpuPower(gic, step.cpu, step.on);
        else if (step.kind === 'icc') {
          if (step.write) writeIcc(gic, step.cpu, step.encoding, step.value);
          else readIcc(gic, step.cpu, step.encoding);
        } else {
          const [mmio, offset] =
            step.kind === 'gicd' ? [gicd, step.offset] : [gicr, step.frame * sgiFrame + step.offset];
          if (step.write) mmio.write(offset, step.bytes, step.value);
          else mmio.read(offset, step.bytes);
        }
        for (let cpu = 0; cpu < 5; cpu += 1) irqAsserted(gic, cpu);
      }
      checkWords(gic);
      assert.deepEqual(valueFromJson(valueToJson(gic.state)), cloneValue(gic.state));
    }),
  );
});

function checkWords({ state }: Gic): void {
  for (const { enabled, latched, line, active, edge, configuration } of [
    ...state.shared,
    ...state.cpus.map(({ own }) => own),
  ]) {
    for (const word of [enabled, latched, line, active, edge, configuration]) assert.equal(word >>> 0, word);
  }
  for (const {
    own,
    interface: { activePriorities },
  } of state.cpus) {
    assert.equal(own.edge & 0xffff, 0xffff);
    assert.equal(activePriorities >>> 0, activePriorities);
  }
  assert.ok(state.routes.every((cpu) => cpu in state.cpus));
}
