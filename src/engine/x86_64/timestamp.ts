/**
 * RDTSC without a call of the host: the vCPU's state says how the counter goes on within the time slice (isa, x86State). Where user code
 * may not read the counter (CR4.TSD), each RDTSC asks the host.
 */
import { x86State } from '../../isa/x86_64/index.js';
import type { X86Host } from './host.js';
import { cr4 } from './regime.js';
import type { Vcpu } from './vcpu.js';

/** From now on, RDTSC asks the host. */
export function askForTimestamps({ block }: Vcpu): void {
  block.setState(x86State.timestampRate, 0n);
}

/** Called when a time slice begins. */
export function beginTimestamp(host: X86Host, cpu: Vcpu): void {
  const mayRead = (cpu.system.cr4 & cr4.timestampDisable) === 0;
  const line = mayRead ? host.timestampLine(cpu.index) : null;
  if (line === null) {
    askForTimestamps(cpu);
    return;
  }
  cpu.block.setState(x86State.timestampTicks, line.ticks);
  cpu.block.setState(x86State.timestampPart, line.part);
  cpu.block.setState(x86State.timestampRate, line.rate);
}
