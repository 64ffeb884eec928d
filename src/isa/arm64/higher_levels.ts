/**
 * Instructions that need EL2 or EL3, which the emulated CPU does not have: their text, and the level. The level follows from op1
 * (Arm DDI 0487, C5.1 and D17.1): 4 is EL2, 5 is EL2 with the Virtualization Host Extensions, 6 is EL3. The names are a table,
 * and one that lacks a row is written as objdump writes an unnamed register.
 */

export interface HigherLevelInstruction {
  /** In GNU objdump's syntax. */
  readonly text: string;
  /** The lowest exception level at which the instruction is defined. */
  readonly level: 2 | 3;
  /** Whether the register or operation has a name here. */
  readonly isNamed: boolean;
}

type Place = `${number} ${number} ${number}`;
/** CRn, CRm and op2. */
type Names = Readonly<Partial<Record<Place, string>>>;

function numbered(count: number, name: (n: number) => string, place: (n: number) => Place): Names {
  return Object.fromEntries(Array.from({ length: count }, (_, n) => [place(n), name(n)]));
}

const el2Names: Names = {
  '0 0 0': 'vpidr_el2',
  '0 0 5': 'vmpidr_el2',
  '1 0 0': 'sctlr_el2',
  '1 0 1': 'actlr_el2',
  '1 1 0': 'hcr_el2',
  '1 1 1': 'mdcr_el2',
  '1 1 2': 'cptr_el2',
  '1 1 3': 'hstr_el2',
  '1 1 7': 'hacr_el2',
  '1 2 0': 'zcr_el2',
  '2 0 0': 'ttbr0_el2',
  '2 0 1': 'ttbr1_el2',
  '2 0 2': 'tcr_el2',
  '2 1 0': 'vttbr_el2',
  '2 1 2': 'vtcr_el2',
  '3 0 0': 'dacr32_el2',
  '4 0 0': 'spsr_el2',
  '4 0 1': 'elr_el2',
  '4 1 0': 'sp_el1',
  '4 3 0': 'spsr_irq',
  '4 3 1': 'spsr_abt',
  '4 3 2': 'spsr_und',
  '4 3 3': 'spsr_fiq',
  '5 0 1': 'ifsr32_el2',
  '5 1 0': 'afsr0_el2',
  '5 1 1': 'afsr1_el2',
  '5 2 0': 'esr_el2',
  '5 3 0': 'fpexc32_el2',
  '6 0 0': 'far_el2',
  '6 0 4': 'hpfar_el2',
  '10 2 0': 'mair_el2',
  '10 3 0': 'amair_el2',
  '12 0 0': 'vbar_el2',
  '12 0 1': 'rvbar_el2',
  '12 0 2': 'rmr_el2',
  ...numbered(
    4,
    (n) => `ich_ap0r${n}_el2`,
    (n) => `12 8 ${n}`,
  ),
  ...numbered(
    4,
    (n) => `ich_ap1r${n}_el2`,
    (n) => `12 9 ${n}`,
  ),
  '12 9 5': 'icc_sre_el2',
  '12 11 0': 'ich_hcr_el2',
  '12 11 1': 'ich_vtr_el2',
  '12 11 2': 'ich_misr_el2',
  '12 11 3': 'ich_eisr_el2',
  '12 11 5': 'ich_elrsr_el2',
  '12 11 7': 'ich_vmcr_el2',
  ...numbered(
    16,
    (n) => `ich_lr${n}_el2`,
    (n) => `12 ${12 + (n >> 3)} ${n & 7}`,
  ),
  '13 0 1': 'contextidr_el2',
  '13 0 2': 'tpidr_el2',
  '14 0 3': 'cntvoff_el2',
  '14 1 0': 'cnthctl_el2',
  '14 2 0': 'cnthp_tval_el2',
  '14 2 1': 'cnthp_ctl_el2',
  '14 2 2': 'cnthp_cval_el2',
  '14 3 0': 'cnthv_tval_el2',
  '14 3 1': 'cnthv_ctl_el2',
  '14 3 2': 'cnthv_cval_el2',
};

const hostExtensionNames: Names = {
  '1 0 0': 'sctlr_el12',
  '1 0 2': 'cpacr_el12',
  '2 0 0': 'ttbr0_el12',
  '2 0 1': 'ttbr1_el12',
  '2 0 2': 'tcr_el12',
  '4 0 0': 'spsr_el12',
  '4 0 1': 'elr_el12',
  '5 1 0': 'afsr0_el12',
  '5 1 1': 'afsr1_el12',
  '5 2 0': 'esr_el12',
  '6 0 0': 'far_el12',
  '10 2 0': 'mair_el12',
  '10 3 0': 'amair_el12',
  '12 0 0': 'vbar_el12',
  '13 0 1': 'contextidr_el12',
  '14 1 0': 'cntkctl_el12',
  '14 2 0': 'cntp_tval_el02',
  '14 2 1': 'cntp_ctl_el02',
  '14 2 2': 'cntp_cval_el02',
  '14 3 0': 'cntv_tval_el02',
  '14 3 1': 'cntv_ctl_el02',
  '14 3 2': 'cntv_cval_el02',
};

const el3Names: Names = {
  '1 0 0': 'sctlr_el3',
  '1 0 1': 'actlr_el3',
  '1 1 0': 'scr_el3',
  '1 1 1': 'sder32_el3',
  '1 1 2': 'cptr_el3',
  '1 2 0': 'zcr_el3',
  '1 3 1': 'mdcr_el3',
  '2 0 0': 'ttbr0_el3',
  '2 0 2': 'tcr_el3',
  '4 0 0': 'spsr_el3',
  '4 0 1': 'elr_el3',
  '4 1 0': 'sp_el2',
  '5 1 0': 'afsr0_el3',
  '5 1 1': 'afsr1_el3',
  '5 2 0': 'esr_el3',
  '6 0 0': 'far_el3',
  '10 2 0': 'mair_el3',
  '10 3 0': 'amair_el3',
  '12 0 0': 'vbar_el3',
  '12 0 1': 'rvbar_el3',
  '12 0 2': 'rmr_el3',
  '12 12 4': 'icc_ctlr_el3',
  '12 12 5': 'icc_sre_el3',
  '12 12 7': 'icc_igrpen1_el3',
  '13 0 2': 'tpidr_el3',
};

/** By op1: the level, and the names of registers. */
const registers: Readonly<Record<number, { readonly level: 2 | 3; readonly names: Names }>> = {
  4: { level: 2, names: el2Names },
  5: { level: 2, names: hostExtensionNames },
  6: { level: 3, names: el3Names },
};

/** SYS (DDI 0487, C5.4 and C5.5) at EL2 and EL3, by op1. Some TLB instructions ignore their register. */
const operationNames: Readonly<Record<number, Names>> = {
  4: {
    '7 8 0': 'at s1e2r',
    '7 8 1': 'at s1e2w',
    '7 8 4': 'at s12e1r',
    '7 8 5': 'at s12e1w',
    '7 8 6': 'at s12e0r',
    '7 8 7': 'at s12e0w',
    '8 0 1': 'tlbi ipas2e1is',
    '8 0 5': 'tlbi ipas2le1is',
    '8 3 0': 'tlbi alle2is',
    '8 3 1': 'tlbi vae2is',
    '8 3 4': 'tlbi alle1is',
    '8 3 5': 'tlbi vale2is',
    '8 3 6': 'tlbi vmalls12e1is',
    '8 4 1': 'tlbi ipas2e1',
    '8 4 5': 'tlbi ipas2le1',
    '8 7 0': 'tlbi alle2',
    '8 7 1': 'tlbi vae2',
    '8 7 4': 'tlbi alle1',
    '8 7 5': 'tlbi vale2',
    '8 7 6': 'tlbi vmalls12e1',
  },
  6: {
    '7 8 0': 'at s1e3r',
    '7 8 1': 'at s1e3w',
    '8 3 0': 'tlbi alle3is',
    '8 3 1': 'tlbi vae3is',
    '8 3 5': 'tlbi vale3is',
    '8 7 0': 'tlbi alle3',
    '8 7 1': 'tlbi vae3',
    '8 7 5': 'tlbi vale3',
  },
};

/** The fields of an instruction of the system group (DDI 0487, C4.1.93); null for one of another group. */
interface SystemFields {
  readonly isRead: boolean;
  readonly op0: number;
  readonly op1: number;
  readonly crn: number;
  readonly crm: number;
  readonly op2: number;
  readonly register: string;
}

function systemFields(word: number): SystemFields | null {
  if (word >>> 22 !== 0b1101010100) return null;
  const field = (shift: number, bits: number): number => (word >>> shift) & (2 ** bits - 1);
  const rt = field(0, 5);
  return {
    isRead: field(21, 1) === 1,
    op0: field(19, 2),
    op1: field(16, 3),
    crn: field(12, 4),
    crm: field(8, 4),
    op2: field(5, 3),
    register: rt === 31 ? 'xzr' : `x${rt}`,
  };
}

/** A register access by the register's number, as `mrs x0, s3_0_c0_c4_3`; null for a word that is none. */
export function registerAccessText(word: number): string | null {
  const fields = systemFields(word);
  if (fields === null || fields.op0 < 2) return null;
  const { op0, op1, crn, crm, op2 } = fields;
  return accessText(fields, `s${op0}_${op1}_c${crn}_c${crm}_${op2}`);
}

function accessText({ isRead, register }: SystemFields, name: string): string {
  return isRead ? `mrs ${register}, ${name}` : `msr ${name}, ${register}`;
}

/** What `word` is, where it is a system instruction that needs EL2 or EL3; null for every other word. */
export function higherLevelInstruction(word: number): HigherLevelInstruction | null {
  const fields = systemFields(word);
  const known = registers[fields?.op1 ?? 0];
  if (fields === null || known === undefined) return null;
  const { op0, op1, crn, crm, op2, register, isRead } = fields;
  const place: Place = `${crn} ${crm} ${op2}`;
  if (op0 >= 2) {
    const name = op0 === 3 ? known.names[place] : undefined;
    const text = name === undefined ? registerAccessText(word) : accessText(fields, name);
    return text === null ? null : { text, level: known.level, isNamed: name !== undefined };
  }
  const operation = op0 === 1 && !isRead ? operationNames[op1]?.[place] : undefined;
  if (operation === undefined) return null;
  const text = register === 'xzr' ? operation : `${operation}, ${register}`;
  return { text, level: known.level, isNamed: true };
}
