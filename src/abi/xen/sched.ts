/** public/sched.h: what a vCPU asks of the scheduler, and why a domain shuts down. */
import { s32, struct, u32, u64 } from '../struct.js';
import { domid_t, guest_handle } from './types.js';

export const SCHEDOP_yield = 0;
export const SCHEDOP_block = 1;
export const SCHEDOP_shutdown = 2;
export const SCHEDOP_poll = 3;
export const SCHEDOP_remote_shutdown = 4;
export const SCHEDOP_shutdown_code = 5;
export const SCHEDOP_watchdog = 6;
export const SCHEDOP_pin_override = 7;

export const SHUTDOWN_poweroff = 0;
export const SHUTDOWN_reboot = 1;
export const SHUTDOWN_suspend = 2;
export const SHUTDOWN_crash = 3;
export const SHUTDOWN_watchdog = 4;
export const SHUTDOWN_soft_reset = 5;
/** The greatest reason that there is. */
export const SHUTDOWN_MAX = 5;

export const sched_shutdown = struct('sched_shutdown', { reason: u32 });

/** `ports` points to `nr_ports` evtchn_port_t; `timeout` is an absolute system time in ns, 0 for none. */
export const sched_poll = struct('sched_poll', { ports: guest_handle, nr_ports: u32, timeout: u64 });

export const sched_remote_shutdown = struct('sched_remote_shutdown', { domain_id: domid_t, reason: u32 });

/** `timeout` in seconds. */
export const sched_watchdog = struct('sched_watchdog', { id: u32, timeout: u32 });

/** `pcpu` negative: undo the override. */
export const sched_pin_override = struct('sched_pin_override', { pcpu: s32 });
