/**
 * Single steps and breakpoints (Intel SDM, volume 3, 18.2 and 18.3; AMD APM, volume 2, 13.1). While RFLAGS.TF is set or DR7 enables a
 * breakpoint, the interpreter returns behind each instruction, and pages with breakpoints of data are in no TLB.
 */
import { exception, vectors } from './events.js';
import { cr4 } from './regime.js';
import type { Event, Shadow, Vcpu } from './vcpu.js';

/** DR6.BS. */
const stepped = 0x4000n;
/** What a breakpoint is of, in DR7. */
const kinds = { fetch: 0, write: 1, port: 2, access: 3 } as const;
/** How many bytes it is of. */
const lengths = [1, 2, 8, 4] as const;

interface Breakpoint {
  /** In DR6. */
  readonly bit: number;
  readonly kind: number;
  readonly address: bigint;
  readonly bytes: number;
}

/** The breakpoints that are enabled. */
function breakpoints({ system, breakpoints: enabled }: Vcpu): Breakpoint[] {
  const control = Number((system.debug[7] ?? 0n) & 0xffffffffn);
  return [0, 1, 2, 3]
    .filter((index) => ((enabled >> (2 * index)) & 3) !== 0)
    .map((index) => {
      const field = control >>> (16 + 4 * index);
      const bytes = lengths[(field >> 2) & 3] ?? 1;
      const address = (system.debug[index] ?? 0n) & -BigInt(bytes);
      return { bit: 1 << index, kind: field & 3, address, bytes };
    });
}

/** #DB, which saves RF as it is. */
function debugEvent(cpu: Vcpu, bits: bigint): Event {
  cpu.system.debug[6] = (cpu.system.debug[6] ?? 0n) | bits;
  return { ...exception(vectors.debug), origin: 'external' };
}

/**
 * Called before the instruction at a linear address, where the vCPU steps. An event to take instead of it; null if there is none. A load
 * of SS right before it delays the traps of its data, and suppresses the breakpoint of the instruction (SDM, volume 3, 17.3.1).
 */
export function beginStep(cpu: Vcpu, pc: bigint, isTraced: boolean, shadow: Shadow | null): Event | null {
  const { system } = cpu;
  cpu.traced = isTraced;
  cpu.steppedAt = pc;
  if (shadow !== 'stack') cpu.met = 0;
  cpu.loadsStack = false;
  cpu.resumed = system.resumes || shadow === 'stack';
  system.resumes = false;
  if (cpu.breakpoints === 0) return null;
  let bits = 0;
  for (const { bit, kind, address } of breakpoints(cpu)) {
    if (kind === kinds.fetch && address === pc && !cpu.resumed) bits |= bit;
    const isOfPort = kind === kinds.port && (system.cr4 & cr4.debuggingExtensions) !== 0;
    if (isOfPort) cpu.countUnimplemented('breakpoint of a port');
  }
  return bits === 0 ? null : debugEvent(cpu, BigInt(bits));
}

/** Called behind an instruction, where the vCPU stepped. An event to take; null if there is none. */
export function endStep(cpu: Vcpu): Event | null {
  const bits = BigInt(cpu.met) | (cpu.traced ? stepped : 0n);
  cpu.traced = false;
  if (cpu.loadsStack) return null;
  cpu.met = 0;
  return bits === 0n ? null : debugEvent(cpu, bits);
}

/** An access to data at a linear address. */
export interface DataAccess {
  readonly low: number;
  readonly high: number;
  readonly bytes: number;
  readonly access: 'read' | 'write';
}

const linear = ({ low, high }: Pick<DataAccess, 'low' | 'high'>): bigint =>
  (BigInt(high) << 32n) | BigInt(low);

/** Notes the breakpoints that an access meets. */
export function noteAccess(cpu: Vcpu, request: DataAccess): void {
  const first = linear(request);
  const end = first + BigInt(request.bytes);
  for (const { bit, kind, address, bytes } of breakpoints(cpu)) {
    const isOfData = kind === kinds.access || (kind === kinds.write && request.access === 'write');
    if (isOfData && address < end && first < address + BigInt(bytes)) cpu.met |= bit;
  }
}

/** Whether a breakpoint of data lies in the page of an address. */
export function isWatched(cpu: Vcpu, place: Pick<DataAccess, 'low' | 'high'>): boolean {
  const page = linear(place) >> 12n;
  return breakpoints(cpu).some(
    ({ kind, address, bytes }) =>
      kind !== kinds.fetch && address >> 12n <= page && (address + BigInt(bytes - 1)) >> 12n >= page,
  );
}
