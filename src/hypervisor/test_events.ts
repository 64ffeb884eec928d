/** For this module's tests: event channels as a guest works on them, by hypercalls and in memory. The entry point does not export it. */
import * as abi from '../abi/index.js';
import { archOf } from './arch.js';
import type { Domain } from './domain.js';
import { call, peek, poke } from './test_domain.js';
import { sharedInfoView } from './vcpu_info.js';

/** Makes an event channel operation as vCPU 0. What Xen answers. */
export function op<A>(domain: Domain, command: number, type: abi.Struct<unknown, A>, argument: A): number {
  return call(domain, 0, abi.__HYPERVISOR_event_channel_op, command, poke(domain, type, argument)).returned;
}

export function allocUnbound(domain: Domain, remote_dom: number): number {
  const argument = { dom: abi.DOMID_SELF, remote_dom, port: 0 };
  return answer(op(domain, abi.EVTCHNOP_alloc_unbound, abi.evtchn_alloc_unbound, argument), () => {
    return peek(domain, abi.evtchn_alloc_unbound).port;
  });
}

/** Binds to the domain's own unbound port. */
export function bindLoop(domain: Domain, remote_port: number): number {
  const argument = { remote_dom: abi.DOMID_SELF, remote_port, local_port: 0 };
  return answer(op(domain, abi.EVTCHNOP_bind_interdomain, abi.evtchn_bind_interdomain, argument), () => {
    return peek(domain, abi.evtchn_bind_interdomain).local_port;
  });
}

export function bindIpi(domain: Domain, vcpu = 0): number {
  return answer(op(domain, abi.EVTCHNOP_bind_ipi, abi.evtchn_bind_ipi, { vcpu, port: 0 }), () => {
    return peek(domain, abi.evtchn_bind_ipi).port;
  });
}

export function bindVirq(domain: Domain, virq: number, vcpu: number): number {
  return answer(op(domain, abi.EVTCHNOP_bind_virq, abi.evtchn_bind_virq, { virq, vcpu, port: 0 }), () => {
    return peek(domain, abi.evtchn_bind_virq).port;
  });
}

export function bindPirq(domain: Domain, pirq: number): number {
  return answer(op(domain, abi.EVTCHNOP_bind_pirq, abi.evtchn_bind_pirq, { pirq, flags: 0, port: 0 }), () => {
    return peek(domain, abi.evtchn_bind_pirq).port;
  });
}

/** The port that the call made, or the error that it answered. */
function answer(returned: number, port: () => number): number {
  return returned === 0 ? port() : returned;
}

export function bindVcpu(domain: Domain, port: number, vcpu: number): number {
  return op(domain, abi.EVTCHNOP_bind_vcpu, abi.evtchn_bind_vcpu, { port, vcpu });
}

export function close(domain: Domain, port: number): number {
  return op(domain, abi.EVTCHNOP_close, abi.evtchn_close, { port });
}

export function send(domain: Domain, port: number): number {
  return op(domain, abi.EVTCHNOP_send, abi.evtchn_send, { port });
}

export function unmask(domain: Domain, port: number): number {
  return op(domain, abi.EVTCHNOP_unmask, abi.evtchn_unmask, { port });
}

export function reset(domain: Domain): number {
  return op(domain, abi.EVTCHNOP_reset, abi.evtchn_reset, { dom: abi.DOMID_SELF });
}

export function setPriority(domain: Domain, port: number, priority: number): number {
  return op(domain, abi.EVTCHNOP_set_priority, abi.evtchn_set_priority, { port, priority });
}

export function initControl(domain: Domain, vcpu: number, gfn: number, offset = 0): number {
  const argument = { control_gfn: BigInt(gfn), offset, vcpu, link_bits: 0, _pad: [] };
  return op(domain, abi.EVTCHNOP_init_control, abi.evtchn_init_control, argument);
}

export function expandArray(domain: Domain, gfn: number): number {
  return op(domain, abi.EVTCHNOP_expand_array, abi.evtchn_expand_array, { array_gfn: BigInt(gfn) });
}

export function status(domain: Domain, port: number): abi.ValueOf<typeof abi.evtchn_status> {
  const u = { interdomain: { dom: 0xeeee, port: 0xeeee_eeee } };
  const argument = { dom: abi.DOMID_SELF, port, status: 99, vcpu: 99, u };
  op(domain, abi.EVTCHNOP_status, abi.evtchn_status, argument);
  return peek(domain, abi.evtchn_status);
}

type Bitmap = 'evtchn_pending' | 'evtchn_mask';

function bitmapByte(domain: Domain, bitmap: Bitmap, port: number): number {
  const { evtchn_pending, evtchn_mask } = abi.shared_info[archOf(domain)].offsets;
  return (bitmap === 'evtchn_pending' ? evtchn_pending : evtchn_mask) + (port >>> 3);
}

/** A port's bit of the two-level ABI. */
export function getBit(domain: Domain, bitmap: Bitmap, port: number): boolean {
  const byte = sharedInfoView(domain, false).getUint8(bitmapByte(domain, bitmap, port));
  return ((byte >>> (port & 7)) & 1) === 1;
}

/** As the guest writes it, straight to memory. */
export function putBit(domain: Domain, bitmap: Bitmap, port: number, value: boolean): void {
  const view = sharedInfoView(domain, true);
  const at = bitmapByte(domain, bitmap, port);
  const flag = 1 << (port & 7);
  view.setUint8(at, value ? view.getUint8(at) | flag : view.getUint8(at) & ~flag);
}
