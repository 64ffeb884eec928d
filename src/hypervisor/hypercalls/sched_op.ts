/** sched_op: waiting, shutting the domain down, and its watchdogs (public/sched.h). */
import * as abi from '../../abi/index.js';
import { XEN_ENOSYS, XEN_EPERM, XEN_ESRCH } from '../../abi/index.js';
import { archOf } from '../arch.js';
import type { Domain, VcpuState } from '../domain.js';
import { toolstackDomid } from '../event_channels/remote.js';
import { blockVcpu, pollPorts } from '../event_channels/wait.js';
import { operation, plainOperation } from '../hypercall.js';
import type { ErrorRow, HypercallFamily } from '../hypercall.js';
import { domainShutdown } from '../power.js';
import { vcpuInfoView } from '../vcpu_info.js';
import { setWatchdog } from '../watchdog.js';

const unreadable: ErrorRow = { error: 'XEN_EFAULT', when: 'the argument cannot be read' };

const schedYield = plainOperation({
  name: 'SCHEDOP_yield',
  command: abi.SCHEDOP_yield,
  source: 'Xen 4.17 common/sched/core.c, vcpu_yield',
  errors: [],
  body: () => 0,
});

const block = plainOperation({
  name: 'SCHEDOP_block',
  command: abi.SCHEDOP_block,
  source: 'Xen 4.17 common/sched/core.c, vcpu_block_enable_events; asm/event.h, local_event_delivery_enable',
  errors: [],
  body: ({ domain, caller, cpu }) => {
    enableEvents(domain, caller);
    // On Arm the call itself unmasks interrupts: the machine clears the CPU's PSTATE.I.
    const interruptsOn = archOf(domain) === 'arm64' || (cpu.interruptsOn?.(caller.id) ?? true);
    blockVcpu(domain, caller, interruptsOn);
    return 0;
  },
  // On x86 it unmasks events in vcpu_info (enableEvents), and leaves the CPU's own flag.
  effects: ({ domain }) => (archOf(domain) === 'arm64' ? [{ kind: 'interruptsEnabled' }] : []),
});

/** x86, on HVM too: clears the caller's evtchn_upcall_mask. Arm has none. */
function enableEvents(domain: Domain, caller: VcpuState): void {
  if (archOf(domain) === 'arm64') return;
  vcpuInfoView(domain, caller, true)?.setUint8(abi.vcpu_info.x86_64.offsets.evtchn_upcall_mask, 0);
}

/** Only the low byte of a reason counts; every value is accepted. */
const reasonMask = 0xff;

const shutdown = operation({
  name: 'SCHEDOP_shutdown',
  command: abi.SCHEDOP_shutdown,
  source: 'Xen 4.17 common/sched/core.c, do_sched_op; common/domain.c, domain_shutdown',
  argument: abi.sched_shutdown,
  errors: [unreadable],
  body: ({ domain, caller }, { reason }) => {
    domainShutdown(domain, reason & reasonMask, caller.id);
    return 0;
  },
});

const shutdownCode = operation({
  name: 'SCHEDOP_shutdown_code',
  command: abi.SCHEDOP_shutdown_code,
  source: 'Xen 4.17 common/sched/core.c, do_sched_op',
  argument: abi.sched_shutdown,
  errors: [unreadable],
  body: ({ domain }, { reason }) => {
    domain.state.shutdownCode ??= reason & reasonMask;
    return 0;
  },
});

const poll = operation({
  name: 'SCHEDOP_poll',
  command: abi.SCHEDOP_poll,
  source: 'Xen 4.17 common/sched/core.c, do_poll',
  argument: abi.sched_poll,
  errors: [
    unreadable,
    { error: 'XEN_EINVAL', when: 'there are more than 128 ports' },
    { error: 'XEN_EFAULT', when: "on PV: the address of the ports lies in Xen's part of the address space" },
    { error: 'XEN_EFAULT', when: 'a port number cannot be read, and no port before it is pending' },
    {
      error: 'XEN_EINVAL',
      when: 'a port is not valid, closed or reserved, and no port before it is pending',
    },
  ],
  body: (context, { ports, nr_ports, timeout }) =>
    pollPorts(context, { address: ports, count: nr_ports, timeoutNs: timeout }),
});

const remoteShutdown = operation({
  name: 'SCHEDOP_remote_shutdown',
  command: abi.SCHEDOP_remote_shutdown,
  source: 'Xen 4.17 common/sched/core.c, do_sched_op; include/xsm/dummy.h, xsm_schedop_shutdown',
  argument: abi.sched_remote_shutdown,
  errors: [
    unreadable,
    { error: 'XEN_ESRCH', when: 'there is no domain of that id; DOMID_SELF is none here' },
    { error: 'XEN_EPERM', when: 'always: a domU may shut down none by its id, not even itself' },
  ],
  body: ({ domain }, { domain_id }) => {
    const exists = domain_id === domain.state.config.domid || domain_id === toolstackDomid;
    return exists ? -XEN_EPERM : -XEN_ESRCH;
  },
});

const watchdog = operation({
  name: 'SCHEDOP_watchdog',
  command: abi.SCHEDOP_watchdog,
  source: 'Xen 4.17 common/sched/core.c, domain_watchdog',
  argument: abi.sched_watchdog,
  errors: [
    unreadable,
    { error: 'XEN_EINVAL', when: 'the id is above 2' },
    { error: 'XEN_ENOSPC', when: 'the id is 0 and both watchdogs are in use' },
    { error: 'XEN_EINVAL', when: 'the id is not 0 and that watchdog is not in use' },
  ],
  body: ({ domain }, { id, timeout }) => setWatchdog(domain, id, timeout),
});

const pinOverride = plainOperation({
  name: 'SCHEDOP_pin_override',
  command: abi.SCHEDOP_pin_override,
  source: 'Xen 4.17 common/sched/core.c, do_sched_op',
  errors: [
    { error: 'XEN_EPERM', when: 'always, before the argument is read: the caller is no hardware domain' },
  ],
  body: () => -XEN_EPERM,
});

/** Every command answers the same in 4.17 and 4.18. */
export const sched_op: HypercallFamily = {
  name: 'sched_op',
  number: abi.__HYPERVISOR_sched_op,
  argumentRegister: 1,
  operations: [schedYield, block, shutdown, poll, remoteShutdown, shutdownCode, watchdog, pinOverride],
  unknown: () => -XEN_ENOSYS,
};
