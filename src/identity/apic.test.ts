import assert from 'node:assert/strict';
import { test } from 'node:test';
import { madtLocalApic, madtLocalX2apic, readMadt, writeMadt } from '../abi/index.js';
import { InputError } from '../base/index.js';
import {
  acpiUidOfVcpu,
  apicIdOfVcpu,
  cpuid1ApicId,
  fitsXapic,
  hvmMaxVcpus,
  vcpuOfAcpiUid,
  vcpuOfApicId,
} from './apic.js';
import { acpiUid, apicId, xenVcpuId } from './ids.js';

const everyHvmVcpu = Array.from({ length: hvmMaxVcpus }, (_, id) => xenVcpuId(id));

test('apic: encode then decode gives every HVM vCPU id 0 to 127 back', () => {
  for (const id of everyHvmVcpu) assert.equal(vcpuOfApicId(apicIdOfVcpu(id)), id);
});

test('apic: decode then encode gives every even APIC id 0 to 254 back; odd ones name no vCPU', () => {
  for (let value = 0; value < 256; value += 1) {
    const vcpu = vcpuOfApicId(apicId(value));
    if (value % 2 === 1) assert.equal(vcpu, null);
    else assert.equal(vcpu === null ? null : apicIdOfVcpu(vcpu), value);
  }
});

test('apic: 8 bits end between vCPU 127 and 128', () => {
  for (const id of everyHvmVcpu) {
    assert.ok(fitsXapic(apicIdOfVcpu(id)));
    assert.equal(cpuid1ApicId(apicIdOfVcpu(id)), apicIdOfVcpu(id));
    assert.doesNotThrow(() => writeMadt({ entries: [madtLocalApic(id, apicIdOfVcpu(id))] }));
  }
  const beyond = apicIdOfVcpu(xenVcpuId(128));
  assert.equal(beyond, 256);
  assert.equal(fitsXapic(beyond), false);
  assert.equal(fitsXapic(apicId(255)), false, 'the broadcast address');
  assert.equal(cpuid1ApicId(beyond), 0, 'CPUID leaf 1 would show vCPU 0');
  assert.throws(() => writeMadt({ entries: [madtLocalApic(128, beyond)] }), InputError);
  const { madt } = readMadt(writeMadt({ entries: [madtLocalX2apic(128, beyond)] }));
  assert.equal(madt.entries[0]?.kind, 'local_x2apic');
});

test('uid: the vCPU id and the UID are one number, for every id 0 to 4095, both ways', () => {
  for (let value = 0; value < 4096; value += 1) {
    assert.equal(acpiUidOfVcpu(xenVcpuId(value)), value);
    assert.equal(vcpuOfAcpiUid(acpiUid(value)), value);
  }
});
