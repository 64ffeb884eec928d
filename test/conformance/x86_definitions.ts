/** Runs cases by the instructions' definitions, without an engine. */
import * as x86_64 from '../../src/isa/x86_64/index.js';
import { evaluate } from './x86_evaluator.js';
import type { Machine } from './x86_evaluator.js';
import {
  changesOf,
  codeStart,
  directionFlag,
  flagNames,
  flagPlaces,
  gsBase,
  interruptFlag,
  memoryBytes,
  memoryStart,
  pattern,
  start,
  vectors,
} from './x86_layout.js';
import type { Case, Fault, Outcome } from './x86_layout.js';

/** How often an instruction that jumps to itself runs, at most. */
const mostTurns = 1000;

/** The memory of all machines: each case puts back what it changed. */
const memory = pattern.slice();

function machineFor(each: Case): Machine {
  const { mode, readOnly, registers, flags, mxcsr } = each;
  const state = Array.from({ length: x86_64.x86State.places }, () => 0n);
  state[x86_64.x86State.stackMask] = 2n ** BigInt(mode) - 1n;
  state[x86_64.x86State.control] = BigInt(mxcsr);
  state[x86_64.x86State.flags] = (flags & directionFlag) | interruptFlag;
  state[x86_64.x86State.privilege] = 3n;
  return {
    mode,
    readOnly,
    registers: [...registers, 0n, 0n, 0n, gsBase],
    flags: Object.fromEntries(
      flagNames.map((name) => [name, Number((flags >> BigInt(flagPlaces[name])) & 1n)]),
    ),
    vectors: [...each.vectors],
    mxcsr,
    state,
    pc: start,
    memoryStart,
    memory,
    touched: new Set(),
  };
}

function run({ instruction, fields }: Case, machine: Machine): { fault: Fault | null; endless: boolean } {
  let fault = evaluate(machine, instruction, fields);
  let turns = 1;
  // Repeated instructions jump to themselves, and so may branches.
  while (fault === null && machine.pc === start && turns < mostTurns) {
    fault = evaluate(machine, instruction, fields);
    turns += 1;
  }
  return { fault: fault ?? fetchFault(machine.pc), endless: turns === mostTurns };
}

/** What a jump out of the page of code leads to. Nothing else may be executed. */
function fetchFault(pc: bigint): Fault | null {
  if (pc >= codeStart && pc < codeStart + 4096n) return null;
  const isThere = pc >= memoryStart && pc < memoryStart + BigInt(memoryBytes);
  return { vector: vectors.page, errorCode: (isThere ? 1 : 0) | 0x14, address: pc };
}

/** What an instruction leads to by its definition. */
export function runByDefinition(each: Case): Outcome {
  const machine = machineFor(each);
  try {
    const { fault, endless } = run(each, machine);
    const flags = flagNames.reduce(
      (all, name) => all | (BigInt(machine.flags[name]!) << BigInt(flagPlaces[name])),
      machine.state[x86_64.x86State.flags]! & directionFlag,
    );
    return {
      fault,
      registers: machine.registers.slice(0, 16),
      flags,
      pc: machine.pc,
      vectors: machine.vectors,
      mxcsr: machine.mxcsr,
      x87: null,
      ...(machine.touched.size === 0 ? { first: 1, last: 0, changed: [] } : changesOf(memory)),
      endless,
    };
  } finally {
    for (const offset of machine.touched) memory[offset] = pattern[offset]!;
  }
}
