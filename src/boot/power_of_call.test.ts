import assert from 'node:assert/strict';
import { it } from 'node:test';
import type { CallRecord } from '../hypervisor/index.js';
import { apicId, xenVcpuId } from '../identity/index.js';
import { powerOf } from './power_of_call.js';

it('names the vCPU that a call starts or stops, whoever makes it', () => {
  const ids = [0, 2, 4].map(apicId);
  const record: CallRecord = { hypercall: 'vcpu_op', op: 'VCPUOP_down', vcpuId: 2, detail: {}, returned: 0 };
  const vcpu = xenVcpuId(2);
  assert.deepEqual(powerOf(record, ids), []);
  assert.deepEqual(powerOf({ ...record, effects: [{ kind: 'vcpuDown', vcpu }] }, ids), [
    { kind: 'stop', how: 'VCPUOP_down', target: vcpu },
  ]);
  assert.deepEqual(powerOf({ ...record, effects: [{ kind: 'memoryMap' }, { kind: 'vcpuUp', vcpu }] }, ids), [
    { kind: 'start', how: 'VCPUOP_up', hardwareId: 4n, target: vcpu, returned: 0 },
  ]);
});
