/**
 * The two-level event ABI: a pending and a mask bit for each port in shared_info, and for each vCPU a selector
 * of the words in which to look. 4096 ports (Xen 4.17 common/event_2l.c).
 */
import { shared_info, vcpu_info } from '../../abi/index.js';
import { archOf } from '../arch.js';
import type { Domain, VcpuState } from '../domain.js';
import { sharedInfoView, vcpuInfoView } from '../vcpu_info.js';
import { checkPollers } from './pollers.js';
import { markEventsPending } from './upcall.js';

/** Bits in a word of the bitmaps, and so in the selector: `unsigned long`, 64 bits on both architectures. */
const portsPerWord = 64;

type Bitmap = 'evtchn_pending' | 'evtchn_mask';

function testBit(view: DataView, at: number, bit: number): boolean {
  return ((view.getUint8(at + (bit >>> 3)) >>> (bit & 7)) & 1) === 1;
}

function setBit(view: DataView, at: number, bit: number, value: boolean): void {
  const byte = at + (bit >>> 3);
  const flag = 1 << (bit & 7);
  view.setUint8(byte, value ? view.getUint8(byte) | flag : view.getUint8(byte) & ~flag);
}

function bitmapAt(domain: Domain, bitmap: Bitmap): number {
  const { evtchn_pending, evtchn_mask } = shared_info[archOf(domain)].offsets;
  return bitmap === 'evtchn_pending' ? evtchn_pending : evtchn_mask;
}

function test(domain: Domain, bitmap: Bitmap, port: number): boolean {
  return testBit(sharedInfoView(domain, false), bitmapAt(domain, bitmap), port);
}

/** Sets the port's bit to `value` and returns the old value. */
function exchange(domain: Domain, bitmap: Bitmap, port: number, value: boolean): boolean {
  const before = test(domain, bitmap, port);
  if (before !== value) {
    setBit(sharedInfoView(domain, true), bitmapAt(domain, bitmap), port, value);
  }
  return before;
}

/** Sets the vCPU's selector bit for the port's word; if it was clear, marks events as pending for the vCPU. */
function select(domain: Domain, vcpu: VcpuState, port: number): void {
  const view = vcpuInfoView(domain, vcpu, true);
  if (view === null) return;
  const at = vcpu_info[archOf(domain)].offsets.evtchn_pending_sel;
  const word = Math.floor(port / portsPerWord);
  if (testBit(view, at, word)) return;
  setBit(view, at, word, true);
  markEventsPending(domain, vcpu, port);
}

export function setPending(domain: Domain, vcpu: VcpuState, port: number): void {
  if (exchange(domain, 'evtchn_pending', port, true)) return;
  if (!isMasked(domain, port)) select(domain, vcpu, port);
  checkPollers(domain, port);
}

export function clearPending(domain: Domain, port: number): void {
  exchange(domain, 'evtchn_pending', port, false);
}

export function unmask(domain: Domain, vcpu: VcpuState, port: number): void {
  const wasMasked = exchange(domain, 'evtchn_mask', port, false);
  if (wasMasked && isPending(domain, port)) select(domain, vcpu, port);
}

export function isPending(domain: Domain, port: number): boolean {
  return test(domain, 'evtchn_pending', port);
}

export function isMasked(domain: Domain, port: number): boolean {
  return test(domain, 'evtchn_mask', port);
}
