/**
 * Slow path of memory accesses: translates an address, checks it, performs the access or raises the fault, and updates
 * the TLB.
 */
import { accessFlags, accessResults, cpuOffsets } from '../layout.js';
import type { EngineMemory } from '../memory.js';
import { PhysicalAccesses } from '../physical_accesses.js';
import type { TwoPages } from '../physical_accesses.js';
import type { Arm64Host } from './host.js';
import type { Tlbs } from '../tlb.js';
import type { RecordPages } from './code_cache.js';
import { abortBits, exceptionClass, syndrome } from './exceptions.js';
import { faultStatus, isDevice, Mmu } from './mmu.js';
import type { AccessType, Translation } from './mmu.js';
import type { Vcpu } from './vcpu.js';

/** ESR_EL1.ISS of a synchronous external abort. */
export function externalAbort(access: AccessType): number {
  return faultStatus.external | (access === 'write' ? abortBits.write : 0);
}

/** An access requested by the interpreter. */
interface Request {
  readonly low: number;
  readonly high: number;
  readonly bytes: number;
  readonly access: 'read' | 'write';
  readonly el0: boolean;
}

function requestOf(cpu: Vcpu, low: number, high: number, access: Request['access'], flags: number): Request {
  const el0 = cpu.isEl0 || (flags & accessFlags.unprivileged) !== 0;
  return { low, high, bytes: flags & accessFlags.bytes, access, el0 };
}

export class Accesses {
  readonly mmu: Mmu;
  readonly #memory: EngineMemory;
  readonly #tlbs: Tlbs;
  readonly #pages: RecordPages;
  readonly #host: Arm64Host;
  readonly #physical: PhysicalAccesses;

  constructor(memory: EngineMemory, tlbs: Tlbs, pages: RecordPages, host: Arm64Host) {
    this.#memory = memory;
    this.#tlbs = tlbs;
    this.#pages = pages;
    this.#host = host;
    this.#physical = new PhysicalAccesses(memory, pages, host.memory, null);
    this.mmu = new Mmu(this.#physical);
  }

  /** Invalidates all cached answers of `PhysicalMemory.frame`. */
  forgetFrames(): void {
    this.#physical.forgetFrames();
  }

  /** The byte offset of the records of the page to fetch from; -1 when the fetch faults. */
  fetch(cpu: Vcpu, low: number, high: number): number {
    if (this.#dropsTag(cpu, low, high)) return accessResults.faulted;
    if ((low & 3) !== 0) {
      cpu.raise(syndrome(exceptionClass.pcAlignment, 0, { low, high }));
      return accessResults.faulted;
    }
    const { fault, page, log2Size, nonGlobal } = this.mmu.translate(
      cpu.regime,
      low,
      high,
      'fetch',
      cpu.isEl0,
    );
    if (fault !== null) return this.#instructionAbort(cpu, low, high, fault);
    const frame = this.#host.memory.frame(page, false);
    if (frame < 0) return this.#instructionAbort(cpu, low, high, this.#unansweredIss('fetch'));
    const records = this.#pages.records(frame, cpu.variant);
    const set = this.#set(cpu, cpu.isEl0);
    this.#tlbs.putCode(set, low, high, records);
    this.#tlbs.note(cpu.index, set, low, high, log2Size, nonGlobal);
    return records;
  }

  /** Removes a tag from pc, where no branch leaves one (DDI 0487, AArch64.BranchAddr). True if there was one. */
  #dropsTag(cpu: Vcpu, low: number, high: number): boolean {
    const upper = (high >>> 23) & 1;
    if (!cpu.regime.ranges[upper === 1 ? 1 : 0].ignoresTag) return false;
    const canonical = ((high & 0xffffff) | (upper === 1 ? 0xff000000 : 0)) >>> 0;
    if (canonical === high) return false;
    cpu.block.setPcHalves(low, canonical);
    cpu.pending = { kind: 'again' };
    return true;
  }

  /** Whether an instruction can be fetched from pc. If not, raises the exception. */
  canFetch(cpu: Vcpu): boolean {
    return this.fetch(cpu, cpu.block.pcLow, cpu.block.pcHigh) >= 0;
  }

  /** The word that the vCPU would fetch from an address; null where it could not. Nothing is remembered of it. */
  wordAt(cpu: Vcpu, low: number, high: number): number | null {
    const { fault, page } = this.mmu.translate(cpu.regime, low, high, 'fetch', cpu.isEl0);
    const frame = fault === null ? this.#host.memory.frame(page, false) : -1;
    return frame < 0 || (low & 3) !== 0 ? null : this.#memory.word(frame + (low & 0xfff));
  }

  /** The byte offset of the value to load, or one of accessResults. */
  load(cpu: Vcpu, low: number, high: number, flags: number): number {
    const request = requestOf(cpu, low, high, 'read', flags);
    const translation = this.#translate(cpu, request);
    if (translation === null) return accessResults.faulted;
    const offset = low & 0xfff;
    const { page } = translation;
    if (offset + request.bytes > 4096) return this.#loadAcross(cpu, request, page);
    const frame = this.#host.memory.frame(page, false);
    if (frame < 0) return this.#readDevice(cpu, request, page + offset);
    this.#remember(cpu, request, translation, frame);
    return frame + offset;
  }

  /** The byte offset to store to, or one of accessResults. The value is in the scratch area. */
  store(cpu: Vcpu, low: number, high: number, flags: number): number {
    const request = requestOf(cpu, low, high, 'write', flags);
    const clears = (flags & accessFlags.clearBlock) !== 0;
    const translation = this.#translate(cpu, request, clears);
    if (translation === null) return accessResults.faulted;
    if (clears) return this.#clearBlock(cpu, request, translation);
    const offset = low & 0xfff;
    const { page } = translation;
    if (offset + request.bytes > 4096) return this.#storeAcross(cpu, request, page);
    const frame = this.#host.memory.frame(page, true);
    if (frame < 0) return this.#writeDevice(cpu, request, page + offset);
    this.#rememberWrite(cpu, request, translation, frame, offset, request.bytes);
    return frame + offset;
  }

  /** Checks whether a byte could be read, without reading it. Null if so, else the fault status code. */
  tryRead(cpu: Vcpu, low: number, high: number): number | null {
    const request: Request = { low, high, bytes: 1, access: 'read', el0: cpu.isEl0 };
    const translation = this.mmu.translate(cpu.regime, low, high, 'read', request.el0);
    if (translation.fault !== null) return translation.fault;
    const frame = this.#host.memory.frame(translation.page, false);
    if (frame >= 0) this.#remember(cpu, request, translation, frame);
    return null;
  }

  /** Translates the address and checks alignment. Null when this raised an exception. */
  #translate(cpu: Vcpu, request: Request, clears = false): Translation | null {
    const { low, high, bytes, access, el0 } = request;
    const misaligned = (low & (bytes - 1)) !== 0;
    if (misaligned && cpu.checksAlignment) return this.#misaligned(cpu, request);
    const translation = this.mmu.translate(cpu.regime, low, high, access, el0);
    if (translation.fault !== null) return this.#dataAbort(cpu, request, translation.fault);
    if ((misaligned || clears) && isDevice(translation.attributes)) return this.#misaligned(cpu, request);
    return translation;
  }

  #misaligned(cpu: Vcpu, request: Request): null {
    return this.#dataAbort(cpu, request, faultStatus.alignment);
  }

  #dataAbort(cpu: Vcpu, { low, high, access }: Request, status: number): null {
    const iss = status | (access === 'write' ? abortBits.write : 0);
    const ec = exceptionClass.dataAbort + (cpu.isEl0 ? 0 : 1);
    cpu.raise(syndrome(ec, iss, { low, high }));
    return null;
  }

  #instructionAbort(cpu: Vcpu, low: number, high: number, iss: number): number {
    const ec = exceptionClass.instructionAbort + (cpu.isEl0 ? 0 : 1);
    cpu.raise(syndrome(ec, iss, { low, high }));
    return accessResults.faulted;
  }

  #unanswered(cpu: Vcpu, { low, high, access }: Request): number {
    const ec = exceptionClass.dataAbort + (cpu.isEl0 ? 0 : 1);
    cpu.raise(syndrome(ec, this.#unansweredIss(access), { low, high }));
    return accessResults.faulted;
  }

  #unansweredIss(access: AccessType): number {
    return this.#host.unansweredIss?.(access) ?? externalAbort(access);
  }

  /** The TLB set for the rights of an access. For EL0, this may create a set and make it the current one. */
  #set(cpu: Vcpu, el0: boolean): number {
    if (!el0) return this.#tlbs.privileged(cpu.index);
    const place = this.#tlbs.provide(cpu.index, cpu.addressSpace);
    cpu.block.unprivilegedTlb = place;
    return place;
  }

  #remember(cpu: Vcpu, request: Request, translation: Translation, frame: number): void {
    const { low, high, access, el0 } = request;
    const { attributes, log2Size, nonGlobal } = translation;
    const set = this.#set(cpu, el0);
    const alignedOnly = isDevice(attributes) || cpu.checksAlignment;
    this.#tlbs.putData(set, access, { low, high }, frame, alignedOnly);
    this.#tlbs.note(cpu.index, set, low, high, log2Size, nonGlobal);
  }

  /** Adds a page to the TLB for a store that is about to be done, and drops the decoded code that the store changes. */
  #rememberWrite(
    cpu: Vcpu,
    request: Request,
    translation: Translation,
    frame: number,
    offset: number,
    bytes: number,
  ): void {
    this.#pages.stored(frame + offset, bytes);
    if (this.#pages.watched.letWrite(frame)) this.#remember(cpu, request, translation, frame);
  }

  #scratch(cpu: Vcpu): number {
    return cpu.block.offset + cpuOffsets.scratch;
  }

  /** Where an access lies that starts in `page` and crosses into the next one. Both parts are checked before either is done. */
  #acrossPages(cpu: Vcpu, request: Request, page: number): TwoPages | null {
    const bytes = (request.low & 0xfff) + request.bytes - 4096;
    const low = ((request.low & ~0xfff) + 4096) >>> 0;
    const high = low === 0 ? (request.high + 1) >>> 0 : request.high;
    const translation = this.#translate(cpu, { ...request, low, high, bytes: 1 });
    if (translation === null) return null;
    if (isDevice(translation.attributes)) {
      this.#misaligned(cpu, request);
      return null;
    }
    const { bytes: all } = request;
    return { first: page + (request.low & 0xfff), bytes: all, here: all - bytes, second: translation.page };
  }

  #loadAcross(cpu: Vcpu, request: Request, page: number): number {
    const place = this.#acrossPages(cpu, request, page);
    if (place === null) return accessResults.faulted;
    const scratch = this.#scratch(cpu);
    return this.#physical.loadAcross(cpu.index, place, scratch) ? scratch : this.#unanswered(cpu, request);
  }

  #storeAcross(cpu: Vcpu, request: Request, page: number): number {
    const place = this.#acrossPages(cpu, request, page);
    if (place === null) return accessResults.faulted;
    const isDone = this.#physical.storeAcross(cpu.index, place, this.#scratch(cpu));
    return isDone ? accessResults.done : this.#unanswered(cpu, request);
  }

  #readDevice(cpu: Vcpu, request: Request, address: number): number {
    const scratch = this.#scratch(cpu);
    const isDone = this.#physical.readDevice(cpu.index, { address, bytes: request.bytes }, scratch);
    return isDone ? scratch : this.#unanswered(cpu, request);
  }

  #writeDevice(cpu: Vcpu, request: Request, address: number): number {
    const place = { address, bytes: request.bytes };
    const isDone = this.#physical.writeDevice(cpu.index, place, this.#scratch(cpu));
    return isDone ? accessResults.done : this.#unanswered(cpu, request);
  }

  /** DC ZVA: the byte offset of the aligned block. */
  #clearBlock(cpu: Vcpu, request: Request, translation: Translation): number {
    const offset = request.low & 0xfc0;
    const { page } = translation;
    const frame = this.#host.memory.frame(page, true);
    if (frame >= 0) {
      this.#rememberWrite(cpu, request, translation, frame, offset, 64);
      return frame + offset;
    }
    for (let at = 0; at < 64; at += 8) {
      if (!this.#host.memory.write(cpu.index, page + offset + at, 8, 0n))
        return this.#unanswered(cpu, request);
    }
    return accessResults.done;
  }
}
