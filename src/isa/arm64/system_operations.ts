/** The aliases of SYS: DC, IC, TLBI and AT (DDI 0487, C5.3 to C5.5). SYS encodings without an alias are Undefined. */
import { instruction } from './encoding.js';
import type { A64Instruction } from './encoding.js';
import type { TextOperand } from '../instruction.js';
import type { Semantics } from '../semantics.js';
import { derived, source } from './operands.js';

/**
 * `nothing`: cache maintenance without an address; no cache is emulated. `address`: maintenance by address, which may
 * fault. `clear`: DC ZVA.
 */
type Effect = 'nothing' | 'address' | 'clear' | 'tlb' | 'translate';

interface Operation {
  readonly text: string;
  readonly at: readonly [op1: number, crn: number, crm: number, op2: number];
  readonly effect: Effect;
  /** Whether it takes an operand, such as an address. If not, Rt is ignored. */
  readonly takes: boolean;
  readonly el0: boolean;
}

function row(text: string, at: Operation['at'], effect: Effect, takes = true, el0 = false): Operation {
  return { text, at, effect, takes, el0 };
}

/** The two forms of a TLB instruction: for this CPU only, and broadcast (`is`). */
function tlbi(name: string, op2: number, takes = true): Operation[] {
  return [
    row(`tlbi ${name}`, [0, 8, 7, op2], 'tlb', takes),
    row(`tlbi ${name}is`, [0, 8, 3, op2], 'tlb', takes),
  ];
}

const operations: readonly Operation[] = [
  row('ic ialluis', [0, 7, 1, 0], 'nothing', false),
  row('ic iallu', [0, 7, 5, 0], 'nothing', false),
  row('ic ivau', [3, 7, 5, 1], 'address', true, true),
  row('dc ivac', [0, 7, 6, 1], 'address'),
  row('dc isw', [0, 7, 6, 2], 'nothing'),
  row('dc csw', [0, 7, 10, 2], 'nothing'),
  row('dc cisw', [0, 7, 14, 2], 'nothing'),
  row('dc cvac', [3, 7, 10, 1], 'address', true, true),
  row('dc cvau', [3, 7, 11, 1], 'address', true, true),
  row('dc civac', [3, 7, 14, 1], 'address', true, true),
  row('dc zva', [3, 7, 4, 1], 'clear', true, true),
  row('at s1e1r', [0, 7, 8, 0], 'translate'),
  row('at s1e1w', [0, 7, 8, 1], 'translate'),
  row('at s1e0r', [0, 7, 8, 2], 'translate'),
  row('at s1e0w', [0, 7, 8, 3], 'translate'),
  ...tlbi('vmalle1', 0, false),
  ...tlbi('vae1', 1),
  ...tlbi('aside1', 2),
  ...tlbi('vaae1', 3),
  ...tlbi('vale1', 5),
  ...tlbi('vaale1', 7),
];

function bits(value: number, width: number): string {
  return value.toString(2).padStart(width, '0');
}

/** The register of an operation without operand: 31, which the text omits (DDI 0487, C6.2, SYS). */
const noRegister: TextOperand = {
  kind: 'text',
  print: () => '',
  parse: (rest) => ({ fields: { Rt: 31 }, rest }),
};

function define({ text, at, effect, takes }: Operation, forEl0: boolean): A64Instruction {
  const [op1, crn, crm, op2] = at;
  // Bits 20:5 of the instruction (op0 is 1), and Rt below.
  const fixed = (1 << 19) | (op1 << 16) | (crn << 12) | (crm << 8) | (op2 << 5);
  return instruction({
    name: `SYS_${text.replace(' ', '_')}${forEl0 ? '_EL0' : ''}`,
    pattern: `1101010100 0 01 ${bits(op1, 3)} ${bits(crn, 4)} ${bits(crm, 4)} ${bits(op2, 3)} Rt:5`,
    cold: true,
    allocated: (_fields, mode) => (mode === 'EL0t') === forEl0,
    operands: { t: source('Rt', 64), noRegister, selector: derived(64, 32, ({ Rt = 0 }) => fixed | Rt) },
    text: takes ? `${text}, {t}` : `${text}{noRegister}`,
    semantics: (m: Semantics, o) => {
      const value = m.read(o.t);
      if (effect === 'tlb') m.system('invalidateTlb', [o.selector, value]);
      if (effect === 'translate') m.system('translateAddress', [o.selector, value]);
      if (effect === 'address') m.system('maintainCache', [o.selector, value]);
      if (effect !== 'clear') return;
      if (forEl0) m.system('checkClearBlock', [o.selector]);
      m.clearBlock(value);
    },
  });
}

/** At EL0, DC ZVA first checks that it is permitted. The other operations are the same at every level. */
export const systemOperations: readonly A64Instruction[] = operations.flatMap((operation) =>
  operation.el0 ? [define(operation, false), define(operation, true)] : [define(operation, false)],
);
