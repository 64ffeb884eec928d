/** How the command of a guest ended, as its first process reports it when it powers the guest off (see guest_init). */
import { frameBytes } from '../base/index.js';
import { commandEndOf, stackSearchBytes } from '../guest_init/index.js';
import type { CommandEnd } from '../guest_init/index.js';
import type { XenVcpuId } from '../identity/index.js';
import type { Guest } from './guest.js';
import { readGuest } from './guest_memory.js';

/** The mapped part of the kernel stack of `vcpu`, from its stack pointer on. */
function kernelStack(guest: Guest, vcpu: XenVcpuId): Uint8Array {
  const from = guest.anchors(vcpu).stackPointer;
  const size = BigInt(stackSearchBytes);
  const end = (from / size + 1n) * size;
  const parts: Uint8Array[] = [];
  for (let at = from; at < end;) {
    const next = (at / BigInt(frameBytes) + 1n) * BigInt(frameBytes);
    const bytes = readGuest(guest.machine, vcpu, at, Number(next - at));
    if (bytes === null) break;
    parts.push(bytes);
    at = next;
  }
  const stack = new Uint8Array(parts.reduce((total, { length }) => total + length, 0));
  let done = 0;
  for (const part of parts) {
    stack.set(part, done);
    done += part.length;
  }
  return stack;
}

/**
 * How the command ended in a guest that has just powered off; null if something else powered it off. `callers`: the vCPUs that may
 * have made the call, the likeliest first.
 */
export function commandEnd(guest: Guest, callers: readonly XenVcpuId[]): CommandEnd | null {
  for (const vcpu of callers) {
    const end = commandEndOf(kernelStack(guest, vcpu), guest.init);
    if (end !== null) return end;
  }
  return null;
}
