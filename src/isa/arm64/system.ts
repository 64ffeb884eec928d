/**
 * System instructions (DDI 0487, C4.1.93): hints, barriers, PSTATE fields, and system register moves (MRS and MSR).
 * Cache, TLB and address translation instructions are in system_operations.ts.
 */
import { instruction } from './encoding.js';
import type { ImmediateOperand, TextOperand } from '../instruction.js';
import type { A64Instruction } from './encoding.js';
import type { Mode } from './registers.js';
import type { Expr } from '../micro_ops.js';
import type { FieldValues } from '../instruction.js';
import type { Semantics } from '../semantics.js';
import type { A64SystemCall } from './system_calls.js';
import { setFlagsFromBits } from './flags.js';
import { derived, destination, hex, hint, immediate, source, unsigned } from './operands.js';
import { statePlace, systemRegisterAt, systemRegisterNamed } from './system_registers.js';
import type { Way } from './system_registers.js';

const privileged = (_fields: unknown, mode: Mode): boolean => mode !== 'EL0t';
const unprivileged = (_fields: unknown, mode: Mode): boolean => mode === 'EL0t';

function bits(value: number, width: number): string {
  return value.toString(2).padStart(width, '0');
}

/** A named hint. `semantics` appends its call, if it has one. */
function namedHint(mnemonic: string, number: number, semantics: (m: Semantics) => void): A64Instruction {
  return instruction({
    name: `${mnemonic.toUpperCase()}_HI_hints`,
    pattern: `1101010100 0 00 011 0010 ${bits(number, 7)} 11111`,
    // NOP is hot: Debian's kernels have many, as placeholders of runtime patches that were not applied.
    cold: mnemonic !== 'nop',
    operands: {},
    text: mnemonic,
    semantics,
  });
}

function calling(call: A64SystemCall): (m: Semantics) => void {
  return (m) => m.system(call);
}

const hints: readonly A64Instruction[] = [
  // All unallocated hints are NOPs too.
  instruction({
    name: 'HINT_HM_hints',
    pattern: '1101010100 0 00 011 0010 imm7:7 11111',
    operands: { hint: immediate({ ...unsigned('imm7', 7, 32), format: hex }) },
    text: 'hint {hint}',
    semantics: () => undefined,
  }),
  namedHint('nop', 0, () => undefined),
  namedHint('yield', 1, calling('yield')),
  namedHint('wfe', 2, calling('waitForEvent')),
  namedHint('wfi', 3, calling('waitForInterrupt')),
  namedHint('sev', 4, calling('sendEvent')),
  namedHint('sevl', 5, (m) => m.setState(statePlace('event'), m.constant(64, 1))),
];

const barrierOptions = [
  null, 'oshld', 'oshst', 'osh', null, 'nshld', 'nshst', 'nsh',
  null, 'ishld', 'ishst', 'ish', null, 'ld', 'st', 'sy',
] as const; // prettier-ignore

/** A barrier. Memory is sequentially consistent here, so most barriers do nothing. */
function barrier(
  mnemonic: string,
  op2: string,
  text: string,
  option: TextOperand,
  semantics: (m: Semantics) => void = () => undefined,
): A64Instruction {
  return instruction({
    name: `${mnemonic.toUpperCase()}_BN_barriers`,
    pattern: `1101010100 0 00 011 0011 CRm:4 ${op2} 11111`,
    operands: { option },
    text,
    semantics,
  });
}

/** An option that is ignored. The text omits it if it has the default value, 15. */
const defaultOption: TextOperand = {
  kind: 'text',
  print: ({ CRm = 15 }) => (CRm === 15 ? '' : ` #${hex(BigInt(CRm))}`),
  parse: (text) => {
    const found = /^ #(0x[0-9a-f]|\d+)/.exec(text);
    const CRm = Number(found?.[1] ?? 15);
    return CRm > 15 ? null : { fields: { CRm }, rest: text.slice(found?.[0].length ?? 0) };
  },
};

const barriers: readonly A64Instruction[] = [
  barrier('clrex', '010', 'clrex{option}', defaultOption, (m) =>
    m.setState(statePlace('monitorBytes'), m.constant(64, 0)),
  ),
  barrier('dsb', '100', 'dsb {option}', hint(barrierOptions, 'CRm')),
  barrier('dmb', '101', 'dmb {option}', hint(barrierOptions, 'CRm')),
  // Instructions after it are fetched again, with the current register values.
  barrier('isb', '110', 'isb{option}', defaultOption, (m) => m.refetch(4)),
];

/** Leaves the run if an unmasked interrupt is pending. */
function takePendingInterrupt(m: Semantics): void {
  const open = m.and(m.state(statePlace('ISR_EL1')), m.not(m.state(statePlace('DAIF'))));
  m.when(m.notEqual(open, m.constant(64, 0)), () => m.system('interruptible'));
}

/** The description of a system instruction for its trap: bits 20:5, which name the register, and Rt below them. */
function selector(op0: number, fixed: FieldValues = {}): ImmediateOperand {
  return derived(64, 32, (given) => {
    const fields: FieldValues = { ...given, ...fixed };
    const { op1 = 0, CRn = 0, CRm = 0, op2 = 0, Rt = 31, o0 = 0 } = fields;
    return (((op0 + o0) << 19) | (op1 << 16) | (CRn << 12) | (CRm << 8) | (op2 << 5) | Rt) >>> 0;
  });
}

/** DAIFSet and DAIFClr, at EL1, and at EL0 if EL1 permits. */
function changeMasks(name: 'daifset' | 'daifclr', op2: 6 | 7): A64Instruction[] {
  const form = {
    pattern: `1101010100 0 00 011 0100 CRm:4 ${bits(op2, 3)} 11111`,
    text: `msr ${name}, {imm}`,
  };
  const imm = immediate({ ...unsigned('CRm', 4, 64), format: hex });
  const place = statePlace('DAIF');
  return [
    instruction({
      ...form,
      name: `MSR_${name}_pstate`,
      cold: name === 'daifclr',
      allocated: privileged,
      operands: { imm },
      semantics: (m, o) => {
        const masks = m.shiftBy('shl', o.imm, 6);
        if (name === 'daifset') {
          m.setState(place, m.or(m.state(place), masks));
        } else {
          m.setState(place, m.and(m.state(place), m.not(masks)));
          takePendingInterrupt(m);
        }
      },
    }),
    instruction({
      ...form,
      name: `MSR_${name}_EL0_pstate`,
      cold: true,
      allocated: unprivileged,
      operands: { imm, selector: selector(0, { op1: 3, CRn: 4, op2 }) },
      semantics: (m, o) => m.system('changeMasks', [o.selector, o.imm]),
    }),
  ];
}

const stateFields: readonly A64Instruction[] = [
  ...changeMasks('daifset', 6),
  ...changeMasks('daifclr', 7),
  instruction({
    name: 'MSR_spsel_pstate',
    pattern: '1101010100 0 00 000 0100 CRm:4 101 11111',
    cold: true,
    allocated: privileged,
    operands: { imm: immediate({ ...unsigned('CRm', 4, 64), format: hex }) },
    text: 'msr spsel, {imm}',
    semantics: (m, o) => m.system('selectStack', [o.imm]),
  }),
];

function encodingOf({ o0 = 0, op1 = 0, CRn = 0, CRm = 0, op2 = 0 }: FieldValues): number {
  return ((2 + o0) << 14) | (op1 << 11) | (CRn << 7) | (CRm << 3) | op2;
}

/** The name of the register; `s3_0_c15_c2_0` if it has none. */
const registerText: ImmediateOperand = {
  ...derived(64, 32, encodingOf),
  print: (fields) => {
    const { o0 = 0, op1 = 0, CRn = 0, CRm = 0, op2 = 0 } = fields;
    const name = systemRegisterAt(encodingOf(fields))?.name ?? `s${2 + o0}_${op1}_c${CRn}_c${CRm}_${op2}`;
    return name.toLowerCase();
  },
  parse: (text) => {
    const found = /^\w+/.exec(text)?.[0] ?? '';
    const encoding = systemRegisterNamed(found)?.encoding ?? genericEncoding(found);
    if (encoding === null || encoding >> 15 === 0) return null;
    const fields = {
      o0: (encoding >> 14) & 1,
      op1: (encoding >> 11) & 7,
      CRn: (encoding >> 7) & 15,
      CRm: (encoding >> 3) & 15,
      op2: encoding & 7,
    };
    return { fields, rest: text.slice(found.length) };
  },
};

function genericEncoding(name: string): number | null {
  const found = /^s([23])_([0-7])_c(\d+)_c(\d+)_([0-7])$/.exec(name);
  if (found === null) return null;
  const [op0 = 0, op1 = 0, crn = 0, crm = 0, op2 = 0] = found.slice(1).map(Number);
  return crn > 15 || crm > 15 ? null : (op0 << 14) | (op1 << 11) | (crn << 7) | (crm << 3) | op2;
}

/** DAIF and NZCV have separate definitions. All other registers use the register table. */
const special: readonly number[] = ['DAIF'].map((name) => systemRegisterNamed(name)?.encoding ?? 0);

/** Whether an access to the register is done in this way, and whether the register belongs to SIMD. */
function goes(
  access: 'read' | 'write',
  way: Way,
  vector: boolean,
): (fields: FieldValues, mode: Mode) => boolean {
  return (fields, mode) => {
    const register = systemRegisterAt(encodingOf(fields));
    if (register?.vector !== vector) return false;
    if (access === 'write' && mode !== 'EL0t' && special.includes(register.encoding)) return false;
    return register.way(mode, access) === way;
  };
}

const place = (kept: 'zero' | 'sink'): ImmediateOperand =>
  derived(64, 8, (fields) => systemRegisterAt(encodingOf(fields))?.place ?? statePlace(kept));
const mask = derived(64, 64, (fields) => systemRegisterAt(encodingOf(fields))?.mask ?? 0n);

const readPattern = '1101010100 1 1 o0:1 op1:3 CRn:4 CRm:4 op2:3 Rt:5';
const writePattern = '1101010100 0 1 o0:1 op1:3 CRn:4 CRm:4 op2:3 Rt:5';
const nzcv = '1 011 0100 0010 000';

/** MRS and MSR of registers that are plain state. */
const stateRegisters = [false, true].flatMap((vector) => [
  instruction({
    name: `MRS_RS_systemmove${vector ? '_vector' : ''}`,
    pattern: readPattern,
    vector,
    allocated: goes('read', 'state', vector),
    operands: { t: destination('Rt', 64), register: registerText, place: place('zero') },
    text: 'mrs {t}, {register}',
    semantics: (m, o) => m.write(o.t, m.stateAt(o.place)),
  }),
  instruction({
    name: `MSR_SR_systemmove${vector ? '_vector' : ''}`,
    pattern: writePattern,
    vector,
    allocated: goes('write', 'state', vector),
    operands: { t: source('Rt', 64), register: registerText, place: place('sink'), mask },
    text: 'msr {register}, {t}',
    semantics: (m, o) => m.setStateAt(o.place, m.and(m.read(o.t), o.mask)),
  }),
]);

/** MRS and MSR of registers that need a call to the host. */
const askedRegisters = [
  instruction({
    name: 'MRS_RS_systemmove_asked',
    pattern: readPattern,
    cold: true,
    allocated: goes('read', 'call', false),
    operands: { t: destination('Rt', 64), register: registerText, selector: selector(2) },
    text: 'mrs {t}, {register}',
    semantics: (m, o) => m.write(o.t, m.ask('readRegister', [o.selector])),
  }),
  instruction({
    name: 'MSR_SR_systemmove_asked',
    pattern: writePattern,
    cold: true,
    allocated: goes('write', 'call', false),
    operands: { t: source('Rt', 64), register: registerText, selector: selector(2) },
    text: 'msr {register}, {t}',
    semantics: (m, o) => m.system('writeRegister', [o.selector, m.read(o.t)]),
  }),
];

/** NZCV, and at EL1 the interrupt masks. */
const specialRegisters = [
  instruction({
    name: 'MRS_NZCV_systemmove',
    pattern: `1101010100 1 1 ${nzcv} Rt:5`,
    operands: { t: destination('Rt', 64) },
    text: 'mrs {t}, nzcv',
    semantics: (m, o) => {
      const at = (flag: Expr, bit: number): Expr => m.shiftBy('shl', m.resize(64, flag), bit);
      const high = m.or(at(m.flag('n'), 31), at(m.flag('z'), 30));
      m.write(o.t, m.or(high, m.or(at(m.flag('c'), 29), at(m.flag('v'), 28))));
    },
  }),
  instruction({
    name: 'MSR_NZCV_systemmove',
    pattern: `1101010100 0 1 ${nzcv} Rt:5`,
    operands: { t: source('Rt', 64) },
    text: 'msr nzcv, {t}',
    semantics: (m, o) => {
      const nibble = m.and(m.shiftBy('shrUnsigned', m.read(o.t), 28), m.constant(64, 15));
      setFlagsFromBits(m, m.resize(32, m.let(nibble)));
    },
  }),
  instruction({
    name: 'MSR_DAIF_systemmove',
    pattern: '1101010100 0 1 1 011 0100 0010 001 Rt:5',
    cold: true,
    allocated: privileged,
    operands: { t: source('Rt', 64) },
    text: 'msr daif, {t}',
    semantics: (m, o) => {
      m.setState(statePlace('DAIF'), m.and(m.read(o.t), m.constant(64, 0x3c0)));
      takePendingInterrupt(m);
    },
  }),
];

export const system: readonly A64Instruction[] = [
  ...hints,
  ...barriers,
  ...stateFields,
  ...stateRegisters,
  ...askedRegisters,
  ...specialRegisters,
];
