/** Guest frames and machine frames (Xen's p2m), and reading and writing guest memory through them. */
import { frameBytes, present } from '../base/index.js';
import type { CallerPort, Domain } from './domain.js';
import type { XenVcpuId } from '../identity/index.js';

/** The machine frame at guest frame `gfn`; null if there is none. */
export function mfnOfGfn({ state }: Domain, gfn: number): number | null {
  const entry = state.physmap[gfn];
  if (entry !== undefined) return entry;
  const inRam = state.config.ram.some(({ start, count }) => gfn >= start && gfn < start + count);
  return inRam ? gfn : null;
}

/** Maps machine frame `mfn` at guest frame `gfn`, replacing an earlier mapping. */
export function mapGfn(domain: Domain, gfn: number, mfn: number | null): void {
  if (mfnOfGfn(domain, gfn) !== mfn) domain.mapHasChanged = true;
  const { physmap, shownAt } = domain.state;
  const before = physmap[gfn] ?? null;
  if (before !== null && shownAt[before] === gfn) Reflect.deleteProperty(shownAt, String(before));
  physmap[gfn] = mfn;
  if (mfn !== null) shownAt[mfn] = gfn;
}

/** Whether the map has changed since this was last asked. */
export function takeMapChange(domain: Domain): boolean {
  const { mapHasChanged = false } = domain;
  if (mapHasChanged) domain.mapHasChanged = false;
  return mapHasChanged;
}

/** The guest frame at which machine frame `mfn` is mapped; null if it is not mapped. */
export function gfnOfMfn({ state }: Domain, mfn: number): number | null {
  return state.shownAt[mfn] ?? null;
}

/** A zeroed frame of Xen's own, or null if the domain's share is exhausted. */
export function allocateXenFrame(domain: Domain): number | null {
  const { state } = domain;
  const { start, count } = state.config.xenFrames;
  const freed = state.freeXenFrames.shift();
  if (freed === undefined && state.nextXenFrame >= count) return null;
  const mfn = freed ?? start + state.nextXenFrame;
  if (freed === undefined) state.nextXenFrame += 1;
  clearFrame(domain, mfn);
  return mfn;
}

/** Frees a frame of Xen's own, which must no longer be mapped in the guest. */
export function freeXenFrame({ state }: Domain, mfn: number): void {
  state.freeXenFrames.push(mfn);
}

/** Zeroes machine frame `mfn`, which must exist. */
export function clearFrame({ memory }: Domain, mfn: number): void {
  present(memory.writable(mfn), `machine frame ${mfn}`).fill(0);
}

/** The bytes of the frame at `gfn`, for reading; null if there is none. */
export function readableGfn(domain: Domain, gfn: number): Uint8Array | null {
  const mfn = mfnOfGfn(domain, gfn);
  return mfn === null ? null : (domain.memory.readable(mfn) ?? null);
}

/** The bytes of the frame at `gfn`, for writing `count` of them from byte `from` on now; null if there is none. */
export function writableGfn(domain: Domain, gfn: number, from = 0, count = frameBytes): Uint8Array | null {
  const mfn = mfnOfGfn(domain, gfn);
  return mfn === null ? null : (domain.memory.writable(mfn, from, count) ?? null);
}

interface Piece {
  readonly frame: Uint8Array;
  readonly from: number;
  readonly count: number;
}

/** The parts, frame by frame, of `size` bytes at guest virtual `address`; null if an access would fault. */
function pieces(
  domain: Domain,
  cpu: CallerPort,
  vcpu: XenVcpuId,
  address: bigint,
  size: number,
  write: boolean,
): Piece[] | null {
  const found: Piece[] = [];
  for (let done = 0; done < size;) {
    const physical = cpu.translate(vcpu, BigInt.asUintN(64, address + BigInt(done)), write);
    if (physical === null) return null;
    const gfn = Number(physical >> 12n);
    const from = Number(physical & 0xfffn);
    const count = Math.min(frameBytes - from, size - done);
    const frame = write ? writableGfn(domain, gfn, from, count) : readableGfn(domain, gfn);
    if (frame === null) return null;
    found.push({ frame, from, count });
    done += count;
  }
  return found;
}

/** `size` bytes at guest virtual `address` as `vcpu` sees it; null if an access would fault. */
export function copyFromGuest(
  domain: Domain,
  cpu: CallerPort,
  vcpu: XenVcpuId,
  address: bigint,
  size: number,
): Uint8Array | null {
  const parts = pieces(domain, cpu, vcpu, address, size, false);
  if (parts === null) return null;
  const bytes = new Uint8Array(size);
  let at = 0;
  for (const { frame, from, count } of parts) {
    bytes.set(frame.subarray(from, from + count), at);
    at += count;
  }
  return bytes;
}

/** Writes `bytes` at guest virtual `address` as `vcpu` sees it. If an access would fault, writes nothing and returns false. */
export function copyToGuest(
  domain: Domain,
  cpu: CallerPort,
  vcpu: XenVcpuId,
  address: bigint,
  bytes: Uint8Array,
): boolean {
  const parts = pieces(domain, cpu, vcpu, address, bytes.length, true);
  if (parts === null) return false;
  let at = 0;
  for (const { frame, from, count } of parts) {
    frame.set(bytes.subarray(at, at + count), from);
    at += count;
  }
  return true;
}

/**
 * Whether a guest frame number can be mapped at all: guest physical addresses have 48 bits on x86 and 40 on Arm, which
 * are Xen's limits with four levels of x86 tables and on the common Arm hosts. PV has no such map.
 */
export function isAddressableGfn({ state }: Domain, gfn: bigint): boolean {
  return gfn < 1n << (state.config.kind === 'arm' ? 28n : 36n);
}
