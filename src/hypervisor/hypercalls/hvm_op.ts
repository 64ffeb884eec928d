/** hvm_op(op, arg): parameters, upcall vectors and a few other operations of HVM guests; on Arm only parameters. */
import {
  __HYPERVISOR_hvm_op,
  HVM_NR_PARAMS,
  HVMMEM_mmio_dm,
  HVMMEM_ram_rw,
  HVMOP_altp2m,
  HVMOP_flush_tlbs,
  HVMOP_get_mem_type,
  HVMOP_get_param,
  HVMOP_get_time,
  HVMOP_guest_request_vm_event,
  HVMOP_pagetable_dying,
  HVMOP_set_evtchn_upcall_vector,
  HVMOP_set_param,
  xen_hvm_evtchn_upcall_vector,
  xen_hvm_get_mem_type,
  xen_hvm_get_time,
  xen_hvm_pagetable_dying,
  xen_hvm_param,
  XEN_EFAULT,
  XEN_EINVAL,
  XEN_ENOENT,
  XEN_ENOSYS,
  XEN_EOPNOTSUPP,
  XEN_ESRCH,
} from '../../abi/index.js';
import type { ValueOf } from '../../abi/index.js';
import { archOf, isX86Hvm } from '../arch.js';
import type { Domain } from '../domain.js';
import { domainNamed } from '../event_channels/bind.js';
import { setUpcallVector } from '../event_channels/index.js';
import { copyOut, domainVcpu, operation, plainOperation } from '../hypercall.js';
import type { HypercallContext, ErrorRow, HypercallFamily, SubOperation } from '../hypercall.js';
import { hvmParam, readError, setOwnParam } from '../hvm_params.js';
import { mfnOfGfn } from '../physmap.js';
import { targetError } from './domid.js';

const x86 = 'Xen 4.17 arch/x86/hvm/hvm.c';
const fault: ErrorRow = { error: 'XEN_EFAULT', when: 'the argument cannot be read' };
const notOnArm: ErrorRow = { error: 'XEN_ENOSYS', when: 'on Arm: always' };
const noDomain: ErrorRow = { error: 'XEN_ESRCH', when: 'no domain has that id' };
const notHvm: ErrorRow = {
  error: 'XEN_EINVAL',
  when: "x86: the domain is not HVM; the toolstack's is taken to be PV",
};
const notOwn: ErrorRow = { error: 'XEN_EPERM', when: 'Arm: the domain is another one' };

type Param = ValueOf<typeof xen_hvm_param>;

/** The checks before the parameter's own checks. */
function paramError({ domain }: HypercallContext, { index, domid }: Param): number {
  const onX86 = archOf(domain) === 'x86_64';
  if (onX86 && index >= HVM_NR_PARAMS) return -XEN_EINVAL;
  const named = domainNamed(domain, domid);
  if (named === null) return -XEN_ESRCH;
  if (onX86) return named === 'self' && isX86Hvm(domain) ? 0 : -XEN_EINVAL;
  return targetError(domain, domid);
}

const paramErrors: readonly ErrorRow[] = [
  fault,
  { error: 'XEN_EINVAL', when: 'x86: there is no parameter of that index' },
  noDomain,
  notHvm,
  notOwn,
  { error: 'XEN_EINVAL', when: 'the parameter is deprecated; on Arm, or unknown' },
  { error: 'XEN_EPERM', when: "the parameter is not the guest's to use so" },
];

const setParam = operation({
  name: 'HVMOP_set_param',
  command: HVMOP_set_param,
  source: `${x86}, hvmop_set_param; arch/arm/hvm.c, do_hvm_op`,
  argument: xen_hvm_param,
  errors: [
    ...paramErrors,
    { error: 'XEN_ENODEV', when: 'HVM_PARAM_ACPI_IOPORTS_LOCATION on PVH' },
    {
      error: 'XEN_EINVAL',
      when: 'the value is none for that parameter; of the two VM86_TSS it crashes the domain',
    },
  ],
  body: (context, argument) => {
    const refused = paramError(context, argument);
    if (refused !== 0) return refused;
    return setOwnParam(context.domain, context.caller.id, argument.index, argument.value);
  },
});

const getParam = operation({
  name: 'HVMOP_get_param',
  command: HVMOP_get_param,
  source: `${x86}, hvmop_get_param; arch/arm/hvm.c, do_hvm_op`,
  argument: xen_hvm_param,
  copyBack: true,
  errors: [...paramErrors, { error: 'XEN_EFAULT', when: 'the value cannot be written' }],
  body: (context, argument) => {
    const refused = paramError(context, argument) || readError(context.domain, argument.index);
    if (refused !== 0) return refused;
    argument.value = hvmParam(context.domain, argument.index);
    return 0;
  },
});

const leastVector = 0x10;

/** Any vCPU may be named, any number of times; the upcall is injected immediately. */
const setVector = operation({
  name: 'HVMOP_set_evtchn_upcall_vector',
  command: HVMOP_set_evtchn_upcall_vector,
  source: `${x86}, hvmop_set_evtchn_upcall_vector`,
  argument: xen_hvm_evtchn_upcall_vector,
  vcpuId: ({ vcpu }) => vcpu,
  errors: [
    notOnArm,
    { error: 'XEN_EINVAL', when: 'the domain is a PV guest' },
    fault,
    { error: 'XEN_EINVAL', when: 'the vector is below 0x10' },
    { error: 'XEN_ENOENT', when: 'the domain has no vCPU of that id' },
  ],
  body: ({ domain }, { vcpu: vcpuId, vector }) => {
    if (vector < leastVector) return -XEN_EINVAL;
    const vcpu = domainVcpu(domain, vcpuId);
    if (vcpu === null) return -XEN_ENOENT;
    setUpcallVector(domain, vcpu, vector);
    return 0;
  },
});

const flushTlbs = plainOperation({
  name: 'HVMOP_flush_tlbs',
  command: HVMOP_flush_tlbs,
  source: `${x86}, do_hvm_op`,
  errors: [
    notOnArm,
    { error: 'XEN_EINVAL', when: 'the argument is not null' },
    { error: 'XEN_EINVAL', when: 'the domain is a PV guest' },
  ],
  body: ({ domain }, address) => (address === 0n && isX86Hvm(domain) ? 0 : -XEN_EINVAL),
});

const getMemType = operation({
  name: 'HVMOP_get_mem_type',
  command: HVMOP_get_mem_type,
  source: `${x86}, hvmop_get_mem_type`,
  argument: xen_hvm_get_mem_type,
  copyBack: true,
  errors: [
    notOnArm,
    fault,
    noDomain,
    { error: 'XEN_EPERM', when: 'the domain is another one' },
    { error: 'XEN_EINVAL', when: 'the domain is a PV guest' },
    { error: 'XEN_EFAULT', when: 'the type cannot be written' },
  ],
  body: ({ domain }, argument) => {
    const refused = targetError(domain, argument.domid);
    if (refused !== 0) return refused;
    if (!isX86Hvm(domain)) return -XEN_EINVAL;
    argument.mem_type = mfnOfGfn(domain, Number(argument.pfn)) === null ? HVMMEM_mmio_dm : HVMMEM_ram_rw;
    return 0;
  },
});

/** Useful only with shadow paging, which this host does not use; guests expect the refusal. */
const pagetableDying = operation({
  name: 'HVMOP_pagetable_dying',
  command: HVMOP_pagetable_dying,
  source: `${x86}, do_hvm_op`,
  argument: xen_hvm_pagetable_dying,
  errors: [
    notOnArm,
    fault,
    noDomain,
    { error: 'XEN_EOPNOTSUPP', when: 'the domain is another one' },
    { error: 'XEN_EINVAL', when: 'the domain has hardware-assisted paging: always, here' },
  ],
  body: ({ domain }, { domid }) => {
    const named = domainNamed(domain, domid);
    if (named === null) return -XEN_ESRCH;
    return named === 'self' ? -XEN_EINVAL : -XEN_EOPNOTSUPP;
  },
});

const getTime = plainOperation({
  name: 'HVMOP_get_time',
  command: HVMOP_get_time,
  source: `${x86}, do_hvm_op`,
  errors: [notOnArm, { error: 'XEN_EFAULT', when: 'the time cannot be written' }],
  body: (context, address) => {
    const now = { now: context.domain.state.nowNs };
    return copyOut(context, xen_hvm_get_time, address, now) ? 0 : -XEN_EFAULT;
  },
});

const guestRequest = plainOperation({
  name: 'HVMOP_guest_request_vm_event',
  command: HVMOP_guest_request_vm_event,
  source: `${x86} and arch/arm/hvm.c, do_hvm_op`,
  errors: [{ error: 'XEN_EINVAL', when: 'the argument is not null' }],
  body: (_context, address) => (address === 0n ? 0 : -XEN_EINVAL),
});

const altp2m = plainOperation({
  name: 'HVMOP_altp2m',
  command: HVMOP_altp2m,
  source: `${x86}, do_altp2m_op`,
  errors: [notOnArm, { error: 'XEN_EOPNOTSUPP', when: 'the host has no alternate p2m: always, here' }],
  body: () => -XEN_EOPNOTSUPP,
});

/** Xen on Arm does not have the operation; if `pv` says so, a PV guest is refused before the argument is read. */
function x86Only(made: SubOperation, pv: number): SubOperation {
  const refusal = (domain: Domain): number => {
    if (archOf(domain) === 'arm64') return -XEN_ENOSYS;
    return domain.state.config.kind === 'pv' ? pv : 0;
  };
  const run: SubOperation['run'] = (context, address) => {
    const returned = refusal(context.domain);
    return returned === 0 ? made.run(context, address) : { vcpuId: null, detail: {}, returned };
  };
  return { ...made, run };
}

export const hvm_op: HypercallFamily = {
  name: 'hvm_op',
  number: __HYPERVISOR_hvm_op,
  argumentRegister: 1,
  commandOf: ({ args }) => Number(BigInt.asUintN(64, args[0] ?? 0n)),
  operations: [
    setParam,
    getParam,
    x86Only(flushTlbs, 0),
    x86Only(pagetableDying, 0),
    x86Only(getTime, 0),
    x86Only(getMemType, 0),
    x86Only(setVector, -XEN_EINVAL),
    guestRequest,
    x86Only(altp2m, 0),
  ],
  unknown: () => -XEN_ENOSYS,
};
