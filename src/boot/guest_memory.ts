/** Reads and writes the memory of a running guest by kernel virtual address, as a debugger does. */
import { frameBytes } from '../base/index.js';
import { mfnOfGfn } from '../hypervisor/index.js';
import type { XenVcpuId } from '../identity/index.js';
import type { GuestMachine } from './guest.js';

type Visit = (frame: Uint8Array, from: number, count: number, done: number) => unknown;

/** The guest physical address behind `address` as `vcpu` sees it; null where nothing is mapped. */
export function physicalOf(machine: GuestMachine, vcpu: XenVcpuId, address: bigint): bigint | null {
  return machine.processor.vcpus[vcpu]?.translate(BigInt.asUintN(64, address)) ?? null;
}

type FrameOf = (mfn: number) => Uint8Array | undefined;

/** Visits the part of each frame in `size` bytes at `address`, as `vcpu` sees it; false if a part is not mapped. */
function visit(
  machine: GuestMachine,
  vcpu: XenVcpuId,
  address: bigint,
  size: number,
  frameOf: FrameOf,
  each: Visit,
): boolean {
  for (let done = 0; done < size;) {
    const physical = physicalOf(machine, vcpu, address + BigInt(done));
    const mfn = physical === null ? null : mfnOfGfn(machine.domain, Number(physical >> 12n));
    const frame = mfn === null ? undefined : frameOf(mfn);
    if (physical === null || frame === undefined) return false;
    const from = Number(physical & 0xfffn);
    const count = Math.min(frameBytes - from, size - done);
    each(frame, from, count, done);
    done += count;
  }
  return true;
}

/** `size` bytes at `address` as the kernel on `vcpu` sees them; null if any of them is not mapped. */
export function readGuest(
  machine: GuestMachine,
  vcpu: XenVcpuId,
  address: bigint,
  size: number,
): Uint8Array | null {
  const bytes = new Uint8Array(size);
  const frameOf: FrameOf = (mfn) => machine.frames.readable(mfn);
  const there = visit(machine, vcpu, address, size, frameOf, (frame, from, count, done) =>
    bytes.set(frame.subarray(from, from + count), done),
  );
  return there ? bytes : null;
}

/** Writes `bytes` at `address` as the kernel on `vcpu` sees it; false where any of it is not mapped. */
export function writeGuest(
  machine: GuestMachine,
  vcpu: XenVcpuId,
  address: bigint,
  bytes: Uint8Array,
): boolean {
  const frameOf: FrameOf = (mfn) => machine.frames.writable(mfn);
  return visit(machine, vcpu, address, bytes.length, frameOf, (frame, from, count, done) =>
    frame.set(bytes.subarray(done, done + count), from),
  );
}

/**
 * Views of the memory behind `size` bytes at `address`, as the kernel on `vcpu` sees it, one for each frame. They show what
 * the guest writes as long as the kernel maps the address to these frames. Null if any of it is not mapped.
 */
export function guestViews(
  machine: GuestMachine,
  vcpu: XenVcpuId,
  address: bigint,
  size: number,
): Uint8Array[] | null {
  const views: Uint8Array[] = [];
  const frameOf: FrameOf = (mfn) => machine.frames.readable(mfn);
  const there = visit(machine, vcpu, address, size, frameOf, (frame, from, count) =>
    views.push(frame.subarray(from, from + count)),
  );
  return there ? views : null;
}
