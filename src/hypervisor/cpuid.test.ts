import assert from 'node:assert/strict';
import { test } from 'node:test';
import { viewOf } from '../abi/index.js';
import { apicId, xenVcpuId } from '../identity/index.js';
import type { CpuidLeaf } from './cpuid.js';
import { cpuidLeaf } from './cpuid.js';
import type { Domain } from './domain.js';
import { makeTestDomain } from './test_domain.js';

const base = 0x4000_0000;

function leaf(domain: Domain, vcpu: number, number: number, subleaf = 0): CpuidLeaf {
  const answer = cpuidLeaf(domain, xenVcpuId(vcpu), number, subleaf);
  assert.ok(answer !== null);
  return answer;
}

test("the first leaf spells Xen's name and says that five follow (cpuid_hypervisor_leaves)", () => {
  const { eax, ebx, ecx, edx } = leaf(makeTestDomain('pvh'), 0, base);
  const view = viewOf(new Uint8Array(12));
  for (const [i, word] of [ebx, ecx, edx].entries()) view.setUint32(4 * i, word, true);
  const name = String.fromCharCode(...new Uint8Array(view.buffer));
  assert.deepEqual([eax, name], [base + 5, 'XenVMMXenVMM']);
});

test("leaf 4 gives every vCPU its own id, and the domain's, and promises upcall vectors", () => {
  const domain = makeTestDomain('pvhvm', 128, { domid: 9 });
  for (const vcpu of [0, 1, 127]) {
    assert.deepEqual(leaf(domain, vcpu, base + 4), { eax: 0x5c, ebx: vcpu, ecx: 9, edx: 0 });
  }
  assert.deepEqual(leaf(domain, 1, base + 4, 1), { eax: 0, ebx: 0, ecx: 0, edx: 0 });
  assert.equal(leaf(makeTestDomain('pv'), 1, base + 4).ebx, 0, 'PV is told nothing');
});

test("leaves 1 and 0xb give a vCPU's APIC id, as the policy has it; PV has none (guest_cpuid)", () => {
  const hardwareIds = [apicId(0), apicId(0x1fe), apicId(0x80)];
  const domain = makeTestDomain('pvh', 3, { hardwareIds });
  assert.deepEqual(
    [0, 1, 2].map((vcpu) => leaf(domain, vcpu, 1).ebx >>> 24),
    [0, 0xfe, 0x80],
  );
  assert.deepEqual(leaf(domain, 1, 0xb, 1), { eax: 0, ebx: 0, ecx: 1, edx: 0x1fe });
  assert.deepEqual(leaf(domain, 1, 0xb, 2), { eax: 0, ebx: 0, ecx: 0, edx: 0 });
  assert.equal(leaf(makeTestDomain('pv'), 2, 1).ebx, 0);
  assert.equal(cpuidLeaf(makeTestDomain('pv'), xenVcpuId(2), 0xb, 0), null);
});

test('the leaves of version, hypercall page, time and PV', () => {
  const clock = { tscKHz: 2_500_000, tscStable: false, wallclockSec: 0 };
  const hvm = makeTestDomain('pvh', 1, { release: '4.18', clock });
  assert.equal(leaf(hvm, 0, base + 1).eax, 0x4_0012);
  assert.deepEqual(leaf(hvm, 0, base + 2), { eax: 1, ebx: base, ecx: 0, edx: 0 });
  assert.deepEqual(leaf(hvm, 0, base + 3), { eax: 6, ebx: 0, ecx: 2_500_000, edx: 1 });
  assert.deepEqual(leaf(hvm, 0, base + 3, 1), { eax: 0, ebx: 0, ecx: 0xcccc_cccc, edx: 0xffff_ffff });
  assert.equal(leaf(hvm, 0, base + 3, 2).eax, 2_500_000);
  assert.equal(leaf(hvm, 0, base + 3, 3).eax, 0);
  assert.equal(leaf(hvm, 0, base + 5).ebx, 0);
  const pv = makeTestDomain('pv');
  assert.equal(leaf(pv, 0, base + 2).ecx, 1);
  assert.equal(leaf(pv, 0, base + 5).ebx, 29, 'frames end at 0x10040, so addresses have 29 bits');
});

test("other leaves, and Arm, have nothing of the hypervisor's", () => {
  for (const number of [0, 2, base + 6, base + 0x100, base - 1]) {
    assert.equal(cpuidLeaf(makeTestDomain('pvh'), xenVcpuId(0), number, 0), null);
  }
  assert.equal(cpuidLeaf(makeTestDomain('arm'), xenVcpuId(0), base, 0), null);
});
