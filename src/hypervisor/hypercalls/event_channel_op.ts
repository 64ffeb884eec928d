/** event_channel_op: binding, sending, masking and moving events (public/event_channel.h). */
import * as abi from '../../abi/index.js';
import { XEN_EBUSY, XEN_EINVAL, XEN_ENOENT, XEN_ENOSYS } from '../../abi/index.js';
import { XEN_EOPNOTSUPP, XEN_EPERM, XEN_ESRCH } from '../../abi/index.js';
import type { Binding, Domain } from '../domain.js';
import type { CallEffect } from '../effects.js';
import * as bind from '../event_channels/bind.js';
import { channelAt } from '../event_channels/channel.js';
import { expandArray, initControl, isControlBlockOffset } from '../event_channels/fifo_setup.js';
import { notify, setPriority, unmask } from '../event_channels/pending.js';
import { closePort, resetEvents } from '../event_channels/ports.js';
import { sendToRemote } from '../event_channels/remote.js';
import { domainVcpu, operation } from '../hypercall.js';
import type { ErrorRow, HypercallFamily } from '../hypercall.js';

const unreadable: ErrorRow = { error: 'XEN_EFAULT', when: 'the argument cannot be read' };
/** Checked last: the effects of the call remain. */
const unwritable: ErrorRow = { error: 'XEN_EFAULT', when: 'the answer cannot be written; all else was done' };
const noPort: ErrorRow = { error: 'XEN_ENOSPC', when: 'no port is free' };
const noDomain: ErrorRow = { error: 'XEN_ESRCH', when: 'there is no domain of that id' };
const noVcpu: ErrorRow = { error: 'XEN_ENOENT', when: 'there is no vCPU of that id' };
const invalidPort: ErrorRow = { error: 'XEN_EINVAL', when: 'the port is not valid' };
const otherDomain: ErrorRow = { error: 'XEN_EPERM', when: 'the domain is not the caller' };

/** The vCPU that a port notifies, as an effect. */
function boundEffect(domain: Domain, port: number): readonly CallEffect[] {
  const channel = channelAt(domain, port);
  return channel === null ? [] : [{ kind: 'portBound', port, vcpu: channel.notifyVcpu }];
}

const allocUnbound = operation({
  name: 'EVTCHNOP_alloc_unbound',
  command: abi.EVTCHNOP_alloc_unbound,
  source: 'Xen 4.17 common/event_channel.c, evtchn_alloc_unbound',
  argument: abi.evtchn_alloc_unbound,
  copyBack: true,
  errors: [unreadable, noDomain, noPort, otherDomain, unwritable],
  body: ({ domain }, argument) => {
    const port = bind.allocUnbound(domain, argument.dom, argument.remote_dom);
    if (port >= 0) argument.port = port;
    return Math.min(port, 0);
  },
});

const bindInterdomain = operation({
  name: 'EVTCHNOP_bind_interdomain',
  command: abi.EVTCHNOP_bind_interdomain,
  source: 'Xen 4.17 common/event_channel.c, evtchn_bind_interdomain',
  argument: abi.evtchn_bind_interdomain,
  copyBack: true,
  errors: [
    unreadable,
    noDomain,
    noPort,
    { error: 'XEN_EINVAL', when: 'the remote port is not valid' },
    { error: 'XEN_EINVAL', when: 'the remote port is not unbound, or not meant for the caller' },
    unwritable,
  ],
  body: ({ domain }, argument) => {
    const port = bind.bindInterdomain(domain, argument.remote_dom, argument.remote_port);
    if (port >= 0) argument.local_port = port;
    return Math.min(port, 0);
  },
});

const bindVirq = operation({
  name: 'EVTCHNOP_bind_virq',
  command: abi.EVTCHNOP_bind_virq,
  source: 'Xen 4.17 common/event_channel.c, evtchn_bind_virq',
  argument: abi.evtchn_bind_virq,
  copyBack: true,
  vcpuId: ({ vcpu }) => vcpu,
  errors: [
    unreadable,
    { error: 'XEN_EINVAL', when: 'the virq is 24 or more' },
    { error: 'XEN_EINVAL', when: "the virq is the domain's, not a vCPU's, and the vCPU is not 0" },
    noVcpu,
    { error: 'XEN_EEXIST', when: 'the virq is bound on that vCPU' },
    noPort,
    unwritable,
  ],
  body: ({ domain }, argument) => {
    const port = bind.bindVirq(domain, argument.virq, argument.vcpu);
    if (port >= 0) argument.port = port;
    return Math.min(port, 0);
  },
  effects: ({ domain }, { port }) => boundEffect(domain, port),
});

const bindPirq = operation({
  name: 'EVTCHNOP_bind_pirq',
  command: abi.EVTCHNOP_bind_pirq,
  source: 'Xen 4.17 common/event_channel.c, evtchn_bind_pirq; arch/arm/irq.c, alloc_pirq_struct',
  argument: abi.evtchn_bind_pirq,
  copyBack: true,
  errors: [
    unreadable,
    { error: 'XEN_EINVAL', when: 'the pirq is beyond those of the domain' },
    { error: 'XEN_EPERM', when: 'on PV: the domain has no access to the pirq' },
    { error: 'XEN_EEXIST', when: 'the pirq is bound' },
    noPort,
    { error: 'XEN_ENOMEM', when: 'on Arm: always, since it has no pirqs' },
    unwritable,
  ],
  body: ({ domain }, argument) => {
    const port = bind.bindPirq(domain, argument.pirq);
    if (port >= 0) argument.port = port;
    return Math.min(port, 0);
  },
});

const bindIpi = operation({
  name: 'EVTCHNOP_bind_ipi',
  command: abi.EVTCHNOP_bind_ipi,
  source: 'Xen 4.17 common/event_channel.c, evtchn_bind_ipi',
  argument: abi.evtchn_bind_ipi,
  copyBack: true,
  vcpuId: ({ vcpu }) => vcpu,
  errors: [unreadable, noVcpu, noPort, unwritable],
  body: ({ domain }, argument) => {
    const port = bind.bindIpi(domain, argument.vcpu);
    if (port >= 0) argument.port = port;
    return Math.min(port, 0);
  },
  effects: ({ domain }, { port }) => boundEffect(domain, port),
});

const close = operation({
  name: 'EVTCHNOP_close',
  command: abi.EVTCHNOP_close,
  source: 'Xen 4.17 common/event_channel.c, evtchn_close',
  argument: abi.evtchn_close,
  errors: [unreadable, invalidPort, { error: 'XEN_EINVAL', when: 'the port is closed or reserved' }],
  body: ({ domain }, { port }) => closePort(domain, port),
  effects: (_, { port }) => [{ kind: 'portClosed', port }],
});

const send = operation({
  name: 'EVTCHNOP_send',
  command: abi.EVTCHNOP_send,
  source: 'Xen 4.17 common/event_channel.c, evtchn_send',
  argument: abi.evtchn_send,
  errors: [
    unreadable,
    invalidPort,
    { error: 'XEN_EINVAL', when: 'the port is closed, reserved, or bound to a virq or pirq' },
  ],
  body: ({ domain }, { port }) => sendFrom(domain, port),
});

/** An event sent to an unbound port is lost. Events for the toolstack's domain are left for its daemons. */
function sendFrom(domain: Domain, port: number): number {
  const binding = channelAt(domain, port)?.binding;
  if (binding?.kind === 'unbound') return 0;
  if (binding?.kind !== 'interdomain' && binding?.kind !== 'ipi') return -XEN_EINVAL;
  if (binding.kind === 'ipi') notify(domain, port);
  else if (binding.remoteDomid === domain.state.config.domid) notify(domain, binding.remotePort);
  else sendToRemote(domain, port);
  return 0;
}

const status = operation({
  name: 'EVTCHNOP_status',
  command: abi.EVTCHNOP_status,
  source: 'Xen 4.17 common/event_channel.c, evtchn_status',
  argument: abi.evtchn_status,
  copyBack: true,
  errors: [unreadable, noDomain, invalidPort, otherDomain, unwritable],
  body: ({ domain }, argument) => {
    const named = bind.domainNamed(domain, argument.dom);
    if (named === null) return -XEN_ESRCH;
    // The valid ports of the toolstack's domain are not modelled: all are valid.
    if (named === 'toolstack') return -XEN_EPERM;
    const channel = channelAt(domain, argument.port);
    if (channel === null) return -XEN_EINVAL;
    Object.assign(argument, statusOf(channel.binding), { vcpu: channel.notifyVcpu });
    return 0;
  },
});

type Status = abi.ValueOf<typeof abi.evtchn_status>;

/** EVTCHNSTAT_* and the corresponding member of the union; without one, the union stays as it was passed. */
function statusOf(binding: Binding): Pick<Status, 'status' | 'u'> {
  switch (binding.kind) {
    case 'free':
    case 'reserved':
      return { status: abi.EVTCHNSTAT_closed, u: {} };
    case 'unbound':
      return { status: abi.EVTCHNSTAT_unbound, u: { unbound: { dom: binding.remoteDomid } } };
    case 'interdomain': {
      const { remoteDomid: dom, remotePort: port } = binding;
      return { status: abi.EVTCHNSTAT_interdomain, u: { interdomain: { dom, port } } };
    }
    case 'pirq':
      return { status: abi.EVTCHNSTAT_pirq, u: { pirq: binding.pirq } };
    case 'virq':
      return { status: abi.EVTCHNSTAT_virq, u: { virq: binding.virq } };
    case 'ipi':
      return { status: abi.EVTCHNSTAT_ipi, u: {} };
  }
}

const bindVcpu = operation({
  name: 'EVTCHNOP_bind_vcpu',
  command: abi.EVTCHNOP_bind_vcpu,
  source: 'Xen 4.17 common/event_channel.c, evtchn_bind_vcpu',
  argument: abi.evtchn_bind_vcpu,
  vcpuId: ({ vcpu }) => vcpu,
  errors: [
    unreadable,
    noVcpu,
    invalidPort,
    {
      error: 'XEN_EINVAL',
      when: "the port is closed or reserved, an IPI's, or that of a virq of one vCPU's own",
    },
  ],
  body: ({ domain }, { port, vcpu }) => bind.bindVcpu(domain, port, vcpu),
  effects: ({ domain }, { port }) => boundEffect(domain, port),
});

const unmaskPort = operation({
  name: 'EVTCHNOP_unmask',
  command: abi.EVTCHNOP_unmask,
  source: 'Xen 4.17 common/event_channel.c, evtchn_unmask',
  argument: abi.evtchn_unmask,
  errors: [unreadable, invalidPort],
  body: ({ domain }, { port }) => {
    if (channelAt(domain, port) === null) return -XEN_EINVAL;
    unmask(domain, port);
    return 0;
  },
});

/** The domain that EVTCHNOP_reset names must be the caller: 0, -XEN_ESRCH or -XEN_EPERM. */
function checkReset(domain: Domain, domid: number): number {
  const named = bind.domainNamed(domain, domid);
  if (named === null) return -XEN_ESRCH;
  return named === 'toolstack' ? -XEN_EPERM : 0;
}

const reset = operation({
  name: 'EVTCHNOP_reset',
  command: abi.EVTCHNOP_reset,
  source: 'Xen 4.17 common/event_channel.c, do_event_channel_op and evtchn_reset',
  argument: abi.evtchn_reset,
  errors: [unreadable, noDomain, otherDomain],
  body: ({ domain }, { dom }) => checkReset(domain, dom) || resetEvents(domain),
  effects: () => [{ kind: 'eventsReset' }],
});

const resetCont = operation({
  name: 'EVTCHNOP_reset_cont',
  command: abi.EVTCHNOP_reset_cont,
  source: 'Xen 4.17 common/event_channel.c, do_event_channel_op and evtchn_reset',
  argument: abi.evtchn_reset,
  errors: [
    unreadable,
    noDomain,
    otherDomain,
    { error: 'XEN_EBUSY', when: 'always: no reset is under way that it could continue' },
  ],
  body: ({ domain }, { dom }) => checkReset(domain, dom) || -XEN_EBUSY,
});

const withoutFifo: ErrorRow = { error: 'XEN_EOPNOTSUPP', when: 'Xen was built without the FIFO ABI' };

const initControlBlock = operation({
  name: 'EVTCHNOP_init_control',
  command: abi.EVTCHNOP_init_control,
  source: 'Xen 4.17 common/event_fifo.c, evtchn_fifo_init_control',
  argument: abi.evtchn_init_control,
  copyBack: true,
  vcpuId: ({ vcpu }) => vcpu,
  errors: [
    unreadable,
    withoutFifo,
    noVcpu,
    { error: 'XEN_EINVAL', when: 'the control block would cross the end of its page' },
    { error: 'XEN_EINVAL', when: 'the offset is no multiple of 8' },
    { error: 'XEN_EINVAL', when: 'that vCPU has its control block' },
    { error: 'XEN_EINVAL', when: 'there is no page at control_gfn' },
    unwritable,
  ],
  body: ({ domain }, argument) => {
    if (!domain.state.config.fifo) return -XEN_EOPNOTSUPP;
    argument.link_bits = abi.EVTCHN_FIFO_LINK_BITS;
    const vcpu = domainVcpu(domain, argument.vcpu);
    if (vcpu === null) return -XEN_ENOENT;
    if (!isControlBlockOffset(argument.offset)) return -XEN_EINVAL;
    return initControl(domain, vcpu, argument.control_gfn, argument.offset);
  },
});

const expandEventArray = operation({
  name: 'EVTCHNOP_expand_array',
  command: abi.EVTCHNOP_expand_array,
  source: 'Xen 4.17 common/event_fifo.c, evtchn_fifo_expand_array and add_page_to_event_array',
  argument: abi.evtchn_expand_array,
  errors: [
    unreadable,
    { error: 'XEN_EOPNOTSUPP', when: 'the domain does not use the FIFO ABI' },
    { error: 'XEN_ENOSPC', when: 'the array has all its 128 pages' },
    { error: 'XEN_EINVAL', when: 'there is no page at array_gfn' },
  ],
  body: ({ domain }, { array_gfn }) => expandArray(domain, array_gfn),
});

const setPortPriority = operation({
  name: 'EVTCHNOP_set_priority',
  command: abi.EVTCHNOP_set_priority,
  source: 'Xen 4.17 common/event_channel.c, evtchn_set_priority; event_channel.h, evtchn_port_set_priority',
  argument: abi.evtchn_set_priority,
  errors: [
    unreadable,
    invalidPort,
    { error: 'XEN_ENOSYS', when: 'the domain does not use the FIFO ABI' },
    { error: 'XEN_EACCES', when: 'the port is closed or reserved' },
    { error: 'XEN_EINVAL', when: 'the priority is above 15' },
  ],
  body: ({ domain }, { port, priority }) => {
    const channel = channelAt(domain, port);
    return channel === null ? -XEN_EINVAL : setPriority(domain, channel, priority);
  },
});

/** All commands answer the same in 4.17 and 4.18: their event_channel.c differs only in messages. */
export const event_channel_op: HypercallFamily = {
  name: 'event_channel_op',
  number: abi.__HYPERVISOR_event_channel_op,
  argumentRegister: 1,
  operations: [
    bindInterdomain,
    bindVirq,
    bindPirq,
    close,
    send,
    status,
    allocUnbound,
    bindIpi,
    bindVcpu,
    unmaskPort,
    reset,
    initControlBlock,
    expandEventArray,
    setPortPriority,
    resetCont,
  ],
  unknown: () => -XEN_ENOSYS,
};
