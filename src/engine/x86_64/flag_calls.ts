/** CLI, STI, CLAC, STAC and POPF (Intel SDM, volume 3, 6.8; AMD APM, volume 2, 8.1). */
import type { Accesses } from './accesses.js';
import { closeUserPages } from './accesses.js';
import { arithmeticFlags, rflags } from './block.js';
import { generalProtection, invalidOpcode, raise } from './events.js';
import { writableFlags } from './exceptions.js';
import { Stack } from './stack.js';
import type { CpuContext } from './system_calls.js';
import type { Vcpu } from './vcpu.js';

/** An interrupt that is open is taken before the instruction that disables interrupts, unless it is in a shadow. */
function takesInterruptFirst(cpu: Vcpu): boolean {
  if (cpu.openInterrupts(cpu.shadowAt(cpu.block.executedBefore)) === 0) return false;
  cpu.pending = { kind: 'again' };
  return true;
}

export function clearInterrupt(_: CpuContext, cpu: Vcpu): void {
  const level = (cpu.block.systemFlags >> rflags.privilegeAt) & 3;
  if (cpu.isProtected && cpu.privilege > level) raise(generalProtection());
  if (takesInterruptFirst(cpu)) return;
  cpu.block.systemFlags &= ~rflags.interrupt;
}

/** STI: an interrupt is taken after the next instruction at the earliest. */
export function setInterrupt({ interruptsEnabled }: CpuContext, cpu: Vcpu): void {
  const level = (cpu.block.systemFlags >> rflags.privilegeAt) & 3;
  if (cpu.isProtected && cpu.privilege > level) raise(generalProtection());
  if (cpu.block.interruptsEnabled) return;
  cpu.block.systemFlags |= rflags.interrupt;
  cpu.castShadow('interrupts');
  if (cpu.asserted !== 0) interruptsEnabled();
}

/** The rest of POPF, so that the next instruction is run anew. */
function finishPop(accesses: Accesses, cpu: Vcpu, bits: number, wanted: number): void {
  const { block } = cpu;
  block.rflags = (wanted & arithmeticFlags) | (block.rflags & ~arithmeticFlags);
  const stack = new Stack(accesses, cpu);
  stack.pointer += BigInt(bits / 8);
  stack.commit();
  cpu.pending = { kind: 'completed' };
}

/** CLAC and STAC: they clear and set RFLAGS.AC. */
export function setAccess({ tlbs }: CpuContext, cpu: Vcpu, isOpen: boolean): void {
  if (cpu.privilege !== 0) raise(invalidOpcode());
  const { block } = cpu;
  block.systemFlags = (block.systemFlags & ~rflags.alignmentCheck) | (isOpen ? rflags.alignmentCheck : 0);
  closeUserPages(tlbs, cpu);
}

export function writeFlags(
  { accesses, interruptsEnabled, tlbs }: CpuContext,
  cpu: Vcpu,
  bits: bigint,
  value: bigint,
): void {
  const { block } = cpu;
  const writable = writableFlags(cpu, Number(bits));
  const wanted = Number(value & 0xffffffffn);
  const isDisabled = (writable & rflags.interrupt) !== 0 && (wanted & rflags.interrupt) === 0;
  if (isDisabled && takesInterruptFirst(cpu)) return;
  const before = block.systemFlags;
  const wasStepping = cpu.isStepping;
  block.systemFlags = (before & ~writable) | (wanted & writable);
  closeUserPages(tlbs, cpu);
  if (cpu.isStepping && !wasStepping) finishPop(accesses, cpu, Number(bits), wanted);
  if ((before & rflags.interrupt) === 0 && block.interruptsEnabled && cpu.asserted !== 0) interruptsEnabled();
}
