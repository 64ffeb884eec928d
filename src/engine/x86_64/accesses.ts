/**
 * Slow path of memory accesses: translates an address, checks it, performs the access or raises the fault, and updates the TLB.
 * Memory that does not exist reads as all ones and ignores writes, as on a PC.
 */
import * as x86_64 from '../../isa/x86_64/index.js';
import { accessFlags, accessResults, cpuOffsets } from '../layout.js';
import type { EngineMemory } from '../memory.js';
import { PhysicalAccesses } from '../physical_accesses.js';
import type { TwoPages } from '../physical_accesses.js';
import { crossesPage } from '../straight_runs.js';
import type { StraightRuns } from '../straight_runs.js';
import type { Tlbs } from '../tlb.js';
import { isWatched, noteAccess } from './debugging.js';
import { exception, generalProtection, invalidOpcode, Raised, vectors } from './events.js';
import type { X86Host } from './host.js';
import { Mmu } from './mmu.js';
import type { AccessType, TableAccess, Translation } from './mmu.js';
import type { Vcpu } from './vcpu.js';

const { segments } = x86_64;

/** An access by an instruction, or by the CPU itself. */
interface Request {
  readonly low: number;
  readonly high: number;
  readonly bytes: number;
  readonly access: 'read' | 'write';
  readonly user: boolean;
  /** Whether the CPU itself accesses something, with the supervisor's rights, so that RFLAGS.AC does not matter. */
  readonly implicit: boolean;
}

/** What the host's memory reads as where there is none. */
const allOnes = -1n;

/**
 * Opcodes without ModRM that access the stack, by their map: PUSH, POP, PUSHF, POPF, RET, ENTER, LEAVE, far RET, IRET and CALL;
 * PUSH and POP of FS and GS.
 */
const impliedStack: readonly ReadonlySet<number>[] = [
  new Set([
    ...Array.from({ length: 16 }, (_, register) => 0x50 + register),
    ...[0x68, 0x6a, 0x9c, 0x9d, 0xc2, 0xc3, 0xc8, 0xc9, 0xca, 0xcb, 0xcf, 0xe8],
  ]),
  new Set([0xa0, 0xa1, 0xa8, 0xa9]),
];

/** Whether an opcode with ModRM also accesses the stack: POP, and the calls and PUSH of FF. */
function usesStack(map: number, opcode: number, digit: number): boolean {
  return map === 0 && (opcode === 0x8f || (opcode === 0xff && [2, 3, 6].includes(digit)));
}

/** The access of an instruction. */
function requestOf(cpu: Vcpu, low: number, high: number, access: Request['access'], flags: number): Request {
  return { low, high, bytes: flags & accessFlags.bytes, access, user: cpu.isUser, implicit: false };
}

/** Whether bits 63 to 47 of an address are equal. */
export function isCanonical(high: number): boolean {
  const top = (high | 0) >> 15;
  return top === 0 || top === -1;
}

/** Whether all bytes of an access are so: one that begins below the addresses that are not may reach into them. */
function isAllCanonical({ low, high, bytes }: Pick<Request, 'low' | 'high' | 'bytes'>): boolean {
  return isCanonical(high) && !(high === 0x7fff && (low >>> 0) + bytes > 2 ** 32);
}

export function isCanonicalAddress(address: bigint): boolean {
  return BigInt.asUintN(64, BigInt.asIntN(48, address)) === BigInt.asUintN(64, address);
}

/** How many pages a vCPU lists that leave its TLB when RFLAGS.AC is cleared. */
const mostOpenPages = 64;

function noteOpenPage(cpu: Vcpu, low: number, high: number): void {
  cpu.openPages?.push({ low: (low & ~0xfff) >>> 0, high: high >>> 0 });
  if (cpu.openPages !== null && cpu.openPages.length > mostOpenPages) cpu.openPages = null;
}

/** Where RFLAGS.AC is clear, drops the user pages that the supervisor could access by it. */
export function closeUserPages(tlbs: Tlbs, cpu: Vcpu): void {
  const { openPages } = cpu;
  if (openPages?.length === 0 || cpu.accessesUserPages) return;
  if (openPages === null) tlbs.flushPrivileged(cpu.index);
  else for (const { low, high } of openPages) tlbs.flushPrivilegedPage(cpu.index, low, high);
  cpu.openPages = [];
}

/** The same tables for a look from outside, which leaves no marks. */
function unmarked(tables: PhysicalAccesses): TableAccess {
  return {
    get low() {
      return tables.low;
    },
    get high() {
      return tables.high;
    },
    readEntry: (address, bytes) => tables.readEntry(address, bytes),
    setBits: () => undefined,
  };
}

export class Accesses {
  readonly mmu: Mmu;
  /** Walks the same tables without marking their entries, for a look from outside. */
  readonly #looking: Mmu;
  readonly #memory: EngineMemory;
  readonly #tlbs: Tlbs;
  readonly #code: StraightRuns;
  readonly #host: X86Host;
  readonly #physical: PhysicalAccesses;

  constructor(memory: EngineMemory, tlbs: Tlbs, code: StraightRuns, host: X86Host) {
    this.#memory = memory;
    this.#tlbs = tlbs;
    this.#code = code;
    this.#host = host;
    this.#physical = new PhysicalAccesses(memory, code, host.memory, allOnes);
    this.mmu = new Mmu(this.#physical);
    this.#looking = new Mmu(unmarked(this.#physical));
  }

  /** Invalidates all cached answers of `PhysicalMemory.frame`. */
  forgetFrames(): void {
    this.#physical.forgetFrames();
  }

  // Instructions

  /** The record of the instruction at an offset in the code segment; -1 when the fetch faults. */
  fetch(cpu: Vcpu, low: number, high: number): number {
    const linear = this.#codeAddress(cpu, low, high);
    if (linear === null) return accessResults.faulted;
    const translation = this.mmu.translate(cpu.regime, linear.low, linear.high, 'fetch', cpu.isUser);
    const { fault, page, log2Size, global } = translation;
    if (fault !== null) return this.#pageFault(cpu, linear.low, linear.high, fault);
    const frame = this.#host.memory.frame(page, false);
    if (frame < 0) return this.#noCode(cpu);
    const instruction = frame + (low & 0xfff);
    let record = this.#code.find(instruction, cpu.variant);
    if (record === crossesPage) {
      const second = this.#secondCodePage(cpu, low, high);
      if (second < 0) return accessResults.faulted;
      record = this.#code.findCrossing(instruction, second, cpu.variant);
    }
    const set = this.#set(cpu, cpu.isUser);
    this.#tlbs.putCode(set, low, high, this.#code.tableOf(record));
    this.#tlbs.note(cpu.index, set, low, high, log2Size, !global);
    return record;
  }

  /** The linear address of an offset in the code segment; null if that raised an exception. */
  #codeAddress(cpu: Vcpu, low: number, high: number): { low: number; high: number } | null {
    if (cpu.mode === 64) {
      if (isCanonical(high)) return { low, high };
      cpu.raise(generalProtection());
      return null;
    }
    const { base, limit } = cpu.segment(segments.cs);
    if (high !== 0 || low > limit) {
      cpu.raise(generalProtection());
      return null;
    }
    if ((base & 0xfffn) !== 0n) {
      // Decoded code lies by page, so that pages of the segment must be pages of memory.
      cpu.countUnimplemented('code segment whose base is no multiple of 4096');
      cpu.raise(invalidOpcode());
      return null;
    }
    return { low: (low + Number(base)) >>> 0, high: 0 };
  }

  #secondCodePage(cpu: Vcpu, low: number, high: number): number {
    const nextLow = ((low | 0xfff) + 1) >>> 0;
    const linear = this.#codeAddress(cpu, nextLow, nextLow === 0 ? (high + 1) >>> 0 : high);
    if (linear === null) return accessResults.faulted;
    const { fault, page } = this.mmu.translate(cpu.regime, linear.low, linear.high, 'fetch', cpu.isUser);
    if (fault !== null) return this.#pageFault(cpu, linear.low, linear.high, fault);
    const frame = this.#host.memory.frame(page, false);
    return frame < 0 ? this.#noCode(cpu) : frame;
  }

  /** Memory that does not exist has bytes of all ones, which are no instruction. */
  #noCode(cpu: Vcpu): number {
    cpu.raise(invalidOpcode());
    return accessResults.faulted;
  }

  /** The bytes of a record's instruction that lie in its page. They are those that were decoded, wherever pc leads by now. */
  bytesOf(record: number): Uint8Array {
    const at = this.#code.instructionOf(record);
    return this.#memory.bytes.slice(at, Math.min(at + x86_64.longest, (at | 0xfff) + 1));
  }

  /** Up to 15 bytes that the vCPU would fetch at pc. Nothing is remembered of it. */
  codeAt(cpu: Vcpu): Uint8Array {
    const found: number[] = [];
    const pc = cpu.block.pc;
    for (let at = 0; at < x86_64.longest; at += 1) {
      const byte = this.#codeByte(cpu, pc + BigInt(at));
      if (byte === null) break;
      found.push(byte);
    }
    return Uint8Array.from(found);
  }

  #codeByte(cpu: Vcpu, offset: bigint): number | null {
    const base = cpu.mode === 64 ? 0n : cpu.segment(segments.cs).base;
    const linear = BigInt.asUintN(cpu.mode === 64 ? 64 : 32, base + offset);
    const [low, high] = [Number(linear & 0xffffffffn), Number(linear >> 32n)];
    const { fault, page } = this.#looking.translate(cpu.regime, low, high, 'fetch', cpu.isUser);
    const frame = fault === null ? this.#host.memory.frame(page, false) : -1;
    return frame < 0 ? null : (this.#memory.bytes[frame + (low & 0xfff)] ?? 0);
  }

  /** The physical address of a page for an access of the supervisor; null where it would fault. The guest cannot tell. */
  peek(cpu: Vcpu, low: number, high: number, access: AccessType): number | null {
    if (!isCanonical(high)) return null;
    const { fault, page } = this.#looking.translate(cpu.regime, low, high, access, false);
    return fault === null ? page : null;
  }

  // Data

  /** The byte offset of the value to load, or one of accessResults. */
  load(cpu: Vcpu, low: number, high: number, flags: number): number {
    const access = (flags & accessFlags.modify) === 0 ? 'read' : 'write';
    return this.#load(cpu, requestOf(cpu, low, high, access, flags));
  }

  /** `access` of the request is `write` where a store follows: the load then faults as that would. */
  #load(cpu: Vcpu, request: Request): number {
    const { low, bytes, access } = request;
    const translation = this.#translate(cpu, request);
    if (translation === null) return accessResults.faulted;
    if (cpu.breakpoints !== 0) noteAccess(cpu, request);
    const offset = low & 0xfff;
    const { page } = translation;
    if (offset + bytes > 4096) return this.#loadAcross(cpu, request, page);
    const frame = this.#host.memory.frame(page, false);
    if (frame < 0) return this.#readDevice(cpu, page + offset, bytes);
    if (access === 'read' || this.#mayWrite(page, frame)) this.#remember(cpu, request, translation, frame);
    return frame + offset;
  }

  /** Whether stores to a page may go by the TLB: it is writable memory, and no decoded code is to be told of them. */
  #mayWrite(page: number, frame: number): boolean {
    return this.#host.memory.frame(page, true) === frame && this.#code.watched.letWrite(frame);
  }

  /** The byte offset to store to, or one of accessResults. The value is in the scratch area. */
  store(cpu: Vcpu, low: number, high: number, flags: number): number {
    return this.#store(cpu, requestOf(cpu, low, high, 'write', flags));
  }

  #store(cpu: Vcpu, request: Request): number {
    const { low, bytes } = request;
    const translation = this.#translate(cpu, request);
    if (translation === null) return accessResults.faulted;
    if (cpu.breakpoints !== 0) noteAccess(cpu, request);
    const offset = low & 0xfff;
    const { page } = translation;
    if (offset + bytes > 4096) return this.#storeAcross(cpu, request, page);
    const frame = this.#host.memory.frame(page, true);
    if (frame < 0) return this.#writeDevice(cpu, page + offset, bytes);
    this.#code.stored(frame + offset, bytes);
    if (this.#code.watched.letWrite(frame)) this.#remember(cpu, request, translation, frame);
    return frame + offset;
  }

  /**
   * Reads for an instruction, with the rights of user code or the supervisor, or (`user` is null) for the CPU itself. Throws `Raised`
   * if that faults.
   */
  read(cpu: Vcpu, address: bigint, bytes: 1 | 2 | 4 | 8, user: boolean | null = null): bigint {
    const request = this.#request(cpu, address, bytes, 'read', user);
    const known = this.#known(cpu, request);
    const at = known < 0 ? this.#load(cpu, request) : known;
    if (at < 0) this.#throwPending(cpu);
    const { view } = this.#memory;
    if (bytes === 8) return view.getBigUint64(at, true);
    if (bytes === 4) return BigInt(view.getUint32(at, true));
    return BigInt(bytes === 2 ? view.getUint16(at, true) : view.getUint8(at));
  }

  write(cpu: Vcpu, address: bigint, bytes: 1 | 2 | 4 | 8, value: bigint, user: boolean | null = null): void {
    const { view } = this.#memory;
    const request = this.#request(cpu, address, bytes, 'write', user);
    const known = this.#known(cpu, request);
    if (known < 0) view.setBigUint64(this.#scratch(cpu), BigInt.asUintN(64, value), true);
    const at = known < 0 ? this.#store(cpu, request) : known;
    if (at === accessResults.done) return;
    if (at < 0) this.#throwPending(cpu);
    if (bytes === 8) view.setBigUint64(at, BigInt.asUintN(64, value), true);
    else if (bytes === 4) view.setUint32(at, Number(BigInt.asUintN(32, value)), true);
    else if (bytes === 2) view.setUint16(at, Number(BigInt.asUintN(16, value)), true);
    else view.setUint8(at, Number(BigInt.asUintN(8, value)));
  }

  /**
   * The byte offset of what the supervisor accesses within a page that is in the TLB; -1 otherwise. The TLB has pages that
   * instructions may access, which with SMAP are more than those for an access that no instruction makes.
   */
  #known(cpu: Vcpu, { low, high, bytes, access, user }: Request): number {
    if (user || cpu.ownRegime.smap || (low & 0xfff) + bytes > 4096) return -1;
    return this.#tlbs.dataAt(this.#tlbs.privileged(cpu.index), access, low, high);
  }

  /** Throws `Raised` where a write with those rights would fault. */
  probe(cpu: Vcpu, address: bigint, bytes: number, user: boolean | null): void {
    if (this.#load(cpu, this.#request(cpu, address, bytes, 'write', user)) < 0) this.#throwPending(cpu);
  }

  #request(
    cpu: Vcpu,
    address: bigint,
    bytes: number,
    access: 'read' | 'write',
    user: boolean | null,
  ): Request {
    const linear = BigInt.asUintN(cpu.isLong ? 64 : 32, address);
    const [low, high] = [Number(linear & 0xffffffffn), Number(linear >> 32n)];
    return { low, high, bytes, access, user: user === true, implicit: user === null };
  }

  /** Makes the exception that an access left pending one that is thrown. */
  #throwPending(cpu: Vcpu): never {
    const { pending } = cpu;
    cpu.pending = null;
    throw new Raised(pending?.kind === 'event' ? pending.event : generalProtection());
  }

  /** Translates the address. Null when this raised an exception. */
  #translate(cpu: Vcpu, request: Request): Translation | null {
    const { low, high, access, user, implicit } = request;
    if (!isAllCanonical(request)) {
      cpu.raise(this.#isOnStack(cpu, access) ? exception(vectors.stackFault, 0) : generalProtection());
      return null;
    }
    const regime = implicit ? cpu.ownRegime : cpu.regime;
    const translation = this.mmu.translate(regime, low, high, access, user);
    if (translation.fault === null) return translation;
    this.#pageFault(cpu, low, high, translation.fault);
    return null;
  }

  /**
   * Whether an access of the instruction at pc, in 64-bit code, is one to the stack: an implied one, which no prefix moves to another
   * segment, or one whose address is based on RSP or RBP.
   */
  #isOnStack(cpu: Vcpu, access: Request['access']): boolean {
    const parsed = x86_64.parse(this.codeAt(cpu), cpu.mode);
    if (parsed.kind !== 'parsed') return false;
    const { segment, base, mod, modrm, map, opcode } = parsed.fields;
    const digit = (modrm >> 3) & 7;
    const hasMemory = modrm >= 0 && mod !== 3;
    const isImplied = modrm < 0 ? impliedStack[map]?.has(opcode) === true : usesStack(map, opcode, digit);
    // POP to memory writes its operand; calls and pushes from memory read theirs.
    const isOperand = hasMemory && (!isImplied || (access === 'write') === (opcode === 0x8f));
    return isOperand ? segment < 0 && (base === 4 || base === 5) : isImplied;
  }

  #pageFault(cpu: Vcpu, low: number, high: number, errorCode: number): number {
    cpu.raise(exception(vectors.pageFault, errorCode, (BigInt(high) << 32n) | BigInt(low)));
    return accessResults.faulted;
  }

  /** The TLB set for the rights of an access. For user code, this may create a set and make it the current one. */
  #set(cpu: Vcpu, user: boolean): number {
    if (!user) return this.#tlbs.privileged(cpu.index);
    return this.#tlbs.provide(cpu.index, cpu.addressSpace);
  }

  #remember(cpu: Vcpu, { low, high, access, user }: Request, translation: Translation, frame: number): void {
    const { log2Size, global } = translation;
    if (cpu.breakpoints !== 0 && isWatched(cpu, { low, high })) return;
    const set = this.#set(cpu, user);
    if (translation.user && !user && cpu.ownRegime.smap) noteOpenPage(cpu, low, high);
    this.#tlbs.putData(set, access, { low, high }, frame, false);
    this.#tlbs.note(cpu.index, set, low, high, log2Size, !global);
  }

  #scratch(cpu: Vcpu): number {
    return cpu.block.offset + cpuOffsets.scratch;
  }

  /** Where an access lies that starts in `page` and crosses into the next one. Both parts are checked before either is done. */
  #acrossPages(cpu: Vcpu, request: Request, page: number): TwoPages | null {
    const bytes = (request.low & 0xfff) + request.bytes - 4096;
    const low = ((request.low & ~0xfff) + 4096) >>> 0;
    const carries = low === 0 && cpu.isLong;
    const high = carries ? (request.high + 1) >>> 0 : request.high;
    const translation = this.#translate(cpu, { ...request, low, high, bytes: 1 });
    if (translation === null) return null;
    const { bytes: all } = request;
    return { first: page + (request.low & 0xfff), bytes: all, here: all - bytes, second: translation.page };
  }

  #loadAcross(cpu: Vcpu, request: Request, page: number): number {
    const place = this.#acrossPages(cpu, request, page);
    if (place === null) return accessResults.faulted;
    const scratch = this.#scratch(cpu);
    this.#physical.loadAcross(cpu.index, place, scratch);
    return scratch;
  }

  #storeAcross(cpu: Vcpu, request: Request, page: number): number {
    const place = this.#acrossPages(cpu, request, page);
    if (place === null) return accessResults.faulted;
    this.#physical.storeAcross(cpu.index, place, this.#scratch(cpu));
    return accessResults.done;
  }

  #readDevice(cpu: Vcpu, address: number, bytes: number): number {
    const scratch = this.#scratch(cpu);
    this.#physical.readDevice(cpu.index, { address, bytes }, scratch);
    return scratch;
  }

  #writeDevice(cpu: Vcpu, address: number, bytes: number): number {
    this.#physical.writeDevice(cpu.index, { address, bytes }, this.#scratch(cpu));
    return accessResults.done;
  }
}
