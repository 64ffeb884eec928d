/**
 * The system registers that code at EL0 and EL1 of an Armv8.0 CPU can access (DDI 0487, D17): encoding, access rights,
 * and which state they keep. Registers that are not in the table are Undefined.
 *
 * The file is long because the table is.
 */
import { present } from '../../base/index.js';
import type { Mode } from './registers.js';

/**
 * How an access is done. `state`: reads or writes the vCPU's state, without side effects. `call`: needs a call to the
 * host, for a side effect or a permission check. null: the access is Undefined.
 */
export type Way = 'state' | 'call' | null;

export interface SystemRegister {
  readonly name: string;
  /** op0, op1, CRn, CRm, op2 in bits 15:14, 13:11, 10:7, 6:3, 2:0: an MRS instruction's bits 20:5. */
  readonly encoding: number;
  /** Its state index (see `statePlaces`); null if no state is kept. */
  readonly place: number | null;
  /** The bits that a write changes. All other bits read 0. */
  readonly mask: bigint;
  /** Whether it belongs to a device (interrupt controller, timer). Accesses go to the device. */
  readonly outside: boolean;
  /** Whether it belongs to floating point and SIMD, and traps with them. */
  readonly vector: boolean;
  way(mode: Mode, access: 'read' | 'write'): Way;
}

/** See the columns of `rows`. */
type Kind = 'stored' | 'acted' | 'computed' | 'fixed' | 'ignored' | 'outside' | 'writeIgnored';
/** Access rights of EL0: always (`free`) or if EL1 permits (`asked`); read only, or read and write. */
type Unprivileged = 'none' | 'freeRead' | 'freeWrite' | 'askedRead' | 'askedWrite';

interface Row {
  readonly name: string;
  readonly at: readonly [op0: number, op1: number, crn: number, crm: number, op2: number];
  readonly kind: Kind;
  readonly el0: Unprivileged;
  readonly mask: bigint;
}

const all = (1n << 64n) - 1n;
const low32 = (1n << 32n) - 1n;

function row(name: string, at: Row['at'], kind: Kind, el0: Unprivileged = 'none', mask = all): Row {
  return { name, at, kind, el0, mask };
}

/** The named identification registers of one CRm. The other encodings of the eight read 0. */
function identification(crm: number, names: readonly (string | null)[]): Row[] {
  return Array.from({ length: 8 }, (_, op2) =>
    row(names[op2] ?? `S3_0_C0_C${crm}_${op2}`, [3, 0, 0, crm, op2], 'fixed'),
  );
}

/** `count` debug registers of one kind. */
function debugRegisters(stem: string, count: number, op2: number): Row[] {
  return Array.from({ length: count }, (_, index) =>
    row(`${stem}${index}_EL1`, [2, 0, 0, index, op2], 'ignored'),
  );
}

/**
 * `stored`: plain state. `acted`: state, and a write has side effects. `computed`: computed when read. `fixed`: read-only
 * constant. `ignored`: reads 0, ignores writes (debug and performance monitors, which this CPU leaves to the
 * hypervisor). `writeIgnored`: write-only, ignores writes. `outside`: see SystemRegister.
 */
const rows: readonly Row[] = [
  row('MIDR_EL1', [3, 0, 0, 0, 0], 'fixed'),
  row('MPIDR_EL1', [3, 0, 0, 0, 5], 'fixed'),
  row('REVIDR_EL1', [3, 0, 0, 0, 6], 'fixed'),
  ...identification(1, [
    'ID_PFR0_EL1', 'ID_PFR1_EL1', 'ID_DFR0_EL1', 'ID_AFR0_EL1',
    'ID_MMFR0_EL1', 'ID_MMFR1_EL1', 'ID_MMFR2_EL1', 'ID_MMFR3_EL1',
  ]), // prettier-ignore
  ...identification(2, [
    'ID_ISAR0_EL1', 'ID_ISAR1_EL1', 'ID_ISAR2_EL1', 'ID_ISAR3_EL1',
    'ID_ISAR4_EL1', 'ID_ISAR5_EL1', 'ID_MMFR4_EL1', 'ID_ISAR6_EL1',
  ]), // prettier-ignore
  ...identification(3, [
    'MVFR0_EL1', 'MVFR1_EL1', 'MVFR2_EL1', null, 'ID_PFR2_EL1', 'ID_DFR1_EL1', 'ID_MMFR5_EL1',
  ]), // prettier-ignore
  ...identification(4, ['ID_AA64PFR0_EL1', 'ID_AA64PFR1_EL1', null, null, 'ID_AA64ZFR0_EL1']),
  ...identification(5, [
    'ID_AA64DFR0_EL1',
    'ID_AA64DFR1_EL1',
    null,
    null,
    'ID_AA64AFR0_EL1',
    'ID_AA64AFR1_EL1',
  ]),
  ...identification(6, ['ID_AA64ISAR0_EL1', 'ID_AA64ISAR1_EL1']),
  ...identification(7, ['ID_AA64MMFR0_EL1', 'ID_AA64MMFR1_EL1', 'ID_AA64MMFR2_EL1']),

  // EE and E0E are fixed: data accesses are little-endian.
  row('SCTLR_EL1', [3, 0, 1, 0, 0], 'acted', 'none', low32 - (3n << 24n)),
  row('ACTLR_EL1', [3, 0, 1, 0, 1], 'ignored'),
  row('CPACR_EL1', [3, 0, 1, 0, 2], 'acted', 'none', 0x10300000n),
  row('TTBR0_EL1', [3, 0, 2, 0, 0], 'acted'),
  row('TTBR1_EL1', [3, 0, 2, 0, 1], 'acted'),
  row('TCR_EL1', [3, 0, 2, 0, 2], 'acted'),
  row('SPSR_EL1', [3, 0, 4, 0, 0], 'stored', 'none', low32),
  row('ELR_EL1', [3, 0, 4, 0, 1], 'stored'),
  row('SP_EL0', [3, 0, 4, 1, 0], 'stored'),
  row('SPSel', [3, 0, 4, 2, 0], 'computed'),
  row('CurrentEL', [3, 0, 4, 2, 2], 'fixed'),
  row('AFSR0_EL1', [3, 0, 5, 1, 0], 'ignored'),
  row('AFSR1_EL1', [3, 0, 5, 1, 1], 'ignored'),
  row('ESR_EL1', [3, 0, 5, 2, 0], 'stored', 'none', low32),
  row('FAR_EL1', [3, 0, 6, 0, 0], 'stored'),
  row('PAR_EL1', [3, 0, 7, 4, 0], 'stored'),
  row('MAIR_EL1', [3, 0, 10, 2, 0], 'acted'),
  row('AMAIR_EL1', [3, 0, 10, 3, 0], 'ignored'),
  row('VBAR_EL1', [3, 0, 12, 0, 0], 'stored', 'none', all - 0x7ffn),
  row('ISR_EL1', [3, 0, 12, 1, 0], 'fixed'),
  row('CONTEXTIDR_EL1', [3, 0, 13, 0, 1], 'stored', 'none', low32),
  row('TPIDR_EL1', [3, 0, 13, 0, 4], 'stored'),
  row('CCSIDR_EL1', [3, 1, 0, 0, 0], 'computed'),
  row('CLIDR_EL1', [3, 1, 0, 0, 1], 'fixed'),
  row('AIDR_EL1', [3, 1, 0, 0, 7], 'fixed'),
  row('CSSELR_EL1', [3, 2, 0, 0, 0], 'stored', 'none', 0xfn),
  row('CTR_EL0', [3, 3, 0, 0, 1], 'fixed', 'askedRead'),
  row('DCZID_EL0', [3, 3, 0, 0, 7], 'fixed', 'askedRead'),
  row('DAIF', [3, 3, 4, 2, 1], 'stored', 'askedWrite', 0x3c0n),
  row('FPCR', [3, 3, 4, 4, 0], 'stored', 'freeWrite', 0x07c00000n),
  row('FPSR', [3, 3, 4, 4, 1], 'stored', 'freeWrite', 0x0800009fn),
  row('TPIDR_EL0', [3, 3, 13, 0, 2], 'stored', 'freeWrite'),
  row('TPIDRRO_EL0', [3, 3, 13, 0, 3], 'stored', 'freeRead'),

  // The interrupt controller's CPU interface (IHI 0069H, 12.2).
  row('ICC_PMR_EL1', [3, 0, 4, 6, 0], 'outside'),
  row('ICC_IAR0_EL1', [3, 0, 12, 8, 0], 'outside'),
  row('ICC_EOIR0_EL1', [3, 0, 12, 8, 1], 'outside'),
  row('ICC_HPPIR0_EL1', [3, 0, 12, 8, 2], 'outside'),
  row('ICC_BPR0_EL1', [3, 0, 12, 8, 3], 'outside'),
  ...[0, 1, 2, 3].map((n) => row(`ICC_AP0R${n}_EL1`, [3, 0, 12, 8, 4 + n], 'outside')),
  ...[0, 1, 2, 3].map((n) => row(`ICC_AP1R${n}_EL1`, [3, 0, 12, 9, n], 'outside')),
  row('ICC_DIR_EL1', [3, 0, 12, 11, 1], 'outside'),
  row('ICC_RPR_EL1', [3, 0, 12, 11, 3], 'outside'),
  row('ICC_SGI1R_EL1', [3, 0, 12, 11, 5], 'outside'),
  row('ICC_ASGI1R_EL1', [3, 0, 12, 11, 6], 'outside'),
  row('ICC_SGI0R_EL1', [3, 0, 12, 11, 7], 'outside'),
  row('ICC_IAR1_EL1', [3, 0, 12, 12, 0], 'outside'),
  row('ICC_EOIR1_EL1', [3, 0, 12, 12, 1], 'outside'),
  row('ICC_HPPIR1_EL1', [3, 0, 12, 12, 2], 'outside'),
  row('ICC_BPR1_EL1', [3, 0, 12, 12, 3], 'outside'),
  row('ICC_CTLR_EL1', [3, 0, 12, 12, 4], 'outside'),
  row('ICC_SRE_EL1', [3, 0, 12, 12, 5], 'outside'),
  row('ICC_IGRPEN0_EL1', [3, 0, 12, 12, 6], 'outside'),
  row('ICC_IGRPEN1_EL1', [3, 0, 12, 12, 7], 'outside'),

  // The generic timers.
  row('CNTKCTL_EL1', [3, 0, 14, 1, 0], 'outside'),
  row('CNTFRQ_EL0', [3, 3, 14, 0, 0], 'outside', 'askedRead'),
  row('CNTPCT_EL0', [3, 3, 14, 0, 1], 'outside', 'askedRead'),
  row('CNTVCT_EL0', [3, 3, 14, 0, 2], 'outside', 'askedRead'),
  row('CNTP_TVAL_EL0', [3, 3, 14, 2, 0], 'outside', 'askedWrite'),
  row('CNTP_CTL_EL0', [3, 3, 14, 2, 1], 'outside', 'askedWrite'),
  row('CNTP_CVAL_EL0', [3, 3, 14, 2, 2], 'outside', 'askedWrite'),
  row('CNTV_TVAL_EL0', [3, 3, 14, 3, 0], 'outside', 'askedWrite'),
  row('CNTV_CTL_EL0', [3, 3, 14, 3, 1], 'outside', 'askedWrite'),
  row('CNTV_CVAL_EL0', [3, 3, 14, 3, 2], 'outside', 'askedWrite'),

  // Performance monitors. EL0 has no access to them (PMUSERENR_EL0 is 0).
  row('PMINTENSET_EL1', [3, 0, 9, 14, 1], 'ignored'),
  row('PMINTENCLR_EL1', [3, 0, 9, 14, 2], 'ignored'),
  row('PMCR_EL0', [3, 3, 9, 12, 0], 'ignored', 'askedWrite'),
  row('PMCNTENSET_EL0', [3, 3, 9, 12, 1], 'ignored', 'askedWrite'),
  row('PMCNTENCLR_EL0', [3, 3, 9, 12, 2], 'ignored', 'askedWrite'),
  row('PMOVSCLR_EL0', [3, 3, 9, 12, 3], 'ignored', 'askedWrite'),
  row('PMSWINC_EL0', [3, 3, 9, 12, 4], 'ignored', 'askedWrite'),
  row('PMSELR_EL0', [3, 3, 9, 12, 5], 'ignored', 'askedWrite'),
  row('PMCEID0_EL0', [3, 3, 9, 12, 6], 'ignored', 'askedWrite'),
  row('PMCEID1_EL0', [3, 3, 9, 12, 7], 'ignored', 'askedWrite'),
  row('PMCCNTR_EL0', [3, 3, 9, 13, 0], 'ignored', 'askedWrite'),
  row('PMXEVTYPER_EL0', [3, 3, 9, 13, 1], 'ignored', 'askedWrite'),
  row('PMXEVCNTR_EL0', [3, 3, 9, 13, 2], 'ignored', 'askedWrite'),
  row('PMUSERENR_EL0', [3, 3, 9, 14, 0], 'ignored', 'freeRead'),
  row('PMOVSSET_EL0', [3, 3, 9, 14, 3], 'ignored', 'askedWrite'),

  // Debug.
  row('MDCCINT_EL1', [2, 0, 0, 2, 0], 'ignored'),
  row('MDSCR_EL1', [2, 0, 0, 2, 2], 'ignored'),
  ...debugRegisters('DBGBVR', 16, 4),
  ...debugRegisters('DBGBCR', 16, 5),
  ...debugRegisters('DBGWVR', 16, 6),
  ...debugRegisters('DBGWCR', 16, 7),
  row('MDRAR_EL1', [2, 0, 1, 0, 0], 'fixed'),
  row('OSLAR_EL1', [2, 0, 1, 0, 4], 'writeIgnored'),
  row('OSLSR_EL1', [2, 0, 1, 1, 4], 'fixed'),
  row('OSDLR_EL1', [2, 0, 1, 3, 4], 'ignored'),
  row('MDCCSR_EL0', [2, 3, 0, 1, 0], 'fixed', 'freeRead'),
];

/** State that has no system register encoding at EL1. */
const hiddenPlaces = [
  /** The stack pointer of EL1 while SP_EL0 is selected. */
  'SP_EL1',
  /** The address of the exclusive monitor, and the number of bytes it watches; 0 if it is clear. */
  'monitorAddress',
  'monitorBytes',
  /** The event register: 1 after an event that no WFE has consumed. */
  'event',
  /** Reads 0 and ignores writes. */
  'zero',
  'sink',
] as const;

const keeps: readonly Kind[] = ['stored', 'acted', 'fixed'];
/** In the order of `floatState`. */
const floatPlaces: readonly string[] = ['FPCR', 'FPSR'];
const keptNames = rows.filter(({ kind }) => keeps.includes(kind)).map(({ name }) => name);
const placeNames: readonly string[] = [
  ...floatPlaces,
  ...hiddenPlaces,
  ...keptNames.filter((name) => !floatPlaces.includes(name)),
];
const placeNumbers: ReadonlyMap<string, number> = new Map(placeNames.map((name, place) => [name, place]));

/** Number of 64-bit state slots. */
export const statePlaces = placeNames.length;

/** The state index of a system register or hidden state. Throws InvariantError if it keeps no state. */
export function statePlace(name: string): number {
  return present(placeNumbers.get(name), `the place of ${name}`);
}

const privilegedWays: Readonly<Record<Kind, readonly [read: Way, write: Way]>> = {
  stored: ['state', 'state'],
  acted: ['state', 'call'],
  computed: ['call', 'call'],
  fixed: ['state', null],
  ignored: ['state', 'state'],
  outside: ['call', 'call'],
  writeIgnored: [null, 'state'],
};
const unprivilegedWays: Readonly<Record<Unprivileged, readonly [read: Way, write: Way]>> = {
  none: [null, null],
  freeRead: ['state', null],
  freeWrite: ['state', 'state'],
  askedRead: ['call', null],
  askedWrite: ['call', 'call'],
};

function toRegister({ name, at, kind, el0, mask }: Row): SystemRegister {
  const [op0, op1, crn, crm, op2] = at;
  return {
    name,
    encoding: (op0 << 14) | (op1 << 11) | (crn << 7) | (crm << 3) | op2,
    place: placeNumbers.get(name) ?? null,
    mask,
    outside: kind === 'outside',
    vector: name === 'FPCR' || name === 'FPSR',
    way: (mode, access) => {
      // SP_EL0 cannot be accessed while it is the current stack pointer (DDI 0487, SP_EL0).
      if (mode === 'EL1t' && name === 'SP_EL0') return null;
      const ways = mode === 'EL0t' ? unprivilegedWays[el0] : privilegedWays[kind];
      return ways[access === 'read' ? 0 : 1];
    },
  };
}

export const systemRegisters: readonly SystemRegister[] = rows.map(toRegister);
const byEncoding: ReadonlyMap<number, SystemRegister> = new Map(
  systemRegisters.map((register) => [register.encoding, register]),
);
const byName: ReadonlyMap<string, SystemRegister> = new Map(
  systemRegisters.map((register) => [register.name.toLowerCase(), register]),
);

/** The register with an encoding; undefined if there is none. */
export function systemRegisterAt(encoding: number): SystemRegister | undefined {
  return byEncoding.get(encoding);
}

/** The register with a name, in any case. */
export function systemRegisterNamed(name: string): SystemRegister | undefined {
  return byName.get(name.toLowerCase());
}
