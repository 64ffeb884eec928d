/** What the host does between two runs of the interpreter: it completes the last instruction, and prepares for the next. */
import type { Completion } from '../architecture.js';
import { exception, invalidOpcode, vectors } from './events.js';
import { deliver } from './exceptions.js';
import type { CpuContext } from './system_calls.js';
import { lines } from './vcpu.js';
import type { Event, Vcpu } from './vcpu.js';

/**
 * Takes an interrupt that is open, or selects the TLB sets of the current privilege level. True if the vCPU may run; false if it
 * took an interrupt.
 */
export function prepareEntry(context: CpuContext, cpu: Vcpu): boolean {
  const event = cpu.openInterrupts === 0 ? null : openEvent(context, cpu);
  if (event !== null) {
    take(context, cpu, event);
    return false;
  }
  useTlbs(context, cpu);
  return true;
}

/** The event to take now. An NMI comes first. */
function openEvent({ host }: CpuContext, cpu: Vcpu): Event | null {
  if ((cpu.openInterrupts & lines.nmi) !== 0) {
    cpu.setLines(cpu.asserted & ~lines.nmi);
    cpu.system.nmiMasked = true;
    return { ...exception(vectors.nmi), origin: 'external' };
  }
  const vector = host.acknowledge(cpu.index);
  return vector === null ? null : { ...exception(vector), origin: 'external' };
}

/** Delivers an event, or ends the vCPU if that is a triple fault. */
function take({ accesses, host }: CpuContext, cpu: Vcpu, event: Event, own = cpu.block.pc): void {
  if (event.origin !== 'external') cpu.exceptionsTaken += 1;
  if (event.origin === 'exception' && cpu.openException === null && !cpu.isUser) {
    const { vector, errorCode, address } = event;
    cpu.openException = { vector, errorCode, address, pc: own };
  }
  if (deliver(accesses, cpu, event, own)) return;
  cpu.isShutDown = true;
  host.shutdown(cpu.index);
}

function useTlbs({ tlbs }: CpuContext, cpu: Vcpu): void {
  const { block, index, variant } = cpu;
  if (cpu.decodedAs !== variant) {
    if (cpu.decodedAs >= 0) tlbs.flushCode(index);
    cpu.decodedAs = variant;
  }
  const set = cpu.isUser ? tlbs.provide(index, cpu.addressSpace) : tlbs.privileged(index);
  block.tlb = set;
  block.unprivilegedTlb = set;
}

/** Advances pc to the next instruction. */
function advance(cpu: Vcpu): void {
  const next = cpu.block.pc + BigInt(cpu.length);
  cpu.block.pc = BigInt.asUintN(cpu.mode === 64 ? 64 : 32, next);
}

/** Completes the instruction that left the interpreter. */
export function finishInstruction(context: CpuContext, cpu: Vcpu): Completion {
  const { pending } = cpu;
  cpu.pending = null;
  switch (pending?.kind) {
    case undefined:
    case 'again':
      return 'goesOn';
    case 'event': {
      const { pc } = cpu.block;
      if (pending.returnsTo === 'next') advance(cpu);
      take(context, cpu, pending.event, pc);
      break;
    }
    case 'transferred':
      cpu.block.pc = pending.target;
      break;
    case 'completed': {
      const page = cpu.block.pc >> 12n;
      advance(cpu);
      // Straight-line code that goes on into the next page.
      return cpu.block.pc >> 12n === page ? 'goesOn' : 'schedulingPoint';
    }
    case 'stop':
      advance(cpu);
      return pending.reason;
    case 'hypercall':
      callMachine(context, cpu, pending.instruction);
      break;
  }
  return cpu.isShutDown ? 'stopped' : 'schedulingPoint';
}

function callMachine(context: CpuContext, cpu: Vcpu, instruction: 'vmcall' | 'vmmcall'): void {
  const { pc } = cpu.block;
  advance(cpu);
  if (context.host.hypercall(cpu.index, instruction)) return;
  cpu.block.pc = pc;
  take(context, cpu, invalidOpcode());
}
