import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { XEN_EBUSY, XEN_EINVAL } from '../abi/index.js';
import type { CallRecord } from '../hypervisor/index.js';
import { xenVcpuId } from '../identity/index.js';
import { RefusedCalls } from './refused_call.js';

function call(hypercall: string, op: string, returned = 0): CallRecord {
  return { hypercall, op, vcpuId: null, detail: {}, returned };
}

const vcpu2 = xenVcpuId(2);
const refused = call('memory_op', 'XENMEM_add_to_physmap', -XEN_EBUSY);

function after(...calls: readonly CallRecord[]): string | null {
  const watched = new RefusedCalls();
  for (const [step, made] of [refused, ...calls].entries()) watched.called(vcpu2, made, () => step);
  return watched.clause((step) => `function+0x${step}`);
}

const named = 'the last call of vCPU 2, XENMEM_add_to_physmap from function+0x0, was refused: -XEN_EBUSY';

describe('a refused call', () => {
  it('is named as long as its vCPU only prints', () => {
    assert.equal(after(), named);
    assert.equal(
      after(call('event_channel_op', 'EVTCHNOP_send'), call('console_io', 'CONSOLEIO_write')),
      named,
    );
  });

  it('is forgotten when its vCPU makes other calls, or another kernel is entered', () => {
    assert.equal(after(call('memory_op', 'XENMEM_add_to_physmap')), null);
    const watched = new RefusedCalls();
    watched.called(vcpu2, refused, () => 0);
    watched.clear();
    assert.equal(
      watched.clause(() => null),
      null,
    );
  });

  it('is the last one of all vCPUs, and survives being saved', () => {
    const watched = new RefusedCalls();
    watched.called(xenVcpuId(0), call('vcpu_op', 'VCPUOP_register_vcpu_info', -XEN_EINVAL), () => 7);
    watched.called(vcpu2, refused, () => 3);
    watched.called(vcpu2, call('memory_op', 'XENMEM_add_to_physmap'), () => 9);
    const restored = new RefusedCalls();
    restored.load(watched.save());
    const clause = 'the last call of vCPU 0, VCPUOP_register_vcpu_info, was refused: -XEN_EINVAL';
    for (const one of [watched, restored])
      assert.equal(
        one.clause(() => null),
        clause,
      );
  });
});
