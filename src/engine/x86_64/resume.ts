/** What the host does between two runs of the interpreter: it completes the last instruction, and prepares for the next. */
import * as x86_64 from '../../isa/x86_64/index.js';
import type { Completion } from '../architecture.js';
import { closeUserPages } from './accesses.js';
import { exception, invalidOpcode, vectors } from './events.js';
import { rflags } from './block.js';
import { beginStep, endStep } from './debugging.js';
import { deliver } from './exceptions.js';
import { decode } from './records.js';
import type { CpuContext } from './system_calls.js';
import { lines, trapping } from './vcpu.js';
import type { Event, Vcpu } from './vcpu.js';

const { segments } = x86_64;

/**
 * Takes an interrupt that is open, or selects the TLB sets of the current privilege level. True if the vCPU may run; false if it
 * took an interrupt.
 */
export function prepareEntry(context: CpuContext, cpu: Vcpu): boolean {
  const shadow = cpu.shadowAt(cpu.block.executed);
  const open = cpu.openInterrupts(shadow);
  const event = open === 0 ? null : openEvent(context, cpu, open);
  if (event !== null) {
    take(context, cpu, event);
    return false;
  }
  const step = cpu.isStepping ? beginStep(cpu, linearPc(cpu), isTraced(cpu), shadow) : null;
  if (step !== null) {
    // It counts as an instruction, so that a handler that meets a breakpoint at its own first one uses up its budget.
    cpu.block.budget -= 1;
    take(context, cpu, step);
    return false;
  }
  cpu.system.resumes = false;
  if (!cpu.isStepping) cpu.steppedAt = null;
  useTlbs(context, cpu);
  return true;
}

const isTraced = ({ block }: Vcpu): boolean => (block.systemFlags & rflags.trap) !== 0;

/** The linear address of the next instruction. */
function linearPc(cpu: Vcpu): bigint {
  const { pc } = cpu.block;
  return cpu.mode === 64 ? pc : BigInt.asUintN(32, pc + cpu.segment(segments.cs).base);
}

/** Between two iterations of a string instruction RF is set, so that a breakpoint hits before the first alone (SDM, volume 3, 17.3.1.1). */
function isBetweenIterations({ accesses, host }: CpuContext, cpu: Vcpu): boolean {
  if (linearPc(cpu) !== cpu.steppedAt) return false;
  const decoded = decode(accesses.codeAt(cpu), cpu.mode, host);
  return decoded.kind === 'instruction' && decoded.instruction.form.repeat !== 0;
}

/** Takes the traps of an instruction that is done. Returns whether there was one. */
export function finishStep(context: CpuContext, cpu: Vcpu): boolean {
  cpu.system.resumes ||= isBetweenIterations(context, cpu);
  const event = endStep(cpu);
  if (event !== null) take(context, cpu, event);
  return event !== null;
}

/** The event to take now. An NMI comes first. */
function openEvent({ host }: CpuContext, cpu: Vcpu, open: number): Event | null {
  if ((open & lines.nmi) !== 0) {
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
  cpu.traced = false;
  cpu.met = 0;
  if (event.vector === vectors.debug && event.origin !== 'software') unguard(cpu);
  if (event.origin === 'exception' && cpu.openException === null && !cpu.isUser) {
    const { vector, errorCode, address } = event;
    cpu.openException = { vector, errorCode, address, pc: own };
  }
  if (deliver(accesses, cpu, event, own)) return;
  cpu.isShutDown = true;
  host.shutdown(cpu.index);
}

/** #DB clears DR7.GD. */
function unguard({ system: { debug } }: Vcpu): void {
  debug[7] = (debug[7] ?? 0n) & ~0x2000n;
}

function useTlbs({ tlbs }: CpuContext, cpu: Vcpu): void {
  const { block, index, variant } = cpu;
  if (cpu.decodedAs !== variant) {
    if (cpu.decodedAs >= 0) tlbs.flushCode(index);
    cpu.decodedAs = variant;
  }
  closeUserPages(tlbs, cpu);
  const set = cpu.isUser ? tlbs.provide(index, cpu.addressSpace) : tlbs.privileged(index);
  block.tlb = set;
  block.unprivilegedTlb = set;
}

/** Advances pc to the next instruction. */
function advance(cpu: Vcpu): void {
  const next = cpu.block.pc + BigInt(cpu.length);
  cpu.block.pc = BigInt.asUintN(cpu.mode === 64 ? 64 : 32, next);
}

/** Completes the instruction that left the interpreter, and takes the traps behind it. */
export function finishInstruction(context: CpuContext, cpu: Vcpu): Completion {
  const { pending } = cpu;
  if (pending?.kind === 'again') cpu.system.resumes ||= cpu.resumed && cpu.isStepping;
  const completion = complete(context, cpu);
  // SYSRET that sets TF is followed by a trap, whatever was before.
  const wasStepping = cpu.traced || (cpu.decodedAs >= 0 && (cpu.decodedAs & trapping.steps) !== 0);
  if (!wasStepping || cpu.isShutDown || pending === null) return completion;
  const isDone = pending.kind !== 'again' && pending.kind !== 'event';
  return isDone && finishStep(context, cpu) ? taken(cpu) : completion;
}

/** How an instruction ends behind which an event was taken. */
function taken({ isShutDown }: Vcpu): Completion {
  return isShutDown ? 'stopped' : 'schedulingPoint';
}

function complete(context: CpuContext, cpu: Vcpu): Completion {
  const { pending } = cpu;
  cpu.pending = null;
  switch (pending?.kind) {
    case undefined:
    case 'again':
    case 'stepped':
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
  return taken(cpu);
}

function callMachine(context: CpuContext, cpu: Vcpu, instruction: 'vmcall' | 'vmmcall'): void {
  const { pc } = cpu.block;
  advance(cpu);
  if (context.host.hypercall(cpu.index, instruction)) return;
  cpu.block.pc = pc;
  take(context, cpu, invalidOpcode());
}
