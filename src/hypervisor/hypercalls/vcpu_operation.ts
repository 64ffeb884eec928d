/** How to declare a VCPUOP: vcpu_op has the target's id in a register, and each operation copies its own argument. */
import { XEN_EINVAL, XEN_ENOENT } from '../../abi/index.js';
import type { Struct } from '../../abi/index.js';
import { archOf } from '../arch.js';
import type { Domain, VcpuState } from '../domain.js';
import { copyIn, domainVcpu } from '../hypercall.js';
import type { HypercallContext, CallOutcome, Detail, ErrorRow, SubOperation } from '../hypercall.js';

/** The input of an operation's body. */
export interface VcpuCall<A> {
  readonly context: HypercallContext;
  readonly domain: Domain;
  /** The vCPU that the call names. */
  readonly vcpu: VcpuState;
  /** The vCPU that makes the call. */
  readonly caller: VcpuState;
  /** The third argument: a guest virtual address, or null (0). */
  readonly address: bigint;
  /** Copies the argument in from the guest; null if the access would fault. */
  readonly argument: () => A | null;
}

export interface VcpuOperation<A> {
  readonly name: string;
  readonly command: number;
  readonly source: string;
  /** Null if the operation takes no argument or only writes one. */
  readonly argument: Struct<unknown, A> | null;
  /** Whether Xen on Arm has it; the others answer -XEN_EINVAL there. */
  readonly onArm?: boolean;
  /** The errors after the two that every operation shares. */
  readonly errors: readonly ErrorRow[];
  /** The part of the argument that the record shows (default: all of it). */
  detail?(argument: A): Detail;
  body(call: VcpuCall<A>): number;
}

const unknownVcpu: ErrorRow = { error: 'XEN_ENOENT', when: 'the domain has no vCPU of that id' };
const notOnArm: ErrorRow = { error: 'XEN_EINVAL', when: 'on Arm: always' };

/** The vCPU id as the hypercall takes it: the low 32 bits of the second argument. */
export function vcpuIdOf({ args }: HypercallContext): number {
  return Number(BigInt.asUintN(32, args[1] ?? 0n));
}

/**
 * Declares a vcpu_op: the vCPU is looked up first, then Arm refuses what it does not have
 * (Xen 4.17 arch/x86/domain.c and arch/arm/domain.c, do_vcpu_op).
 */
export function vcpuOperation<A extends Detail>(definition: VcpuOperation<A>): SubOperation {
  const { name, command, source, onArm = false } = definition;
  const shared = onArm ? [unknownVcpu] : [unknownVcpu, notOnArm];
  const run: SubOperation['run'] = (context, address) => {
    const vcpuId = vcpuIdOf(context);
    const vcpu = domainVcpu(context.domain, vcpuId);
    if (vcpu === null) return { vcpuId, detail: {}, returned: -XEN_ENOENT };
    if (!onArm && archOf(context.domain) === 'arm64') return { vcpuId, detail: {}, returned: -XEN_EINVAL };
    return { vcpuId, ...runBody(definition, context, vcpu, address) };
  };
  return { name, command, source, errors: [...shared, ...definition.errors], run };
}

function runBody<A extends Detail>(
  definition: VcpuOperation<A>,
  context: HypercallContext,
  vcpu: VcpuState,
  address: bigint,
): Omit<CallOutcome, 'vcpuId'> {
  const { argument: type } = definition;
  let detail: Detail = {};
  const argument = (): A | null => {
    const value = type === null ? null : copyIn(context, type, address);
    if (value !== null) detail = definition.detail?.(value) ?? { ...value };
    return value;
  };
  const { domain, caller } = context;
  const wasUp = vcpu.up;
  const returned = definition.body({ context, domain, vcpu, caller, address, argument });
  if (vcpu.up === wasUp) return { detail, returned };
  return { detail, returned, effects: [{ kind: vcpu.up ? 'vcpuUp' : 'vcpuDown', vcpu: vcpu.id }] };
}
