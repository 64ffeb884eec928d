import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as abi from '../abi/index.js';
import { apicId, xenVcpuId } from '../identity/index.js';
import { haltVcpu } from './halt.js';
import { sendInit, sendNmi, sendSipi, takeNmi, triggerNmi } from './init_sipi_nmi.js';
import { isRunnable, takeStart } from './power.js';
import { makeTestDomain } from './test_domain.js';

const [vcpu0, vcpu1] = [xenVcpuId(0), xenVcpuId(1)];
const apic1 = apicId(2);

test('INIT-SIPI starts a vCPU in real mode (hvm_vcpu_reset_state, Xen 4.17 arch/x86/hvm/hvm.c)', () => {
  const domain = makeTestDomain('pvh');
  assert.deepEqual(sendInit(domain, vcpu0, apic1), { target: 1 });
  assert.deepEqual(sendSipi(domain, vcpu0, apic1, 0x19a), { target: 1 }); // a vector has eight bits
  assert.ok(isRunnable(domain, vcpu1));
  assert.deepEqual(takeStart(domain, vcpu1), { how: 'sipi', entry: 0x9_a000n, contextId: 0n });
});

test('a SIPI to a vCPU that is initialised is ignored, the second of a pair included', () => {
  const domain = makeTestDomain('pvh');
  sendSipi(domain, vcpu0, apic1, 1);
  takeStart(domain, vcpu1);
  sendSipi(domain, vcpu0, apic1, 2);
  assert.equal(takeStart(domain, vcpu1), null);
  haltVcpu(domain, vcpu1, false);
  sendSipi(domain, vcpu0, apic1, 3);
  assert.deepEqual([domain.state.vcpus[1]!.up, takeStart(domain, vcpu1)], [false, null]);
});

test('INIT takes a running vCPU down and its registers away; to one without any it does nothing (vlapic_init_sipi_one)', () => {
  const domain = makeTestDomain('pvhvm');
  sendSipi(domain, vcpu0, apic1, 1);
  Object.assign(domain.state.vcpus[1]!, {
    blocked: { why: 'block' },
    upcallInjected: true,
    upcallVector: 0xf3,
  });
  sendInit(domain, vcpu0, apic1);
  const { up, initialised, start, blocked, upcallInjected, upcallVector } = domain.state.vcpus[1]!;
  assert.deepEqual(
    { up, initialised, start, blocked, upcallInjected, upcallVector },
    {
      ...{
        up: false,
        initialised: false,
        start: null,
        blocked: null,
        upcallInjected: false,
        upcallVector: 0xf3,
      },
    },
  );
  const before = structuredClone(domain.state);
  sendInit(domain, vcpu0, apic1);
  assert.deepEqual(domain.state, before);
  sendSipi(domain, vcpu0, apic1, 5);
  assert.equal(takeStart(domain, vcpu1)!.entry, 0x5000n);
});

test('INIT to the last vCPU that is up powers the domain off (hvm_vcpu_down)', () => {
  const domain = makeTestDomain('pvh');
  sendInit(domain, vcpu0, apicId(0));
  assert.deepEqual(domain.state.shutdown, { reason: abi.SHUTDOWN_poweroff, by: 0 });
});

test('an APIC id that nobody has, and a PV guest, which has no APIC: no target', () => {
  const domain = makeTestDomain('pvh');
  assert.deepEqual(sendInit(domain, vcpu0, apicId(1)), { target: null });
  assert.deepEqual(sendSipi(domain, vcpu0, apicId(1), 0), { target: null });
  assert.deepEqual(sendNmi(domain, apicId(1)), { target: null });
  assert.deepEqual(sendInit(makeTestDomain('pv'), vcpu0, apic1), { target: null });
});

test('an APIC id names the vCPU that has it, however ids are handed out', () => {
  const hardwareIds = [apicId(0x300), apicId(7), apicId(0)];
  const domain = makeTestDomain('pvh', 3, { hardwareIds });
  assert.deepEqual(sendSipi(domain, vcpu0, apicId(0), 1), { target: 2 });
});

test('an NMI through the APIC brings a vCPU up that halted, and is taken once (vlapic_accept_irq)', () => {
  const domain = makeTestDomain('pvhvm');
  sendSipi(domain, vcpu0, apic1, 1);
  haltVcpu(domain, vcpu1, false);
  assert.equal(domain.state.vcpus[1]!.up, false);
  sendNmi(domain, apic1);
  assert.ok(isRunnable(domain, vcpu1));
  assert.deepEqual([takeNmi(domain, vcpu1), takeNmi(domain, vcpu1)], [true, false]);
  haltVcpu(domain, vcpu1, false);
  sendNmi(domain, apicId(4));
  assert.equal(domain.state.vcpus[2]!.up, false, 'not one that never had registers');
});

test('an NMI while one waits is lost, wakes nobody, and starts nobody', () => {
  const domain = makeTestDomain('pvhvm');
  sendSipi(domain, vcpu0, apic1, 1);
  sendNmi(domain, apic1);
  haltVcpu(domain, vcpu1, false);
  sendNmi(domain, apic1);
  assert.equal(domain.state.vcpus[1]!.up, false);
});

test('an NMI from the toolstack ends a wait, and waits for a vCPU that is down (XEN_DOMCTL_sendtrigger)', () => {
  const domain = makeTestDomain('pvhvm');
  sendSipi(domain, vcpu0, apic1, 1);
  haltVcpu(domain, vcpu1, true);
  assert.equal(isRunnable(domain, vcpu1), false);
  triggerNmi(domain.state.vcpus[1]!);
  assert.ok(isRunnable(domain, vcpu1));
  assert.deepEqual([takeNmi(domain, vcpu1), takeNmi(domain, vcpu1)], [true, false]);
  haltVcpu(domain, vcpu1, false);
  triggerNmi(domain.state.vcpus[1]!);
  assert.equal(isRunnable(domain, vcpu1), false);
  sendNmi(domain, apic1);
  assert.equal(isRunnable(domain, vcpu1), false, 'one that waits already is lost');
  assert.equal(takeNmi(domain, vcpu1), true);
});

test('HLT with interrupts off is a request to go down; of the last vCPU, the end (hvm_hlt, hvm_vcpu_down)', () => {
  const domain = makeTestDomain('pvh', 2);
  sendSipi(domain, vcpu0, apic1, 1);
  haltVcpu(domain, vcpu0, false);
  assert.deepEqual([domain.state.vcpus[0]!.up, domain.state.shutdown], [false, null]);
  haltVcpu(domain, vcpu1, false);
  assert.deepEqual(domain.state.shutdown, { reason: abi.SHUTDOWN_poweroff, by: 1 });
  assert.equal(domain.state.vcpus[1]!.up, false);
});

test('HLT with interrupts on waits, and unmasks event upcalls as SCHEDOP_block does', () => {
  for (const kind of ['pvhvm', 'pv'] as const) {
    const domain = makeTestDomain(kind);
    haltVcpu(domain, vcpu0, kind === 'pvhvm');
    const { up, blocked } = domain.state.vcpus[0]!;
    assert.deepEqual({ up, blocked }, { up: true, blocked: { why: 'block' } });
    const view = domain.memory.readable(domain.state.sharedInfoMfn)!;
    assert.equal(view[1], 0);
  }
});

test('WFI waits for what is pending, masked or not (vcpu_block_unless_event_pending)', () => {
  const domain = makeTestDomain('arm');
  domain.state.vcpus[0]!.vcpuInfo = { mfn: 5, offset: 0 };
  haltVcpu(domain, vcpu0, false);
  assert.deepEqual(domain.state.vcpus[0]!.blocked, { why: 'block' });
  domain.state.vcpus[0]!.blocked = null;
  domain.memory.writable(5)![0] = 1;
  haltVcpu(domain, vcpu0, false);
  assert.equal(domain.state.vcpus[0]!.blocked, null);
});

test('an NMI that waits ends HLT with interrupts on at once (hvm_local_events_need_delivery)', () => {
  const domain = makeTestDomain('pvhvm');
  sendNmi(domain, apicId(0));
  haltVcpu(domain, xenVcpuId(0), true);
  assert.equal(domain.state.vcpus[0]!.blocked, null);
});
