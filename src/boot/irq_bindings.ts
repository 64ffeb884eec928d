/**
 * Reads the kernel's table of interrupts after each call that binds a port to a vCPU. The kernel writes its table
 * only after the call has returned, and in steps, between which functions that it calls may make other calls. So the table is read when
 * all should be done: when the calling function has returned, or makes its next call itself, or when another call concerns the same
 * port (both hold the interrupt's lock).
 */
import { viewOf } from '../abi/index.js';
import type { CallRecord } from '../hypervisor/index.js';
import { linuxCpu } from '../identity/index.js';
import type { LinuxCpu, XenVcpuId } from '../identity/index.js';
import type { IrqTable } from '../introspect/index.js';
import type { Guest } from './guest.js';
import type { KernelView } from './kernel_view.js';

/** How many bytes of the caller's stack are searched. */
const stackBytes = 512;
/** Maximum size of a stack (Linux THREAD_SIZE with 64 KiB pages): a stack pointer that is farther away is on another stack. */
const mostStack = 1n << 16n;
/** Maximum number of ports to wait for at the same time. */
const mostOpen = 4096;

/** A call whose effect on the table is not visible yet. */
interface Look {
  readonly vcpu: XenVcpuId;
  /** The stack pointer of the function that made the call. */
  readonly stack: bigint;
}

/** A plain value: by port, the calls whose effect is not visible yet. */
export type IrqBindingsState = readonly (readonly [port: number, look: Look])[];

/** What is read of the guest and of its kernel. */
type BoundGuest = Pick<Guest, 'anchors'>;
type BoundKernel = Pick<KernelView, 'hasCpu' | 'irqTable' | 'readerFrom'>;

/** Called when the kernel has bound `port` for that CPU. */
export type ToldBinding = (vcpu: XenVcpuId, cpu: LinuxCpu, port: number) => void;

/** Reports which CPU the kernel has bound each port to. */
export class IrqBindings {
  readonly #guest: BoundGuest;
  readonly #kernel: BoundKernel;
  readonly #told: ToldBinding;
  readonly #open = new Map<number, Look>();

  constructor(guest: BoundGuest, kernel: BoundKernel, told: ToldBinding) {
    this.#guest = guest;
    this.#kernel = kernel;
    this.#told = told;
  }

  save(): IrqBindingsState {
    return [...this.#open];
  }

  load(state: IrqBindingsState): void {
    this.#open.clear();
    for (const [port, look] of state) this.#open.set(port, look);
  }

  /** `vcpu` has made a call that is not in the trace yet. `call` is null if it is not a hypercall. */
  before(vcpu: XenVcpuId, call: CallRecord | null): void {
    if (this.#open.size === 0) return;
    const port = call === null ? null : portOf(call);
    for (const [open, look] of this.#open) {
      if (open === port || (look.vcpu === vcpu && this.#isOutside(look))) this.#look(open, look);
    }
    for (const effect of call?.effects ?? []) {
      if (effect.kind === 'portClosed') this.#open.delete(effect.port);
      if (effect.kind === 'eventsReset') this.#open.clear();
    }
  }

  /** The call of `vcpu` is in the trace. */
  after(vcpu: XenVcpuId, call: CallRecord): void {
    const bound = call.effects?.find((effect) => effect.kind === 'portBound') ?? null;
    const port = bound?.port ?? (call.vcpuId === null ? null : portOf(call));
    const table = this.#kernel.irqTable;
    if (port === null || table === null) return;
    // A refused binding changes no entry. But its caller, too, has a pointer to the entry of the port.
    if (bound !== null || this.#open.has(port)) this.#search(table, vcpu, port);
    if (bound === null || call.returned < 0 || this.#open.size >= mostOpen) return;
    this.#open.set(port, { vcpu, stack: this.#stackOf(vcpu) });
  }

  /** `vcpu` was stopped between two instructions. */
  paused(vcpu: XenVcpuId): void {
    if (this.#open.size === 0) return;
    for (const [port, look] of this.#open) {
      if (look.vcpu === vcpu && this.#hasReturned(look)) this.#look(port, look);
    }
  }

  /** Whether the function that made the call has returned. One far below is another task's stack, or an interrupt's: then it is taken to be done. */
  #hasReturned({ vcpu, stack }: Look): boolean {
    const now = this.#guest.anchors(vcpu).stackPointer;
    return now > stack || stack - now > mostStack;
  }

  /** Whether the call that is made now is not made by something that the function of the call before has called. */
  #isOutside({ vcpu, stack }: Look): boolean {
    const now = this.#stackOf(vcpu);
    return now >= stack || stack - now > mostStack;
  }

  #look(port: number, { vcpu }: Look): void {
    const table = this.#kernel.irqTable;
    const cpu = table?.cpuOf(this.#kernel.readerFrom(vcpu), port) ?? null;
    if (cpu === null) return;
    this.#open.delete(port);
    if (this.#kernel.hasCpu(cpu)) this.#told(vcpu, linuxCpu(cpu), port);
  }

  #stackOf(vcpu: XenVcpuId): bigint {
    return this.#guest.anchors(vcpu).callerStack;
  }

  /** Finds the table by the port's entry, to which the caller has a pointer during the call. */
  #search(table: IrqTable, vcpu: XenVcpuId, port: number): void {
    if (table.isFound) return;
    const { preserved, stackPointer } = this.#guest.anchors(vcpu);
    const read = this.#kernel.readerFrom(vcpu);
    const candidates = [...preserved];
    for (let at = 0; at < stackBytes; at += 8) {
      const bytes = read(stackPointer + BigInt(at), 8);
      if (bytes === null) break;
      candidates.push(viewOf(bytes).getBigUint64(0, true));
    }
    table.search(read, port, candidates);
  }
}

function portOf({ detail }: CallRecord): number | null {
  const { port } = detail as { readonly port?: unknown };
  return typeof port === 'number' ? port : null;
}
