/**
 * The system registers of the generic timers, by encoding (Arm DDI 0487, D17.11), for EL1 and, if EL1 permits, for EL0.
 */
import type { GenericTimerState } from '../../devices/index.js';
import {
  compareOfValue,
  counterAt,
  readPhysicalControl,
  readVirtualControl,
  setPhysicalCompare,
  setVirtualCompare,
  systemRegister,
  timerValue,
  writePhysicalControl,
  writeVirtualControl,
} from '../../devices/index.js';

/** Frequency of the counters in Hz, as on the reference guest. */
export const counterFrequency = 62_500_000;

/** The context of a register access. */
export interface TimerAccess {
  readonly timers: GenericTimerState;
  /** Since the counters began. */
  readonly nowNs: bigint;
}

interface TimerRegister {
  readonly read: (access: TimerAccess) => bigint;
  readonly write?: (access: TimerAccess, value: bigint) => void;
  /** The bits of CNTKCTL_EL1, one of which must be set for EL0 to use the register; 0 if EL0 may never use it. */
  readonly el0: bigint;
}

function count({ nowNs }: TimerAccess): bigint {
  return counterAt(nowNs, counterFrequency);
}

/** The differences between the two timers. */
interface TimerKind {
  /** CRm of its registers; CRn is 14. */
  readonly crm: number;
  readonly el0: bigint;
  readonly compare: (timers: GenericTimerState) => bigint;
  readonly setCompare: (timers: GenericTimerState, ticks: bigint) => void;
  readonly control: (timers: GenericTimerState, counter: bigint) => bigint;
  readonly setControl: (timers: GenericTimerState, value: bigint) => void;
}

/** The TVAL, CTL and CVAL registers of one timer. */
function timer({ crm, el0, compare, setCompare, control, setControl }: TimerKind): [number, TimerRegister][] {
  const rows: Omit<TimerRegister, 'el0'>[] = [
    {
      read: (access) => timerValue(compare(access.timers), count(access)),
      write: (access, value) => setCompare(access.timers, compareOfValue(value, count(access))),
    },
    {
      read: (access) => control(access.timers, count(access)),
      write: ({ timers }, value) => setControl(timers, value),
    },
    {
      read: ({ timers }) => compare(timers),
      write: ({ timers }, value) => setCompare(timers, value),
    },
  ];
  return rows.map((row, op2) => [systemRegister(3, 3, 14, crm, op2), { ...row, el0 }]);
}

/** CNTKCTL_EL1: EL0PCTEN, EL0VCTEN, EL0VTEN, EL0PTEN. */
const el0Bits = {
  physicalCounter: 1n,
  virtualCounter: 2n,
  virtualTimer: 1n << 8n,
  physicalTimer: 1n << 9n,
} as const;

const registers: ReadonlyMap<number, TimerRegister> = new Map<number, TimerRegister>([
  [
    systemRegister(3, 3, 14, 0, 0),
    { read: () => BigInt(counterFrequency), el0: el0Bits.physicalCounter | el0Bits.virtualCounter },
  ],
  [systemRegister(3, 3, 14, 0, 1), { read: count, el0: el0Bits.physicalCounter }],
  [systemRegister(3, 3, 14, 0, 2), { read: count, el0: el0Bits.virtualCounter }],
  ...timer({
    crm: 2,
    el0: el0Bits.physicalTimer,
    compare: ({ physical }) => physical.compare,
    setCompare: ({ physical }, ticks) => setPhysicalCompare(physical, ticks),
    control: ({ physical }) => readPhysicalControl(physical),
    setControl: ({ physical }, value) => writePhysicalControl(physical, value),
  }),
  ...timer({
    crm: 3,
    el0: el0Bits.virtualTimer,
    compare: ({ virtual }) => virtual.compare,
    setCompare: ({ virtual }, ticks) => setVirtualCompare(virtual, ticks),
    control: ({ virtual }, counter) => readVirtualControl(virtual, counter),
    setControl: ({ virtual }, value) => writeVirtualControl(virtual, value),
  }),
  [
    systemRegister(3, 0, 14, 1, 0),
    {
      read: ({ timers }) => timers.kernelControl,
      write: ({ timers }, value) => {
        timers.kernelControl = value & 0x3ffn;
      },
      el0: 0n,
    },
  ],
]);

export function isTimerRegister(encoding: number): boolean {
  return registers.has(encoding);
}

function refusal({ el0 }: TimerRegister, { timers }: TimerAccess, el: 0 | 1): 'undefined' | 'trapped' | null {
  if (el === 1 || (timers.kernelControl & el0) !== 0n) return null;
  return el0 === 0n ? 'undefined' : 'trapped';
}

export function readTimerRegister(
  encoding: number,
  access: TimerAccess,
  el: 0 | 1,
): bigint | 'undefined' | 'trapped' {
  const register = registers.get(encoding);
  return register === undefined ? 'undefined' : (refusal(register, access, el) ?? register.read(access));
}

export function writeTimerRegister(
  encoding: number,
  access: TimerAccess,
  value: bigint,
  el: 0 | 1,
): 'done' | 'undefined' | 'trapped' {
  const register = registers.get(encoding);
  if (register?.write === undefined) return 'undefined';
  const refused = refusal(register, access, el);
  if (refused === null) register.write(access, value);
  return refused ?? 'done';
}
