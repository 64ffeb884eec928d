/**
 * The state that Xen must keep for the domain, as far as the trace shows it. It is replayed from calls and answers by
 * independent rules, so that wrong answers reveal a hypervisor that loses state or keeps too much.
 */
import type { Run } from './finding.js';
import { argument, isPerVcpuVirq } from './operations.js';
import type { HypercallEvent, Platform, StartEvent, TraceEvent } from './trace.js';

/** Whether a vCPU is up, or has registers: known, or not visible in the trace (as when another kernel takes over). */
export type Sure = 'yes' | 'no' | 'unknown';

export interface VcpuView {
  up: Sure;
  initialised: Sure;
}

export interface PortView {
  readonly kind: 'ipi' | 'virq' | 'movable';
  /** Which VIRQ; null for other kinds. */
  readonly virq: number | null;
  /** The vCPU that its events notify; for a port that can be moved, the first one. */
  readonly vcpu: number;
  readonly kernel: number;
}

/** The call that registered something for a vCPU. */
type Registered = Map<number, HypercallEvent>;

export interface DomainView {
  readonly platform: Platform;
  /** The kernel that runs; null before the first. */
  kernel: number | null;
  readonly vcpus: VcpuView[];
  vcpuInfo: Registered;
  controlBlock: Registered;
  /** Not cleared by a soft reset (Xen 4.17 common/domain.c, domain_soft_reset; arch/x86/domain.c). */
  readonly upcallVector: Registered;
  /** By port number. The toolstack's ports are not included. */
  ports: Map<number, PortView>;
}

function newView(platform: Platform): DomainView {
  const vcpus = platform.hardwareIds.map((): VcpuView => ({ up: 'no', initialised: 'no' }));
  const [vcpuInfo, controlBlock, upcallVector] = [new Map(), new Map(), new Map()] as [
    Registered,
    Registered,
    Registered,
  ];
  return { platform, kernel: null, vcpus, vcpuInfo, controlBlock, upcallVector, ports: new Map() };
}

/** Whether the domain uses FIFO events: from the first control block on, until a reset. */
export function usesFifo(view: DomainView): boolean {
  return view.controlBlock.size > 0;
}

function runs(view: DomainView, vcpu: number): void {
  const known = view.vcpus[vcpu];
  if (known !== undefined) [known.up, known.initialised] = ['yes', 'yes'];
}

function goesDown(view: DomainView, vcpu: number): void {
  const known = view.vcpus[vcpu];
  if (known !== undefined) known.up = 'no';
}

function takeOver(view: DomainView, kernel: number, entryVcpu: number): void {
  if (view.kernel !== null)
    for (const vcpu of view.vcpus) [vcpu.up, vcpu.initialised] = ['unknown', 'unknown'];
  view.kernel = kernel;
  runs(view, entryVcpu);
}

function dropEvents(view: DomainView): void {
  view.controlBlock = new Map();
  view.ports = new Map();
}

/** What an accepted call changes. `vcpuId` is the id that it carries. */
type Effect = (view: DomainView, event: HypercallEvent, vcpuId: number) => void;

/** The call allocated a port, which its argument contains on return. */
function bind(kind: PortView['kind']): Effect {
  return ({ ports }, { call, kernel }, vcpu) => {
    const port = argument(call, 'port');
    const virq = kind === 'virq' ? argument(call, 'virq') : null;
    if (port !== null) ports.set(port, { kind, virq, vcpu, kernel });
  };
}

/** Effects of calls that carry a vCPU id. */
const effects: Readonly<Record<string, Effect>> = {
  VCPUOP_register_vcpu_info: ({ vcpuInfo }, event, vcpuId) => vcpuInfo.set(vcpuId, event),
  EVTCHNOP_init_control: ({ controlBlock }, event, vcpuId) => controlBlock.set(vcpuId, event),
  HVMOP_set_evtchn_upcall_vector: ({ upcallVector }, event, vcpuId) => upcallVector.set(vcpuId, event),
  EVTCHNOP_bind_ipi: bind('ipi'),
  EVTCHNOP_bind_virq: bind('virq'),
  VCPUOP_initialise: ({ vcpus }, _event, vcpuId) => {
    const vcpu = vcpus[vcpuId];
    if (vcpu !== undefined) vcpu.initialised = 'yes';
  },
  VCPUOP_up: (view, _event, vcpuId) => runs(view, vcpuId),
  VCPUOP_down: (view, _event, vcpuId) => goesDown(view, vcpuId),
};

/** The vCPU that a port first notifies if the call that binds it names none. */
const firstVcpu = 0;

function applyAccepted(view: DomainView, event: HypercallEvent): void {
  const { op, vcpuId } = event.call;
  if (vcpuId !== null) effects[op]?.(view, event, vcpuId);
  else if (op === 'EVTCHNOP_alloc_unbound') bind('movable')(view, event, firstVcpu);
  else if (op === 'EVTCHNOP_reset') dropEvents(view);
  else if (op === 'EVTCHNOP_close') {
    const port = argument(event.call, 'port');
    if (port !== null) view.ports.delete(port);
  }
}

function applyStart(view: DomainView, { returned, target }: StartEvent): void {
  if (returned === 0 && target !== null) runs(view, target);
}

function applyCall(view: DomainView, event: HypercallEvent): void {
  runs(view, event.vcpu);
  if (event.call.returned >= 0) applyAccepted(view, event);
}

/** Applies to `view` what `event` changed in the domain. */
function apply(view: DomainView, event: TraceEvent): void {
  if (event.kind === 'kernel') takeOver(view, event.kernel, event.entryVcpu);
  else if (event.kind === 'hypercall') applyCall(view, event);
  else if (event.kind === 'start') applyStart(view, event);
  else if (event.kind === 'stop') goesDown(view, event.vcpu);
  else if (event.kind === 'running' || event.kind === 'online') runs(view, event.vcpu);
  else if (event.kind === 'offline') {
    // The vCPU is about to stop, which is an event of its own; on x86 the INIT before a start is not.
    const vcpu = view.vcpus[event.vcpu];
    if (vcpu !== undefined) [vcpu.up, vcpu.initialised] = ['unknown', 'unknown'];
  } else if (event.kind === 'reset' && event.domain !== undefined) {
    Object.assign(view, newView(view.platform));
  } else if (event.kind === 'reset') {
    dropEvents(view);
    view.vcpuInfo = new Map();
  }
}

/** Calls `visit` for each event of `run`, in order, with Xen's state before the event. */
export function replay(run: Run, visit: (event: TraceEvent, view: DomainView) => void): void {
  const view = newView(run.platform);
  for (const event of run.events) {
    visit(event, view);
    apply(view, event);
  }
}

/** Whether EVTCHNOP_bind_vcpu can move a port: all but IPIs and per-vCPU VIRQs. */
export function isMovable(port: PortView): boolean {
  return port.kind === 'movable' || (port.virq !== null && !isPerVcpuVirq(port.virq));
}
