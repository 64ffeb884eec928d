import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as abi from '../../abi/index.js';
import { call, makeTestDomain } from '../test_domain.js';
import { vm_assist } from './vm_assist.js';

const { __HYPERVISOR_vm_assist: number, VMASST_TYPE_runstate_update_flag: flag } = abi;

test('vm_assist switches what the kind of guest may switch; the type is checked before the command (do_vm_assist)', () => {
  const domain = makeTestDomain('arm');
  assert.equal(call(domain, 0, number, abi.VMASST_CMD_enable, flag).returned, 0);
  assert.equal(domain.state.vmAssist[flag], true);
  assert.equal(call(domain, 0, number, abi.VMASST_CMD_disable, flag).returned, 0);
  assert.equal(domain.state.vmAssist[flag], false);
  assert.equal(call(domain, 0, number, 7, flag).returned, -abi.XEN_ENOSYS);
  assert.equal(call(domain, 0, number, 7, 4).returned, -abi.XEN_EINVAL);
  assert.equal(call(domain, 0, number, abi.VMASST_CMD_enable, 64).returned, -abi.XEN_EINVAL);
});

test('a PV guest has the old switches too (arch_vm_assist_valid_mask)', () => {
  const allowed = (kind: 'pv' | 'pvh'): number[] => {
    const domain = makeTestDomain(kind);
    const types = Array.from({ length: 70 }, (_, type) => type);
    return types.filter((type) => call(domain, 0, number, abi.VMASST_CMD_enable, type).returned === 0);
  };
  assert.deepEqual(allowed('pv'), [0, 1, 2, 3, 4, 5, 32]);
  assert.deepEqual(allowed('pvh'), [5]);
  assert.deepEqual(
    vm_assist.operations.map(({ errors }) => errors.map(({ error }) => error)),
    [['XEN_EINVAL'], ['XEN_EINVAL']],
  );
});
