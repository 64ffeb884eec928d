/** What a hypercall did to the power of vCPUs. */
import { present } from '../base/index.js';
import type { CallRecord, PowerRecord } from '../hypervisor/index.js';
import type { HardwareId } from '../identity/index.js';

/** The vCPUs that a hypercall started or stopped; the caller may be none of them. `hardwareIds`: of each vCPU. */
export function powerOf({ effects = [] }: CallRecord, hardwareIds: readonly HardwareId[]): PowerRecord[] {
  return effects.flatMap((effect): PowerRecord[] => {
    if (effect.kind !== 'vcpuUp' && effect.kind !== 'vcpuDown') return [];
    const target = effect.vcpu;
    if (effect.kind === 'vcpuDown') return [{ kind: 'stop', how: 'VCPUOP_down', target }];
    const hardwareId = BigInt(present(hardwareIds[target], 'a hardware id'));
    return [{ kind: 'start', how: 'VCPUOP_up', hardwareId, target, returned: 0 }];
  });
}
