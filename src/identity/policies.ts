/**
 * How a hypervisor assigns hardware ids to its vCPUs: as Xen does, and as a future Xen may do without
 * breaking a documented promise. A policy is data, so that a scenario can name it and a saved state can
 * contain it. vCPU ids themselves are always 0 to n - 1 (Xen 4.17 common/domain.c, vcpu_create).
 */
import type { Arch } from '../abi/index.js';
import { InputError, present } from '../base/index.js';
import { acpiUidOfVcpu, apicIdOfVcpu } from './apic.js';
import { acpiUid, affinityOf, apicId, mpidrOf, xenVcpuId } from './ids.js';
import type { AcpiUid, ApicId, Mpidr, XenVcpuId } from './ids.js';
import { encodableVcpus, mpidrOfVcpu } from './mpidr.js';

/** A way to assign ids. Each except `xen` breaks an assumption that a guest may make. */
export type Policy =
  /** As Xen does: APIC id 2 x vCPU id; MPIDR with four bits in AFF0; UID = vCPU id. */
  | { readonly name: 'xen' }
  /** With gaps: the vCPU id times `stride` (3 to 64) as the APIC id, and in place of the vCPU id in the MPIDR. */
  | { readonly name: 'sparse'; readonly stride: number }
  /** Xen's ids, each assigned to another vCPU: a permutation without a fixed point, chosen by `seed` (32 bits). */
  | { readonly name: 'permuted'; readonly seed: number }
  /** Too big for 8 bits: 256 is added to each APIC id (so the MADT needs type 9), AFF2 is 1. */
  | { readonly name: 'beyond-255' }
  /** Breaks Xen's promise: the UID is the vCPU id plus `offset` (1 to 255). Hardware ids are Xen's. */
  | { readonly name: 'uid-differs'; readonly offset: number };

export type PolicyName = Policy['name'];

/** A policy of each name, with default parameters. */
export const policies: { readonly [Name in PolicyName]: Policy & { readonly name: Name } } = {
  xen: { name: 'xen' },
  sparse: { name: 'sparse', stride: 3 },
  permuted: { name: 'permuted', seed: 1 },
  'beyond-255': { name: 'beyond-255' },
  'uid-differs': { name: 'uid-differs', offset: 1 },
};

/** The policy of that name, with its default parameters. Throws {@link InputError} when there is none. */
export function policyNamed(name: string): Policy {
  const found = Object.values(policies).find((policy) => policy.name === name);
  if (found !== undefined) return found;
  throw new InputError(
    `unknown id policy "${name}"; the known policies are ${Object.keys(policies).join(', ')}`,
  );
}

/** Whether under this policy the ACPI processor UID is the vCPU id, as Xen promises to x86 HVM guests. */
export function keepsUidPromise(policy: Policy): boolean {
  return policy.name !== 'uid-differs';
}

/** The ids of an x86 vCPU in hardware and firmware. */
export interface X86Ids {
  readonly vcpu: XenVcpuId;
  readonly apicId: ApicId;
  readonly acpiUid: AcpiUid;
}

/** The ids of an Arm vCPU in hardware and firmware. Only ACPI's GICC entries contain the UID. */
export interface ArmIds {
  readonly vcpu: XenVcpuId;
  readonly mpidr: Mpidr;
  readonly acpiUid: AcpiUid;
}

function parameter(value: number, first: number, last: number, what: string): number {
  if (Number.isInteger(value) && value >= first && value <= last) return value;
  throw new InputError(`${what} must be a whole number from ${first} to ${last}, not ${value}`);
}

/** A sequence of 32-bit numbers that depends on `seed` alone (Marsaglia's xorshift; 0 would stay 0). */
function numbersFrom(seed: number): () => number {
  let state = (seed ^ 0x9e37_79b9) >>> 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
}

/** A permutation of 0 to count - 1 that is one cycle (Sattolo), so that for 2 or more no number stays in its place. */
function oneCycle(count: number, seed: number): number[] {
  const next = numbersFrom(seed);
  const places = Array.from({ length: count }, (_, i) => i);
  for (let last = count - 1; last > 0; last -= 1) {
    const other = next() % last;
    const [a, b] = [present(places[last], 'a place'), present(places[other], 'a place')];
    [places[last], places[other]] = [b, a];
  }
  return places;
}

/** Xen's encoding extended to AFF2, for numbers that no Xen vCPU has. */
function wideMpidr(index: number): Mpidr {
  return mpidrOf({ aff2: index >>> 12, aff1: (index >>> 4) & 0xff, aff0: index & 0xf });
}

interface HardwareId {
  readonly apicId: ApicId;
  readonly mpidr: Mpidr;
}

function xenHardwareId(vcpu: XenVcpuId): HardwareId {
  return { apicId: apicIdOfVcpu(vcpu), mpidr: mpidrOfVcpu(vcpu) };
}

/** The hardware id of each vCPU under `policy`, as a function of its id. */
function hardwareIdUnder(policy: Policy, count: number): (vcpu: XenVcpuId) => HardwareId {
  switch (policy.name) {
    case 'sparse': {
      const stride = parameter(policy.stride, 3, 64, 'the stride of a sparse id policy');
      return (vcpu) => ({ apicId: apicId(vcpu * stride), mpidr: wideMpidr(vcpu * stride) });
    }
    case 'permuted': {
      const seed = parameter(policy.seed, 0, 0xffff_ffff, 'the seed of a permuted id policy');
      const places = oneCycle(count, seed);
      return (vcpu) => xenHardwareId(xenVcpuId(present(places[vcpu], 'the place of a vCPU')));
    }
    case 'beyond-255':
      return (vcpu) => {
        const { apicId: low, mpidr } = xenHardwareId(vcpu);
        return { apicId: apicId(low + 256), mpidr: mpidrOf({ ...affinityOf(mpidr), aff2: 1 }) };
      };
    case 'xen':
    case 'uid-differs':
      return xenHardwareId;
  }
}

function uidUnder(policy: Policy, vcpu: XenVcpuId): AcpiUid {
  if (policy.name !== 'uid-differs') return acpiUidOfVcpu(vcpu);
  return acpiUid(vcpu + parameter(policy.offset, 1, 255, 'the offset of a uid-differs policy'));
}

/**
 * The ids of vCPUs 0 to `vcpus` - 1 (1 to 4096 of them), in that order. Xen's own limit is 128 (HVM_MAX_VCPUS;
 * MAX_VIRT_CPUS on arm64), and 8 with a GICv2. Throws {@link InputError} if the number of vCPUs or a parameter of the
 * policy is out of range.
 */
export function hardwareIds(policy: Policy, arch: 'x86_64', vcpus: number): X86Ids[];
export function hardwareIds(policy: Policy, arch: 'arm64', vcpus: number): ArmIds[];
export function hardwareIds(policy: Policy, arch: Arch, vcpus: number): X86Ids[] | ArmIds[];
export function hardwareIds(policy: Policy, arch: Arch, vcpus: number): X86Ids[] | ArmIds[] {
  const count = parameter(vcpus, 1, encodableVcpus, 'the number of vCPUs');
  const hardwareIdOf = hardwareIdUnder(policy, count);
  const ids = Array.from({ length: count }, (_, i) => {
    const vcpu = xenVcpuId(i);
    return { vcpu, acpiUid: uidUnder(policy, vcpu), ...hardwareIdOf(vcpu) };
  });
  return arch === 'x86_64'
    ? ids.map(({ vcpu, apicId: apic, acpiUid: uid }) => ({ vcpu, apicId: apic, acpiUid: uid }))
    : ids.map(({ vcpu, mpidr, acpiUid: uid }) => ({ vcpu, mpidr, acpiUid: uid }));
}
