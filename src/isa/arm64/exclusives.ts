/**
 * Exclusive and ordered accesses (DDI 0487, C4.1.94 "Load/store exclusive"; B2.9). One vCPU runs at a time and memory
 * is sequentially consistent, so acquire and release only add an alignment check. The exclusive monitor is part of the
 * vCPU's state: it watches one address and one size. The engine clears it between runs.
 */
import { instruction } from './encoding.js';
import type { A64Instruction } from './encoding.js';
import type { AccessBytes, Expr, Width } from '../micro_ops.js';
import type { RegisterRef, Semantics } from '../semantics.js';
import { readBase } from './addressing.js';
import { destination, orStackPointer, source } from './operands.js';
import { statePlace } from './system_registers.js';

const monitorAddress = statePlace('monitorAddress');
const monitorBytes = statePlace('monitorBytes');

const sizes = [
  { size: '00', suffix: 'b', bytes: 1, width: 32 },
  { size: '01', suffix: 'h', bytes: 2, width: 32 },
  { size: '10', suffix: '', bytes: 4, width: 32 },
  { size: '11', suffix: '', bytes: 8, width: 64 },
] as const;

const pairs = [
  { size: '10', bytes: 4, width: 32 },
  { size: '11', bytes: 8, width: 64 },
] as const;

/** Faults unless `address` is a multiple of `bytes`. */
function requireAligned(m: Semantics, address: Expr, bytes: number, effect: 'read' | 'write'): void {
  if (bytes === 1) return;
  const low = m.and(address, m.constant(64, bytes - 1));
  m.when(m.notEqual(low, m.constant(64, 0)), () =>
    m.system('misaligned', [address, m.constant(64, effect === 'write' ? 1 : 0)]),
  );
}

/** The value of the base register, checked for the alignment of an access of `bytes` bytes. */
function alignedBase(m: Semantics, n: RegisterRef, bytes: number, effect: 'read' | 'write'): Expr {
  const address = m.let(readBase(m, n));
  requireAligned(m, address, bytes, effect);
  return address;
}

function watch(m: Semantics, address: Expr, bytes: number): void {
  m.setState(monitorAddress, address);
  m.setState(monitorBytes, m.constant(64, bytes));
}

/**
 * Runs `store` and returns status 0 if the monitor watches exactly this access; otherwise returns status 1. Clears the
 * monitor.
 */
function whenWatched(
  m: Semantics,
  status: RegisterRef,
  address: Expr,
  bytes: number,
  store: () => void,
): void {
  const same = m.equal(m.state(monitorAddress), address);
  const watched = m.and(same, m.equal(m.state(monitorBytes), m.constant(64, bytes)));
  const close = (): void => m.setState(monitorBytes, m.constant(64, 0));
  m.when(
    watched,
    () => {
      store();
      close();
      m.write(status, m.constant(32, 0));
    },
    () => {
      close();
      m.write(status, m.constant(32, 1));
    },
  );
}

/** `size 001000 o2 L o1 Rs o0 Rt2 Rn Rt`. */
function pattern(
  size: string,
  o2: 0 | 1,
  load: 0 | 1,
  o1: 0 | 1,
  o0: 0 | 1,
  rs: string,
  rt2: string,
): string {
  return `${size} 001000 ${o2} ${load} ${o1} ${rs} ${o0} ${rt2} Rn:5 Rt:5`;
}

/** Fields that should be all ones but are ignored. */
const unused = 'yyyyy';

function single(ordered: 0 | 1): A64Instruction[] {
  return sizes.flatMap(({ size, suffix, bytes, width }) => [
    instruction({
      name: `LD${ordered ? 'A' : ''}XR${suffix.toUpperCase()}_${width}_ldstexcl`,
      pattern: pattern(size, 0, 1, 0, ordered, unused, unused),
      operands: { t: destination('Rt', width), n: orStackPointer('Rn', 64) },
      text: `ld${ordered ? 'a' : ''}xr${suffix} {t}, [{n}]`,
      semantics: (m, o) => {
        const address = alignedBase(m, o.n, bytes, 'read');
        const value = m.load(bytes, address, 'exclusive');
        watch(m, address, bytes);
        m.write(o.t, m.resize(width, value));
      },
    }),
    instruction({
      name: `ST${ordered ? 'L' : ''}XR${suffix.toUpperCase()}_${width}_ldstexcl`,
      pattern: pattern(size, 0, 0, 0, ordered, 'Rs:5', unused),
      operands: { s: destination('Rs', 32), t: source('Rt', width), n: orStackPointer('Rn', 64) },
      text: `st${ordered ? 'l' : ''}xr${suffix} {s}, {t}, [{n}]`,
      semantics: (m, o) => {
        const address = alignedBase(m, o.n, bytes, 'write');
        whenWatched(m, o.s, address, bytes, () => m.store(bytes, address, m.read(o.t), 'exclusive'));
      },
    }),
  ]);
}

/** The address of a pair's second element. */
function second(m: Semantics, address: Expr, bytes: AccessBytes): Expr {
  return m.add(address, m.constant(64, bytes));
}

function pair(ordered: 0 | 1): A64Instruction[] {
  return pairs.flatMap(({ size, bytes, width }) => [
    instruction({
      name: `LD${ordered ? 'A' : ''}XP_${width}_ldstexcl`,
      pattern: pattern(size, 0, 1, 1, ordered, unused, 'Rt2:5'),
      cold: true,
      operands: {
        t: destination('Rt', width),
        t2: destination('Rt2', width),
        n: orStackPointer('Rn', 64),
      },
      text: `ld${ordered ? 'a' : ''}xp {t}, {t2}, [{n}]`,
      semantics: (m, o) => {
        const address = alignedBase(m, o.n, 2 * bytes, 'read');
        const a = m.load(bytes, address, 'exclusive');
        const b = m.load(bytes, second(m, address, bytes), 'exclusive');
        watch(m, address, 2 * bytes);
        m.write(o.t, m.resize(width, a));
        m.write(o.t2, m.resize(width, b));
      },
    }),
    instruction({
      name: `ST${ordered ? 'L' : ''}XP_${width}_ldstexcl`,
      pattern: pattern(size, 0, 0, 1, ordered, 'Rs:5', 'Rt2:5'),
      cold: true,
      operands: {
        s: destination('Rs', 32),
        t: source('Rt', width),
        t2: source('Rt2', width),
        n: orStackPointer('Rn', 64),
      },
      text: `st${ordered ? 'l' : ''}xp {s}, {t}, {t2}, [{n}]`,
      semantics: (m, o) => {
        const address = alignedBase(m, o.n, 2 * bytes, 'write');
        whenWatched(m, o.s, address, 2 * bytes, () => {
          m.store(bytes, address, m.read(o.t), 'exclusive');
          m.store(bytes, second(m, address, bytes), m.read(o.t2), 'exclusive');
        });
      },
    }),
  ]);
}

/** LDAR and STLR: ordered but not exclusive. */
const ordered = sizes.flatMap(
  ({ size, suffix, bytes, width }: { size: string; suffix: string; bytes: AccessBytes; width: Width }) => [
    instruction({
      name: `LDAR${suffix.toUpperCase()}_${width}_ldstord`,
      pattern: pattern(size, 1, 1, 0, 1, unused, unused),
      operands: { t: destination('Rt', width), n: orStackPointer('Rn', 64) },
      text: `ldar${suffix} {t}, [{n}]`,
      semantics: (m, o) => {
        const address = alignedBase(m, o.n, bytes, 'read');
        m.write(o.t, m.resize(width, m.load(bytes, address, 'ordered')));
      },
    }),
    instruction({
      name: `STLR${suffix.toUpperCase()}_${width}_ldstord`,
      pattern: pattern(size, 1, 0, 0, 1, unused, unused),
      operands: { t: source('Rt', width), n: orStackPointer('Rn', 64) },
      text: `stlr${suffix} {t}, [{n}]`,
      semantics: (m, o) => {
        const address = alignedBase(m, o.n, bytes, 'write');
        m.store(bytes, address, m.read(o.t), 'ordered');
      },
    }),
  ],
);

/** CLREX is defined with the barriers (system.ts). */
export const exclusives: readonly A64Instruction[] = [
  ...single(0),
  ...single(1),
  ...pair(0),
  ...pair(1),
  ...ordered,
];
