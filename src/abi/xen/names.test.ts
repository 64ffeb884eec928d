import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as psci from '../arm/psci.js';
import * as smccc from '../arm/smccc.js';
import * as names from './names.js';
import * as vcpu from './vcpu.js';

test('a family has the numbers of its own names and no others', () => {
  const ops = Object.entries(vcpu).filter(([name]) => name.startsWith('VCPUOP_'));
  assert.equal(Object.keys(names.VCPUOP_names).length, ops.length);
  for (const [name, value] of ops) assert.equal(names.VCPUOP_names[Number(value)], name);
  assert.equal(names.VCPUOP_names[99], undefined);
});

test('every family is there and has members', () => {
  const families = Object.entries(names);
  assert.ok(families.length > 25);
  for (const [family, record] of families) assert.ok(Object.keys(record).length > 1, family);
});

test('names that other names begin with do not get into a family', () => {
  assert.equal(names.SHUTDOWN_names[5], 'SHUTDOWN_soft_reset');
  assert.equal(names.XENFEAT_names[1], 'XENFEAT_writable_descriptor_tables');
  assert.equal(names.XENMEM_names[0], 'XENMEM_increase_reservation');
  assert.equal(names.HVM_PARAM_names[0], 'HVM_PARAM_CALLBACK_IRQ');
  assert.equal(names.HVM_PARAM_names[2], 'HVM_PARAM_STORE_EVTCHN');
  assert.equal(names.DOMID_names[0x7ff0], 'DOMID_SELF');
  assert.equal(names.DOMID_names[0x7fff], 'DOMID_IDLE');
  assert.equal(names.XEN_errno_names[11], 'XEN_EAGAIN');
  assert.equal(names.XEN_errno_names[35], 'XEN_EDEADLK');
  assert.equal(names.PSCI_RET_names[-4], 'PSCI_RET_ALREADY_ON');
});

test('PSCI and SMCCC functions are fast calls of the owner that SMCCC gives them', () => {
  const functions = { ...psci, ...smccc };
  for (const [name, value] of Object.entries(functions)) {
    const isFunction = typeof value === 'number' && /_FN(64)?_|^ARM_SMCCC_\w+_FID$/.test(name);
    if (!isFunction) continue;
    const owner = name.startsWith('PSCI') ? smccc.ARM_SMCCC_OWNER_STANDARD : smccc.ARM_SMCCC_OWNER_ARCH;
    assert.equal(value >>> smccc.ARM_SMCCC_TYPE_SHIFT, 1, name);
    assert.equal((value >>> smccc.ARM_SMCCC_CONV_SHIFT) & 1, name.includes('_FN64_') ? 1 : 0, name);
    assert.equal((value >>> smccc.ARM_SMCCC_OWNER_SHIFT) & smccc.ARM_SMCCC_OWNER_MASK, owner, name);
  }
});

test('a PSCI version has its major part above bit 16', () => {
  assert.equal(psci.psciVersion(1, 1), 0x1_0001);
  assert.equal(psci.psciVersion(0, 2), 2);
});
