/**
 * What Xen must hold for the domain, as far as the trace tells: replayed from what was asked and answered, by
 * rules of its own, so that a hypervisor that forgets or keeps what it should not is found out by its answers.
 */
import type { Run } from './finding.js';
import { argument, isPerVcpuVirq } from './operations.js';
import type { HypercallEvent, Platform, StartEvent, TraceEvent } from './trace.js';

/** Whether a vCPU is up, or has registers: sure, or not to be told from the trace (as when another kernel takes over). */
export type Sure = 'yes' | 'no' | 'unknown';

export interface VcpuView {
  up: Sure;
  initialised: Sure;
}

export interface PortView {
  readonly kind: 'ipi' | 'virq' | 'movable';
  /** Which VIRQ; null for other kinds. */
  readonly virq: number | null;
  /** Where its events go, or for a port that moves, went at first. */
  readonly vcpu: number;
  readonly kernel: number;
}

/** The call by which a vCPU got what it has. */
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
  /** By port number. Ports of the toolstack are not in it. */
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

/** The call gave a port, which its argument names when it returns. */
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

/** The vCPU to which a port goes at first that is bound without naming one. */
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

/** Changes `view` as `event` changed the domain. */
function apply(view: DomainView, event: TraceEvent): void {
  if (event.kind === 'kernel') takeOver(view, event.kernel, event.entryVcpu);
  else if (event.kind === 'hypercall') applyCall(view, event);
  else if (event.kind === 'start') applyStart(view, event);
  else if (event.kind === 'stop') goesDown(view, event.vcpu);
  else if (event.kind === 'running' || event.kind === 'online') runs(view, event.vcpu);
  else if (event.kind === 'offline') {
    // It is about to stop, which is an event of its own; the INIT that precedes a start on x86 is none.
    const vcpu = view.vcpus[event.vcpu];
    if (vcpu !== undefined) [vcpu.up, vcpu.initialised] = ['unknown', 'unknown'];
  } else if (event.kind === 'reset') {
    dropEvents(view);
    view.vcpuInfo = new Map();
  }
}

/** Calls `visit` for each event of `run`, in order, with what Xen held before it. */
export function replay(run: Run, visit: (event: TraceEvent, view: DomainView) => void): void {
  const view = newView(run.platform);
  for (const event of run.events) {
    visit(event, view);
    apply(view, event);
  }
}

/** Whether a port moves with EVTCHNOP_bind_vcpu: all but IPIs and the VIRQs of one vCPU. */
export function isMovable(port: PortView): boolean {
  return port.kind === 'movable' || (port.virq !== null && !isPerVcpuVirq(port.virq));
}
