/** A made kernel whose records can be read, in a guest that does not run it: tests set its registers and its memory. */
import assert from 'node:assert/strict';
import type { TraceEvent } from '../../src/audit/index.js';
import { present } from '../../src/base/index.js';
import { buildGuest } from '../../src/boot/guest.js';
import type { Guest } from '../../src/boot/guest.js';
import { writeGuest } from '../../src/boot/guest_memory.js';
import { KernelImage } from '../../src/boot/kernel_image.js';
import { KernelView } from '../../src/boot/kernel_view.js';
import { KernelObserver } from '../../src/boot/kernel_observer.js';
import type { BootOptions } from '../../src/boot/options.js';
import { TraceWriter } from '../../src/boot/trace_writer.js';
import type { CallRecord } from '../../src/hypervisor/index.js';
import type { Arm64Machine } from '../../src/machine/index.js';
import { xenVcpuId } from '../../src/identity/index.js';

/** Where the made kernel has what the observer looks for: offsets from its start. */
export const places = {
  xenVcpuId: 0x3000,
  perCpuOffset: 0x4000,
  onlineMask: 0x5000,
  possibleMask: 0x5100,
  nrCpuIds: 0x5200,
  setupMaxCpus: 0x5300,
  vectors: 0x1_0800,
} as const;
const imageBytes = 0x4_0000;
/** Each CPU's area begins so far behind the template in the image. */
export const areaOffset = (cpu: number): bigint => 0x1_0000n + 0x1000n * BigInt(cpu);

/** An image that exports the records, and holds nothing else. */
function madeImage(left: readonly string[] = []): Uint8Array {
  const image = new Uint8Array(imageBytes);
  const view = new DataView(image.buffer);
  const exported = [
    ['xen_vcpu_id', places.xenVcpuId],
    ['__per_cpu_offset', places.perCpuOffset],
    ['__cpu_online_mask', places.onlineMask],
    ['__cpu_possible_mask', places.possibleMask],
    ['nr_cpu_ids', places.nrCpuIds],
    ['setup_max_cpus', places.setupMaxCpus],
  ] as const;
  view.setUint32(places.nrCpuIds, 256, true);
  view.setUint32(places.setupMaxCpus, 256, true);
  let text = 0x2001;
  for (const [index, [name, offset]] of exported.entries()) {
    if (left.includes(name)) continue;
    const at = 0x1000 + 12 * index;
    image.set(
      Array.from(name, (letter) => letter.charCodeAt(0)),
      text,
    );
    view.setInt32(at, offset - at, true);
    view.setInt32(at + 4, text - (at + 4), true);
    view.setInt32(at + 8, 0x2000 - (at + 8), true);
    text += name.length + 1;
  }
  return image;
}

/** The first gigabyte from 0x40000000 on is seen at this address, by one block of a table of level 1. */
export const mapped = 0xffff_ff80_0000_0000n;
const table = 0x4300_0000n;

export interface Watched {
  readonly guest: Guest;
  readonly kernel: KernelView;
  readonly observer: KernelObserver;
  readonly events: TraceEvent[];
  readonly text: bigint;
}

/** A guest with such a kernel, of which `vcpus` vCPUs run by its tables; `left`: what it does not export. */
export function watched(
  vcpus = 2,
  left: readonly string[] = [],
  commandLine = '',
  said: string | null = null,
  recordsAreSet: Guest['recordsAreSet'] = 'before the first id',
): Watched {
  const image = madeImage(left);
  const options: BootOptions = {
    kernel: {
      name: 'made',
      version: null,
      sha256: '',
      image,
      memoryBytes: imageBytes,
      placement: { architecture: 'arm64', textOffset: 0 },
    },
    initrd: null,
    commandLine,
    vcpus,
    memoryMiB: 64,
    release: '4.17',
    seed: 1,
    xenstore: false,
    whatIf: null,
    entryVcpu: 0,
    until: { kind: 'poweroff' },
    limits: { instructions: 1, guestNs: 1n },
  };
  const guest = { ...buildGuest(options, { uart: () => undefined }), recordsAreSet };
  const events: TraceEvent[] = [];
  const kernel = new KernelView(guest, KernelImage.of(image));
  const trace = new TraceWriter(
    () => guest.machine.nowNs,
    (event) => void events.push(event),
  );
  const observer = new KernelObserver(guest, kernel, trace, {
    given: commandLine,
    said: () => said,
  });
  observer.begin();
  const entry = new Uint8Array(8);
  new DataView(entry.buffer).setBigUint64(0, 0x4000_0000n | (1n << 10n) | 1n, true);
  guest.machine.load(table, entry);
  return { guest, kernel, observer, events, text: mapped + guest.kernelAt - 0x4000_0000n };
}

type View = Arm64Machine['processor']['vcpus'][number];
type Registers = Pick<View, 'setRegister' | 'setSystemRegister' | 'mode' | 'reset'>;

/** The registers of a vCPU, as those of an arm64 machine. */
export function cpuOf({ machine }: Guest, vcpu: number): Registers {
  return present(machine.processor.vcpus[vcpu] as Registers | undefined, 'a vCPU');
}

/** Lets a vCPU run the kernel: translation on, as Linux CPU `cpu` where that is told. */
export function enter({ guest, text }: Watched, vcpu: number, cpu: number | null): void {
  const view = cpuOf(guest, vcpu);
  present(guest.machine.domain.state.vcpus[vcpu], 'a vCPU').up = true;
  // T1SZ 25, TG1 4 KiB, EPD0.
  view.setSystemRegister('TCR_EL1', (25n << 16n) | (2n << 30n) | (1n << 7n) | (2n << 32n));
  view.setSystemRegister('TTBR1_EL1', table);
  view.setSystemRegister('SCTLR_EL1', 1n);
  view.setSystemRegister('VBAR_EL1', text + BigInt(places.vectors));
  view.setSystemRegister('TPIDR_EL1', cpu === null ? 0n : areaOffset(cpu));
  view.setRegister(30, text + 0x81cn);
}

export function leave({ guest }: Watched, vcpu: number): void {
  cpuOf(guest, vcpu).reset();
}

export function put(
  { guest, text }: Watched,
  vcpu: number,
  offset: bigint,
  bytes: number,
  value: bigint,
): void {
  const data = new Uint8Array(8);
  new DataView(data.buffer).setBigUint64(0, value, true);
  assert.ok(writeGuest(guest.machine, xenVcpuId(vcpu), text + offset, data.subarray(0, bytes)));
}

/** Gives each CPU an area of its own, with its record in it, and counts it as possible. */
export function setAreas(made: Watched, vcpu: number, records: readonly number[]): void {
  put(made, vcpu, BigInt(places.possibleMask), 1, (1n << BigInt(records.length)) - 1n);
  for (const [cpu, record] of records.entries()) {
    put(made, vcpu, BigInt(places.perCpuOffset + 8 * cpu), 8, areaOffset(cpu));
    put(made, vcpu, BigInt(places.xenVcpuId) + areaOffset(cpu), 4, BigInt(record));
  }
}

export const call = (op: string, vcpuId: number | null): CallRecord => ({
  hypercall: 'event_channel_op',
  op,
  vcpuId,
  detail: {},
  returned: 0,
});

/** What of an event the tests look at. */
export function brief(events: readonly TraceEvent[]): string[] {
  return events.map((event) => {
    if (event.kind === 'record') return `record ${event.linuxCpu}=${event.value}`;
    if (event.kind === 'hypercall') return `${event.call.op} on ${event.vcpu} as ${event.linuxCpu ?? '?'}`;
    if (event.kind === 'kernel' || event.kind === 'end' || event.kind === 'reset') return event.kind;
    return 'vcpu' in event && 'linuxCpu' in event
      ? `${event.kind} ${event.linuxCpu} on ${event.vcpu}`
      : event.kind;
  });
}
