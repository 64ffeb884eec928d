import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as abi from '../../abi/index.js';
import { xenVcpuId } from '../../identity/index.js';
import type { Domain, GuestKind, VcpuState } from '../domain.js';
import { psciCall } from '../psci.js';
import { makeTestDomain } from '../test_domain.js';
import * as guest from '../test_events.js';
import { vcpuInfoView } from '../vcpu_info.js';
import {
  acknowledgeUpcall,
  localApicEnabled,
  lostUpcall,
  markEventsPending,
  pendingUpcall,
  setCallbackVia,
  setUpcallVector,
} from './index.js';

const id = xenVcpuId;
const vcpuOf = (domain: Domain, vcpu: number): VcpuState => domain.state.vcpus[vcpu]!;
const info = (domain: Domain, vcpu: number): DataView => vcpuInfoView(domain, vcpuOf(domain, vcpu), true)!;
const vectorVia = (vector: number): bigint => (2n << 56n) | BigInt(vector);

/** A domain all of whose vCPUs run. */
function running(kind: GuestKind, vcpus = 4): Domain {
  const domain = makeTestDomain(kind, vcpus);
  for (const vcpu of domain.state.vcpus) Object.assign(vcpu, { up: true, initialised: true });
  return domain;
}

function block(domain: Domain, vcpu: number): void {
  vcpuOf(domain, vcpu).blocked = { why: 'block' };
}

test('two-level: pending, then the selector, then evtchn_upcall_pending, each only if the one before was new (evtchn_2l_set_pending)', () => {
  const domain = running('pvhvm');
  const port = guest.bindIpi(domain, 1);
  guest.send(domain, port);
  const selector = abi.vcpu_info.x86_64.offsets.evtchn_pending_sel;
  assert.equal(info(domain, 1).getUint8(0), 1);
  assert.equal(info(domain, 1).getBigUint64(selector, true), 1n);
  info(domain, 1).setUint8(0, 0);
  guest.send(domain, port);
  assert.equal(info(domain, 1).getUint8(0), 0, 'it was pending already');
  guest.putBit(domain, 'evtchn_pending', port, false);
  guest.send(domain, port);
  assert.equal(info(domain, 1).getUint8(0), 0, 'its word was selected already');
});

test('two-level: a masked port only becomes pending; unmasking tells (evtchn_2l_unmask)', () => {
  const domain = running('arm', 1);
  const port = guest.bindIpi(domain, 0);
  guest.putBit(domain, 'evtchn_mask', port, true);
  guest.send(domain, port);
  assert.ok(guest.getBit(domain, 'evtchn_pending', port));
  assert.equal(pendingUpcall(domain, id(0)), null);
  assert.equal(guest.unmask(domain, port), 0);
  assert.ok(!guest.getBit(domain, 'evtchn_mask', port));
  assert.deepEqual(pendingUpcall(domain, id(0)), { kind: 'ppi', intid: 31 });
});

test('two-level: unmasking a port that was not masked tells nobody, though it is pending', () => {
  const domain = running('arm', 1);
  const port = guest.bindIpi(domain, 0);
  guest.putBit(domain, 'evtchn_pending', port, true);
  guest.unmask(domain, port);
  assert.equal(pendingUpcall(domain, id(0)), null);
});

test('Arm: once each time that evtchn_upcall_pending is set anew (arch/arm/domain.c, vcpu_mark_events_pending)', () => {
  const domain = running('arm', 1);
  block(domain, 0);
  const [first, second] = [guest.bindIpi(domain, 0), guest.bindIpi(domain, 0)];
  guest.send(domain, first);
  assert.equal(vcpuOf(domain, 0).blocked, null);
  assert.deepEqual(pendingUpcall(domain, id(0)), { kind: 'ppi', intid: 31 });
  acknowledgeUpcall(domain, id(0));
  guest.send(domain, second);
  assert.equal(pendingUpcall(domain, id(0)), null, 'the flag is still set from before');
  info(domain, 0).setUint8(0, 0);
  info(domain, 0).setBigUint64(8, 0n, true);
  guest.putBit(domain, 'evtchn_pending', first, false);
  guest.send(domain, first);
  assert.deepEqual(pendingUpcall(domain, id(0)), { kind: 'ppi', intid: 31 });
});

test('Arm: a vCPU that is down is not woken (arch/arm/vgic.c, vgic_inject_irq)', () => {
  const domain = makeTestDomain('arm', 1);
  vcpuOf(domain, 0).up = false;
  block(domain, 0);
  markEventsPending(domain, vcpuOf(domain, 0));
  assert.deepEqual(vcpuOf(domain, 0).blocked, { why: 'block' });
});

test('Arm: CPU_ON drops an interrupt that was not taken, and the flag keeps the vCPU deaf (vgic_clear_pending_irqs)', () => {
  const domain = running('arm', 1);
  const port = guest.bindIpi(domain, 0);
  guest.send(domain, port);
  vcpuOf(domain, 0).up = false;
  assert.equal(lostUpcall(domain, id(0)), null);
  assert.equal(psciCall(domain, id(0), abi.PSCI_0_2_FN64_CPU_ON, [0n, 0n, 0n]).returned, 0);
  assert.deepEqual([pendingUpcall(domain, id(0)), lostUpcall(domain, id(0))], [null, port]);
  guest.send(domain, guest.bindIpi(domain, 0));
  assert.deepEqual([pendingUpcall(domain, id(0)), lostUpcall(domain, id(0))], [null, port]);
  info(domain, 0).setUint8(0, 0);
  assert.equal(lostUpcall(domain, id(0)), null);
  // One that was taken is not lost.
  markEventsPending(domain, vcpuOf(domain, 0), port);
  acknowledgeUpcall(domain, id(0));
  info(domain, 0).setUint8(0, 0);
  vcpuOf(domain, 0).up = false;
  psciCall(domain, id(0), abi.PSCI_0_2_FN64_CPU_ON, [0n, 0n, 0n]);
  assert.equal(lostUpcall(domain, id(0)), null);
});

test('Arm: an event that came while the vCPU was down stays lost where CPU_ON drops an older interrupt', () => {
  const domain = running('arm', 1);
  guest.send(domain, guest.bindIpi(domain, 0));
  // The guest takes the event by polling: it clears evtchn_upcall_pending and evtchn_pending_sel.
  info(domain, 0).setUint8(0, 0);
  info(domain, 0).setBigUint64(8, 0n, true);
  vcpuOf(domain, 0).up = false;
  const port = guest.bindIpi(domain, 0);
  guest.send(domain, port);
  assert.equal(lostUpcall(domain, id(0)), port);
  assert.equal(psciCall(domain, id(0), abi.PSCI_0_2_FN64_CPU_ON, [0n, 0n, 0n]).returned, 0);
  assert.deepEqual([pendingUpcall(domain, id(0)), lostUpcall(domain, id(0))], [null, port]);
});

test('a vCPU beyond the slots of shared_info hears nothing until it registers its vcpu_info (dummy_vcpu_info)', () => {
  const domain = running('arm', 2);
  const port = guest.bindIpi(domain, 1);
  assert.equal(guest.send(domain, port), 0);
  assert.ok(guest.getBit(domain, 'evtchn_pending', port), "the pending bit is the domain's");
  assert.equal(pendingUpcall(domain, id(1)), null);
  vcpuOf(domain, 1).vcpuInfo = { mfn: 3, offset: 64 };
  markEventsPending(domain, vcpuOf(domain, 1));
  assert.deepEqual(pendingUpcall(domain, id(1)), { kind: 'ppi', intid: 31 });
});

test('x86: the first 32 vCPUs have slots of their own, the next has none', () => {
  const domain = running('pvhvm', 33);
  setCallbackVia(domain, vectorVia(0xf3));
  for (const vcpu of [31, 32]) guest.send(domain, guest.bindIpi(domain, vcpu));
  assert.deepEqual(pendingUpcall(domain, id(31)), { kind: 'vector', vector: 0xf3 });
  assert.equal(pendingUpcall(domain, id(32)), null);
});

test('PV: a callback unless masked, entered with the mask set (entry.S, create_bounce_frame)', () => {
  const domain = running('pv');
  const mask = abi.vcpu_info.x86_64.offsets.evtchn_upcall_mask;
  block(domain, 1);
  guest.send(domain, guest.bindIpi(domain, 1));
  assert.equal(vcpuOf(domain, 1).blocked, null, 'woken though masked (vcpu_kick)');
  assert.equal(pendingUpcall(domain, id(1)), null);
  info(domain, 1).setUint8(mask, 0);
  assert.deepEqual(pendingUpcall(domain, id(1)), { kind: 'callback' });
  acknowledgeUpcall(domain, id(1));
  assert.equal(info(domain, 1).getUint8(mask), 1);
  assert.equal(pendingUpcall(domain, id(1)), null);
});

test('HVM, one vector for all: a level, and evtchn_upcall_mask counts for nothing (hvm_vcpu_has_pending_irq)', () => {
  const domain = running('pvhvm');
  const port = guest.bindIpi(domain, 2);
  info(domain, 2).setUint8(abi.vcpu_info.x86_64.offsets.evtchn_upcall_mask, 1);
  guest.send(domain, port);
  assert.equal(pendingUpcall(domain, id(2)), null, 'no callback is set');
  block(domain, 2);
  setCallbackVia(domain, vectorVia(0xf3));
  assert.equal(vcpuOf(domain, 2).blocked, null, 'setting it wakes all that are up (hvm_set_callback_via)');
  for (let i = 0; i < 2; i += 1) {
    assert.deepEqual(pendingUpcall(domain, id(2)), { kind: 'vector', vector: 0xf3 });
    acknowledgeUpcall(domain, id(2));
  }
  info(domain, 2).setUint8(0, 0);
  assert.equal(pendingUpcall(domain, id(2)), null);
});

test('HVM, a vector of its own: once for each time that evtchn_upcall_pending becomes set (hvm_assert_evtchn_irq)', () => {
  const domain = running('pvh');
  const port = guest.bindIpi(domain, 1);
  setUpcallVector(domain, vcpuOf(domain, 1), 0xf3);
  assert.deepEqual(pendingUpcall(domain, id(1)), { kind: 'vector', vector: 0xf3 }, 'at once when set');
  acknowledgeUpcall(domain, id(1));
  assert.equal(pendingUpcall(domain, id(1)), null);
  block(domain, 1);
  guest.send(domain, port);
  assert.equal(vcpuOf(domain, 1).blocked, null);
  acknowledgeUpcall(domain, id(1));
  assert.equal(pendingUpcall(domain, id(1)), null, 'an edge, not a level');
  guest.putBit(domain, 'evtchn_pending', port, false);
  guest.send(domain, port);
  assert.equal(pendingUpcall(domain, id(1)), null, 'evtchn_upcall_pending was still set');
});

test('HVM: a disabled local APIC loses the vector, and gets it when it is enabled (vlapic.c, APIC_SPIV)', () => {
  const domain = running('pvhvm');
  vcpuOf(domain, 1).initialised = false;
  setUpcallVector(domain, vcpuOf(domain, 1), 0xf3);
  guest.send(domain, guest.bindIpi(domain, 1));
  assert.equal(pendingUpcall(domain, id(1)), null);
  vcpuOf(domain, 1).initialised = true;
  localApicEnabled(domain, id(1));
  assert.deepEqual(pendingUpcall(domain, id(1)), { kind: 'vector', vector: 0xf3 });
});

test('HVM: with no callback, vCPUs wait on, unless vCPU 0 has a vector of its own (is_hvm_pv_evtchn_domain)', () => {
  const domain = running('pvhvm');
  const port = guest.bindIpi(domain, 2);
  block(domain, 2);
  guest.send(domain, port);
  assert.deepEqual(vcpuOf(domain, 2).blocked, { why: 'block' });
  setUpcallVector(domain, vcpuOf(domain, 0), 0xf3);
  info(domain, 2).setUint8(0, 0);
  guest.putBit(domain, 'evtchn_pending', port, false);
  info(domain, 2).setBigUint64(abi.vcpu_info.x86_64.offsets.evtchn_pending_sel, 0n, true);
  guest.send(domain, port);
  assert.equal(vcpuOf(domain, 2).blocked, null);
  assert.equal(pendingUpcall(domain, id(2)), null, 'woken, but by no vector');
});

test('HVM_PARAM_CALLBACK_IRQ to another type ends the vector on PVHVM; on PVH it stays (hvm_set_callback_via)', () => {
  const vectorAfter = (kind: GuestKind): number | null => {
    const domain = running(kind);
    setCallbackVia(domain, vectorVia(0xf3));
    setCallbackVia(domain, 1n);
    return domain.state.callbackVector;
  };
  assert.equal(vectorAfter('pvhvm'), null);
  assert.equal(vectorAfter('pvh'), 0xf3);
});

test('HVM: the common vector goes before a vector of its own, which stays (hvm_vcpu_has_pending_irq)', () => {
  const domain = running('pvhvm');
  setUpcallVector(domain, vcpuOf(domain, 0), 0x40);
  setCallbackVia(domain, vectorVia(0xf3));
  guest.send(domain, guest.bindIpi(domain, 0));
  assert.deepEqual(pendingUpcall(domain, id(0)), { kind: 'vector', vector: 0xf3 });
  acknowledgeUpcall(domain, id(0));
  info(domain, 0).setUint8(0, 0);
  assert.deepEqual(pendingUpcall(domain, id(0)), { kind: 'vector', vector: 0x40 });
});
