/**
 * Guest memory as the kernel reads and writes it: by guest frame, through whatever Xen shows there. Where the
 * guest sees nothing (a hole), reads give zeroes and writes are lost, as on a bus that nobody answers.
 */
import { viewOf } from '../../abi/index.js';
import type { Struct } from '../../abi/index.js';
import { frameBytes, present } from '../../base/index.js';
import { mfnOfGfn } from '../../hypervisor/index.js';
import type { CallerPort, Domain } from '../../hypervisor/index.js';
import type { KernelState, Place } from './world.js';

/** Model kernels run with virtual addresses equal to guest physical ones. */
export const flatPort: CallerPort = { translate: (_vcpu, address) => address };

export function addressOf({ gfn, offset }: Place): bigint {
  return BigInt(gfn) * BigInt(frameBytes) + BigInt(offset);
}

/** The bytes from `place` to the end of its frame. */
export function readPlace(domain: Domain, { gfn, offset }: Place): DataView {
  const mfn = mfnOfGfn(domain, gfn);
  const frame = mfn === null ? undefined : domain.memory.readable(mfn);
  return viewOf(frame ?? new Uint8Array(frameBytes), offset);
}

/** The same bytes, for writing. In a hole, what is written is lost. */
export function writePlace(domain: Domain, { gfn, offset }: Place): DataView {
  const mfn = mfnOfGfn(domain, gfn);
  const frame = mfn === null ? undefined : domain.memory.writable(mfn);
  return viewOf(frame ?? new Uint8Array(frameBytes), offset);
}

/** Stores `value` at guest frame `gfn`; it may take more than one frame. */
export function storeStruct<A>(domain: Domain, gfn: number, type: Struct<unknown, A>, value: A): void {
  const bytes = type.encode(value);
  for (let at = 0; at < bytes.length; at += frameBytes) {
    const part = bytes.subarray(at, at + frameBytes);
    const view = writePlace(domain, { gfn: gfn + at / frameBytes, offset: 0 });
    new Uint8Array(view.buffer, view.byteOffset, part.length).set(part);
  }
}

/** The struct at the start of guest frame `gfn`; it may take more than one frame. */
export function loadStruct<A>(domain: Domain, gfn: number, type: Struct<unknown, A>): A {
  const bytes = new Uint8Array(type.size);
  for (let at = 0; at < bytes.length; at += frameBytes) {
    const view = readPlace(domain, { gfn: gfn + at / frameBytes, offset: 0 });
    const count = Math.min(frameBytes, bytes.length - at);
    bytes.set(new Uint8Array(view.buffer, view.byteOffset, count), at);
  }
  return type.decode(bytes);
}

/** The first of `count` frames that the kernel has not used yet. */
export function allocateFrames({ ram, name }: KernelState, count: number): number {
  const gfn = ram.next;
  ram.next += count;
  present(ram.next <= ram.end ? true : null, `memory of the ${name}`);
  return gfn;
}
