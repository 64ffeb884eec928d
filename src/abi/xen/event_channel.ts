/**
 * public/event_channel.h: event channel operations, and the shared memory of both event ABIs. (The bitmaps of
 * the two-level ABI live in shared_info and vcpu_info; see xen.ts.)
 */
import { array, struct, u32, u64, u8, union } from '../struct.js';
import { domid_t, evtchn_port_t } from './types.js';

export const EVTCHNOP_bind_interdomain = 0;
export const EVTCHNOP_bind_virq = 1;
export const EVTCHNOP_bind_pirq = 2;
export const EVTCHNOP_close = 3;
export const EVTCHNOP_send = 4;
export const EVTCHNOP_status = 5;
export const EVTCHNOP_alloc_unbound = 6;
export const EVTCHNOP_bind_ipi = 7;
export const EVTCHNOP_bind_vcpu = 8;
export const EVTCHNOP_unmask = 9;
export const EVTCHNOP_reset = 10;
export const EVTCHNOP_init_control = 11;
export const EVTCHNOP_expand_array = 12;
export const EVTCHNOP_set_priority = 13;
/** Xen's own continuation of a long EVTCHNOP_reset; with no reset under way it is answered EBUSY. */
export const EVTCHNOP_reset_cont = 14;

export const evtchn_alloc_unbound = struct('evtchn_alloc_unbound', {
  dom: domid_t,
  remote_dom: domid_t,
  port: evtchn_port_t,
});

export const evtchn_bind_interdomain = struct('evtchn_bind_interdomain', {
  remote_dom: domid_t,
  remote_port: evtchn_port_t,
  local_port: evtchn_port_t,
});

export const evtchn_bind_virq = struct('evtchn_bind_virq', { virq: u32, vcpu: u32, port: evtchn_port_t });

export const BIND_PIRQ__WILL_SHARE = 1;

export const evtchn_bind_pirq = struct('evtchn_bind_pirq', { pirq: u32, flags: u32, port: evtchn_port_t });

export const evtchn_bind_ipi = struct('evtchn_bind_ipi', { vcpu: u32, port: evtchn_port_t });

export const evtchn_close = struct('evtchn_close', { port: evtchn_port_t });

export const evtchn_send = struct('evtchn_send', { port: evtchn_port_t });

export const EVTCHNSTAT_closed = 0;
export const EVTCHNSTAT_unbound = 1;
export const EVTCHNSTAT_interdomain = 2;
export const EVTCHNSTAT_pirq = 3;
export const EVTCHNSTAT_virq = 4;
export const EVTCHNSTAT_ipi = 5;

export const evtchn_status = struct('evtchn_status', {
  dom: domid_t,
  port: evtchn_port_t,
  status: u32,
  vcpu: u32,
  u: union('u', {
    unbound: struct('unbound', { dom: domid_t }),
    interdomain: struct('interdomain', { dom: domid_t, port: evtchn_port_t }),
    pirq: u32,
    virq: u32,
  }),
});

export const evtchn_bind_vcpu = struct('evtchn_bind_vcpu', { port: evtchn_port_t, vcpu: u32 });

export const evtchn_unmask = struct('evtchn_unmask', { port: evtchn_port_t });

export const evtchn_reset = struct('evtchn_reset', { dom: domid_t });

export const evtchn_init_control = struct('evtchn_init_control', {
  control_gfn: u64,
  offset: u32,
  vcpu: u32,
  link_bits: u8,
  _pad: array(u8, 7),
});

export const evtchn_expand_array = struct('evtchn_expand_array', { array_gfn: u64 });

export const evtchn_set_priority = struct('evtchn_set_priority', { port: evtchn_port_t, priority: u32 });

/** Ports of the two-level ABI: 64 words of 64 bits. */
export const EVTCHN_2L_NR_CHANNELS = 4096;

export const EVTCHN_FIFO_PRIORITY_MAX = 0;
export const EVTCHN_FIFO_PRIORITY_DEFAULT = 7;
export const EVTCHN_FIFO_PRIORITY_MIN = 15;
export const EVTCHN_FIFO_MAX_QUEUES = 16;

/** One word for each port: flag bits on top, the next port of the queue below. */
export const event_word_t = u32;
/** Bit numbers in an event word. */
export const EVTCHN_FIFO_PENDING = 31;
export const EVTCHN_FIFO_MASKED = 30;
export const EVTCHN_FIFO_LINKED = 29;
export const EVTCHN_FIFO_BUSY = 28;
export const EVTCHN_FIFO_LINK_BITS = 17;
export const EVTCHN_FIFO_LINK_MASK = 0x1ffff;
export const EVTCHN_FIFO_NR_CHANNELS = 0x20000;

export const evtchn_fifo_control_block = struct('evtchn_fifo_control_block', {
  ready: u32,
  _rsvd: u32,
  head: array(u32, EVTCHN_FIFO_MAX_QUEUES),
});
