/** What the host does between two runs of the interpreter: it completes the last instruction, and prepares for the next. */
import type { Completion } from '../architecture.js';
import { stateSlots } from './block.js';
import type { A64Block } from './block.js';
import {
  exceptionClass,
  returnFromException,
  savedStateOf,
  syndrome,
  takeInterrupt,
  takeSynchronous,
} from './exceptions.js';
import type { Syndrome } from './exceptions.js';
import { sctlr } from './regime.js';
import type { CpuContext } from './system_calls.js';
import type { Vcpu } from './vcpu.js';

/** ISR_EL1.F. */
const fiqBit = 0x40;

/**
 * Takes an interrupt that is open, or selects the TLB sets of the current exception level. True if the vCPU may run; false if it
 * took an exception.
 */
export function prepareEntry(context: CpuContext, cpu: Vcpu): boolean {
  const { block, process } = cpu;
  const open = cpu.openInterrupts;
  if (open !== 0) {
    // Which of the two comes first is the implementation's choice.
    takeInterrupt(block, process, (open & fiqBit) !== 0 ? 'fiq' : 'irq');
    return false;
  }
  useTlbs(context, cpu);
  if (!process.illegal) return true;
  // What is wrong with pc comes before the illegal state (DDI 0487, D1.3.5.5).
  if (context.accesses.canFetch(cpu)) cpu.raise(syndrome(exceptionClass.illegalState, 0));
  block.budget -= 1;
  finishInstruction(context, cpu);
  return false;
}

function useTlbs({ tlbs }: CpuContext, cpu: Vcpu): void {
  const { block, index } = cpu;
  const el = cpu.isEl0 ? 0 : 1;
  if (cpu.decodedAs[el] !== cpu.variant) {
    if (cpu.decodedAs[el] >= 0) tlbs.flushCode(index);
    cpu.decodedAs[el] = cpu.variant;
  }
  if (el === 1) {
    block.tlb = tlbs.privileged(index);
    return;
  }
  const set = tlbs.provide(index, cpu.addressSpace);
  block.tlb = set;
  block.unprivilegedTlb = set;
}

/** Completes the instruction that left the interpreter. */
export function finishInstruction(context: CpuContext, cpu: Vcpu): Completion {
  const { pending, block, process } = cpu;
  cpu.pending = null;
  switch (pending?.kind) {
    case undefined:
    case 'again':
      return 'goesOn';
    case 'exception':
      noteException(context, cpu, pending.syndrome);
      if (pending.returnsTo === 'next') block.advance();
      takeSynchronous(block, process, pending.syndrome);
      return 'schedulingPoint';
    case 'return':
      returnFrom(context, cpu);
      return 'schedulingPoint';
    case 'completed':
      return complete(block);
    case 'translationSwitched': {
      const completion = complete(block);
      context.host.translationSwitched?.(cpu.index, cpu.controls(sctlr.m));
      return completion;
    }
    case 'stop':
      block.advance();
      return pending.reason;
    case 'call':
      callMachine(context, cpu, pending.instruction, pending.immediate);
      return 'schedulingPoint';
  }
}

function complete(block: A64Block): Completion {
  block.advance();
  // Straight-line code that goes on into the next page.
  return (block.pcLow & 0xfff) === 0 ? 'schedulingPoint' : 'goesOn';
}

/** Notes an exception that is about to be taken by the instruction at pc. */
function noteException({ accesses }: CpuContext, cpu: Vcpu, syndrome: Syndrome): void {
  cpu.exceptionsTaken += 1;
  if (cpu.openException !== null || cpu.isEl0) return;
  const { pcLow, pcHigh } = cpu.block;
  const word = syndrome.address === null ? accesses.wordAt(cpu, pcLow, pcHigh) : null;
  cpu.openException = { pcLow, pcHigh, syndrome, illegalSpsr: null, word };
}

function returnFrom({ accesses }: CpuContext, cpu: Vcpu): void {
  const { block, process } = cpu;
  const { pcLow, pcHigh } = block;
  returnFromException(block, process);
  if (!process.illegal) {
    cpu.openException = null;
  } else if (cpu.openException === null) {
    const word = accesses.wordAt(cpu, pcLow, pcHigh);
    cpu.openException = { pcLow, pcHigh, syndrome: null, illegalSpsr: savedStateOf(block), word };
  }
}

function callMachine(context: CpuContext, cpu: Vcpu, instruction: 'hvc' | 'smc', immediate: number): void {
  const { host } = context;
  const { block, process } = cpu;
  const [low, high] = [block.pcLow, block.pcHigh];
  block.advance();
  if (host.call(cpu.index, instruction, immediate)) {
    // Whoever answered came back by an exception return (DDI 0487, AArch64.ExceptionReturn).
    block.setLow(stateSlots.monitorBytes, 0);
    block.setLow(stateSlots.event, 1);
    return;
  }
  block.setPcHalves(low, high);
  const undefinedInstruction = syndrome(exceptionClass.unknown, 0);
  noteException(context, cpu, undefinedInstruction);
  takeSynchronous(block, process, undefinedInstruction);
}
