import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { TraceEvent } from '../audit/index.js';
import { present } from '../base/index.js';
import type { CallRecord, PowerRecord } from '../hypervisor/index.js';
import { xenVcpuId } from '../identity/index.js';
import { buildGuest } from './guest.js';
import type { Guest } from './guest.js';
import { readGuest, writeGuest } from './guest_memory.js';
import { KernelView } from './kernel_view.js';
import { Observer } from './observer.js';
import type { BootOptions } from './options.js';
import { unsetRecords } from './what_if.js';

/** Where the made kernel has what the observer looks for: offsets from its start. */
const places = {
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
const areaOffset = (cpu: number): bigint => 0x1_0000n + 0x1000n * BigInt(cpu);

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
const mapped = 0xffff_ff80_0000_0000n;
const table = 0x4300_0000n;

interface Watched {
  readonly guest: Guest;
  readonly kernel: KernelView;
  readonly observer: Observer;
  readonly events: TraceEvent[];
  readonly text: bigint;
}

/** A guest with such a kernel, of which `vcpus` vCPUs run by its tables; `left`: what it does not export. */
function watched(
  vcpus = 2,
  left: readonly string[] = [],
  commandLine = '',
  said: string | null = null,
): Watched {
  const image = madeImage(left);
  const options: BootOptions = {
    kernel: { name: 'made', version: null, sha256: '', image, textOffset: 0, memoryBytes: imageBytes },
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
  const guest = buildGuest(options, { uart: () => undefined });
  const events: TraceEvent[] = [];
  const kernel = new KernelView(guest, image);
  const observer = new Observer(guest, kernel, (event) => void events.push(event), {
    given: commandLine,
    said: () => said,
  });
  const entry = new Uint8Array(8);
  new DataView(entry.buffer).setBigUint64(0, 0x4000_0000n | (1n << 10n) | 1n, true);
  guest.machine.load(table, entry);
  return { guest, kernel, observer, events, text: mapped + guest.kernelAt - 0x4000_0000n };
}

/** Lets a vCPU run the kernel: translation on, as Linux CPU `cpu` where that is told. */
function enter({ guest, text }: Watched, vcpu: number, cpu: number | null): void {
  const view = present(guest.machine.processor.vcpus[vcpu], 'a vCPU');
  present(guest.machine.domain.state.vcpus[vcpu], 'a vCPU').up = true;
  // T1SZ 25, TG1 4 KiB, EPD0.
  view.setSystemRegister('TCR_EL1', (25n << 16n) | (2n << 30n) | (1n << 7n) | (2n << 32n));
  view.setSystemRegister('TTBR1_EL1', table);
  view.setSystemRegister('SCTLR_EL1', 1n);
  view.setSystemRegister('VBAR_EL1', text + BigInt(places.vectors));
  view.setSystemRegister('TPIDR_EL1', cpu === null ? 0n : areaOffset(cpu));
  view.setRegister(30, text + 0x81cn);
}

function leave({ guest }: Watched, vcpu: number): void {
  present(guest.machine.processor.vcpus[vcpu], 'a vCPU').reset();
}

function put({ guest, text }: Watched, vcpu: number, offset: bigint, bytes: number, value: bigint): void {
  const data = new Uint8Array(8);
  new DataView(data.buffer).setBigUint64(0, value, true);
  assert.ok(writeGuest(guest.machine, vcpu, text + offset, data.subarray(0, bytes)));
}

/** Gives each CPU an area of its own, with its record in it, and counts it as possible. */
function setAreas(made: Watched, vcpu: number, records: readonly number[]): void {
  put(made, vcpu, BigInt(places.possibleMask), 1, (1n << BigInt(records.length)) - 1n);
  for (const [cpu, record] of records.entries()) {
    put(made, vcpu, BigInt(places.perCpuOffset + 8 * cpu), 8, areaOffset(cpu));
    put(made, vcpu, BigInt(places.xenVcpuId) + areaOffset(cpu), 4, BigInt(record));
  }
}

const call = (op: string, vcpuId: number | null): CallRecord => ({
  hypercall: 'event_channel_op',
  op,
  vcpuId,
  detail: {},
  returned: 0,
});

/** What of an event the tests look at. */
function brief(events: readonly TraceEvent[]): string[] {
  return events.map((event) => {
    if (event.kind === 'record') return `record ${event.linuxCpu}=${event.value}`;
    if (event.kind === 'hypercall') return `${event.call.op} on ${event.vcpu} as ${event.linuxCpu ?? '?'}`;
    if (event.kind === 'kernel' || event.kind === 'end' || event.kind === 'reset') return event.kind;
    return 'vcpu' in event && 'linuxCpu' in event
      ? `${event.kind} ${event.linuxCpu} on ${event.vcpu}`
      : event.kind;
  });
}

describe('the observer', () => {
  it('tells calls before the kernel has its tables, without saying whose they are', () => {
    const { kernel, observer, events } = watched();
    observer.hypercall(0, call('XENVER_get_features', null));
    assert.deepEqual(brief(events), ['kernel', 'XENVER_get_features on 0 as ?']);
    assert.equal(kernel.textAddress, null);
  });

  it('tells which CPU a vCPU is by its area, once each has one, and what the records say', () => {
    const made = watched();
    const { kernel, observer, events } = made;
    enter(made, 0, 0);
    setAreas(made, 0, [0, 7]);
    observer.hypercall(0, call('EVTCHNOP_init_control', 0));
    enter(made, 1, 1);
    observer.hypercall(1, call('VCPUOP_register_vcpu_info', 1));
    assert.equal(kernel.textAddress, made.text);
    assert.deepEqual(brief(events), [
      'kernel',
      'running 0 on 0',
      'record 0=0',
      'record 1=7',
      'EVTCHNOP_init_control on 0 as 0',
      'running 1 on 1',
      'VCPUOP_register_vcpu_info on 1 as 1',
    ]);
    assert.deepEqual(
      made.guest.cpus.map(({ linuxCpu }) => observer.lastRecord(linuxCpu)),
      [0, 7],
    );
  });

  it('reads by the tables of the vCPU that calls, also when another one’s are gone', () => {
    const made = watched();
    enter(made, 0, 0);
    setAreas(made, 0, [0, 1]);
    made.observer.hypercall(0, call('EVTCHNOP_init_control', 0));
    leave(made, 0);
    enter(made, 1, 1);
    made.observer.hypercall(1, call('EVTCHNOP_send', null));
    assert.equal(brief(made.events).at(-1), 'EVTCHNOP_send on 1 as 1');
  });

  it('tells when CPUs come and go, by the kernel’s own mask', () => {
    const made = watched();
    const { observer, guest } = made;
    enter(made, 0, 0);
    setAreas(made, 0, [0, 1]);
    for (const mask of [1n, 3n, 3n, 1n]) {
      put(made, 0, BigInt(places.onlineMask), 1, mask);
      observer.hypercall(0, call('EVTCHNOP_send', null));
    }
    const told = brief(made.events).filter((text) => text.startsWith('o'));
    assert.deepEqual(told, ['online 0 on 0', 'online 1 on 1', 'offline 1 on 1']);
    assert.equal(observer.online.length, 1);
    assert.ok(guest.cpus.every((cpu) => observer.wasOnline(cpu)));
  });

  const off: PowerRecord = { kind: 'stop', how: 'psci' };
  /** The start of a vCPU by its MPIDR, which is its id here. */
  const on = (vcpu: number, returned = 0): PowerRecord => ({
    kind: 'start',
    how: 'psci',
    hardwareId: BigInt(vcpu),
    target: xenVcpuId(vcpu),
    returned,
  });

  it('tells when a vCPU turns itself off, after its CPU has gone, and when it runs again as another CPU', () => {
    const made = watched(3);
    const { observer } = made;
    enter(made, 0, 0);
    setAreas(made, 0, [0, 1, 2]);
    put(made, 0, BigInt(places.onlineMask), 1, 3n);
    observer.hypercall(0, call('EVTCHNOP_init_control', 0));
    observer.power(0, on(1));
    enter(made, 1, 1);
    observer.hypercall(1, call('VCPUOP_register_vcpu_info', 1));
    put(made, 0, BigInt(places.onlineMask), 1, 1n);
    observer.power(1, off);
    observer.power(0, { kind: 'other' });
    observer.power(0, on(1));
    enter(made, 1, 2);
    observer.sliceEnded(1);
    assert.deepEqual(brief(made.events).slice(-6), [
      'running 1 on 1',
      'VCPUOP_register_vcpu_info on 1 as 1',
      'offline 1 on 1',
      'stop 1 on 1',
      'start',
      'running 2 on 1',
    ]);
  });

  it('sees after each slice, without a call, which CPUs run and are online', () => {
    const made = watched();
    const { observer } = made;
    // Before the first call it is not known where the kernel is.
    enter(made, 0, 0);
    observer.sliceEnded(0);
    setAreas(made, 0, [0, 1]);
    observer.power(0, on(1));
    enter(made, 1, 1);
    observer.sliceEnded(1);
    put(made, 0, BigInt(places.onlineMask), 1, 3n);
    observer.sliceEnded(0);
    put(made, 0, BigInt(places.onlineMask), 1, 1n);
    observer.sliceEnded(0);
    observer.sliceEnded(0);
    assert.deepEqual(brief(made.events), [
      'kernel',
      'running 0 on 0',
      'start',
      'running 1 on 1',
      'online 0 on 0',
      'online 1 on 1',
      'offline 1 on 1',
    ]);
  });

  it('leaves a change to a vCPU that can see it', () => {
    const made = watched();
    const { observer } = made;
    enter(made, 0, 0);
    setAreas(made, 0, [0, 1]);
    observer.hypercall(0, call('EVTCHNOP_send', null));
    observer.look(0);
    put(made, 0, BigInt(places.onlineMask), 1, 1n);
    observer.sliceEnded(1);
    assert.equal(brief(made.events).at(-1), 'EVTCHNOP_send on 0 as 0');
    observer.sliceEnded(0);
    assert.equal(brief(made.events).at(-1), 'online 0 on 0');
  });

  it('sees a record that changes after the last call, but none before a call has carried an id', () => {
    const made = watched();
    const { observer } = made;
    enter(made, 0, 0);
    setAreas(made, 0, [0, 0]);
    observer.hypercall(0, call('XENVER_get_features', null));
    observer.look(0);
    put(made, 0, BigInt(places.xenVcpuId) + areaOffset(1), 4, 1n);
    observer.look(0);
    observer.hypercall(0, call('EVTCHNOP_init_control', 0));
    observer.look(0);
    put(made, 0, BigInt(places.xenVcpuId) + areaOffset(1), 4, 7n);
    for (let slice = 0; slice < 8; slice += 1) observer.sliceEnded(0);
    put(made, 0, BigInt(places.xenVcpuId) + areaOffset(0), 4, 5n);
    observer.look(0);
    const told = brief(made.events).filter((text) => text.startsWith('record'));
    assert.deepEqual(told, ['record 0=0', 'record 1=1', 'record 1=7', 'record 0=5']);
  });

  it('reads the records of possible CPUs alone: the others keep to the image', () => {
    const made = watched(4);
    const { kernel, observer } = made;
    enter(made, 0, 0);
    setAreas(made, 0, [0]);
    put(made, 0, BigInt(places.nrCpuIds), 4, 1n);
    assert.deepEqual(kernel.ownAreas(0), [0]);
    observer.hypercall(0, call('EVTCHNOP_init_control', 0));
    assert.deepEqual(brief(made.events).slice(1, 4), ['running 0 on 0', 'limits', 'record 0=0']);
    assert.equal(made.events.length, 5);
  });

  it('takes no CPU to have an area while the kernel has given out none', () => {
    const made = watched(1);
    enter(made, 0, null);
    put(made, 0, BigInt(places.possibleMask), 1, 1n);
    assert.deepEqual(made.kernel.ownAreas(0), []);
    const unreadable = watched(3, ['__cpu_possible_mask']);
    enter(unreadable, 0, null);
    assert.deepEqual(unreadable.kernel.ownAreas(0), []);
    setAreas(unreadable, 0, [0, 1]);
    assert.deepEqual(unreadable.kernel.ownAreas(0), [0, 1]);
  });

  it('reads which CPUs are possible, and takes no bit behind the kernel’s own bound for a CPU', () => {
    const made = watched(4);
    const { kernel } = made;
    assert.equal(kernel.possibleFrom(0), null);
    assert.equal(kernel.nrCpuIdsFrom(0), null);
    enter(made, 0, 0);
    kernel.recordsFrom(0);
    assert.deepEqual(kernel.possibleFrom(0), new Set());
    assert.equal(kernel.nrCpuIdsFrom(0), 256);
    put(made, 0, BigInt(places.possibleMask), 1, 0b1011n);
    put(made, 0, BigInt(places.onlineMask), 1, 0b1001n);
    assert.deepEqual(kernel.possibleFrom(0), new Set([0, 1, 3]));
    assert.deepEqual(kernel.onlineFrom(0), new Set([0, 3]));
    put(made, 0, BigInt(places.nrCpuIds), 4, 2n);
    assert.equal(kernel.nrCpuIdsFrom(0), 2);
    assert.deepEqual(kernel.possibleFrom(0), new Set([0, 1]));
    assert.deepEqual(kernel.onlineFrom(0), new Set([0]));
  });

  it('reads no mask of possible CPUs, and no bound, where the kernel exports none', () => {
    const made = watched(2, ['__cpu_possible_mask', 'nr_cpu_ids']);
    enter(made, 0, 0);
    made.kernel.recordsFrom(0);
    assert.equal(made.kernel.possibleFrom(0), null);
    assert.equal(made.kernel.nrCpuIdsFrom(0), null);
    put(made, 0, BigInt(places.onlineMask), 1, 3n);
    assert.deepEqual(made.kernel.onlineFrom(0), new Set([0, 1]));
  });

  it('tells of a kernel that exports no mask that those are online which surely are, and of the others what it knows', () => {
    const made = watched(4, ['__cpu_online_mask']);
    const { observer, guest } = made;
    enter(made, 0, 0);
    setAreas(made, 0, [0, 1, 2, 3]);
    observer.power(0, on(1));
    observer.power(0, on(2));
    observer.power(0, on(3, -2));
    observer.sliceEnded(0);
    enter(made, 1, 1);
    observer.sliceEnded(1);
    enter(made, 2, 2);
    present(guest.machine.processor.vcpus[2], 'a vCPU').mode = 'EL0t';
    observer.sliceEnded(2);
    observer.end('poweroff', '');
    const told = brief(made.events).filter((text) => text.startsWith('o'));
    assert.deepEqual(told, ['online 0 on 0', 'online 2 on 2']);
    assert.deepEqual(
      guest.cpus.map((cpu) => observer.wasOnline(cpu)),
      [true, null, true, false],
    );
    observer.power(1, off);
    observer.power(2, off);
    assert.deepEqual(
      guest.cpus.map((cpu) => observer.wasOnline(cpu)),
      [true, false, true, false],
    );
    assert.deepEqual(observer.online, [0]);
  });

  it('knows where a kernel without records is, and which of its CPUs are online', () => {
    const made = watched(2, ['xen_vcpu_id']);
    const { kernel, observer } = made;
    enter(made, 0, 0);
    put(made, 0, BigInt(places.onlineMask), 1, 3n);
    observer.hypercall(0, call('EVTCHNOP_send', null));
    assert.equal(kernel.textAddress, made.text);
    assert.equal(observer.online.length, 2);
    assert.equal(kernel.recordsFrom(0), null);
  });

  it('says where a call was made, as far as the kernel has names', () => {
    const made = watched();
    enter(made, 0, 0);
    setAreas(made, 0, [0, 1]);
    made.observer.hypercall(0, call('EVTCHNOP_send', null));
    const step = made.events.findIndex(({ kind }) => kind === 'hypercall');
    assert.equal(made.observer.whereOf(step), '_text+0x81c');
    assert.equal(made.observer.whereOf(0), null);
    assert.equal(made.kernel.symbolAt(made.text - 1n), `0x${(made.text - 1n).toString(16)}`);
    assert.equal(made.kernel.symbolAt(made.guest.kernelAt + 4n), '_text+0x4');
  });

  it('sees the records that what-if sets, of all CPUs but the first', () => {
    const made = watched(3);
    enter(made, 0, 0);
    setAreas(made, 0, [0, 1, 2]);
    const { kernel, observer, guest } = made;
    observer.hypercall(0, call('EVTCHNOP_init_control', 0));
    assert.ok(unsetRecords(guest.machine, kernel, guest.cpus, 0, 'as-posted'));
    observer.look(0);
    assert.deepEqual(
      guest.cpus.map(({ linuxCpu }) => observer.lastRecord(linuxCpu)),
      [0, 0xffff_ffff, 0xffff_ffff],
    );
  });
});

describe('the limits of a kernel', () => {
  /** What the events tell of limits, when the kernel has settled `possible` CPUs and `max` as the most to bring up. */
  function told(commandLine: string, possible: number, max = 256, said: string | null = null): string[] {
    const made = watched(4, [], commandLine, said);
    enter(made, 0, 0);
    setAreas(made, 0, [0, 1, 2, 3].slice(0, possible));
    put(made, 0, BigInt(places.nrCpuIds), 4, BigInt(possible));
    put(made, 0, BigInt(places.setupMaxCpus), 4, BigInt(max));
    made.observer.hypercall(0, call('EVTCHNOP_init_control', 0));
    return made.events.flatMap((event) => {
      if (event.kind !== 'kernel' && event.kind !== 'limits') return [];
      const out = event.leftOut.map(({ vcpu, why }) => `${vcpu} by ${why}`);
      return [[`${event.kind} of ${event.possible.length}`, ...out].join(', ')];
    });
  }

  it('are told by its command line before it runs, and once more only where its memory says something else', () => {
    assert.deepEqual(told('', 4), ['kernel of 4']);
    assert.deepEqual(told('nr_cpus=3', 3), ['kernel of 4, 3 by nr_cpus=3', 'limits of 3, 3 by nr_cpus=3']);
    assert.deepEqual(told('maxcpus=3', 4, 3), ['kernel of 4, 3 by maxcpus=3']);
    assert.deepEqual(told('', 4, 3), ['kernel of 4', 'limits of 4, 3 by maxcpus=3']);
    assert.deepEqual(told('maxcpus=3', 4), ['kernel of 4, 3 by maxcpus=3', 'limits of 4']);
  });

  it('are explained by the command line that the kernel says it has, and else not excused', () => {
    assert.deepEqual(told('', 3, 256, 'quiet nr_cpus=3'), ['kernel of 4', 'limits of 3, 3 by nr_cpus=3']);
    assert.deepEqual(told('', 3), ['kernel of 4', 'limits of 3']);
  });
});

describe('guest memory', () => {
  it('is read and written by kernel address, over the ends of pages, and not where nothing is', () => {
    const made = watched();
    enter(made, 0, 0);
    const { guest, text } = made;
    const bytes = Uint8Array.from({ length: 9000 }, (_, i) => i & 0xff);
    assert.ok(writeGuest(guest.machine, 0, text + 0x1_0fff0n, bytes));
    assert.deepEqual(readGuest(guest.machine, 0, text + 0x1_0fff0n, 9000), bytes);
    assert.deepEqual(readGuest(guest.machine, 0, text, 0), new Uint8Array(0));
    // 64 MiB of memory are behind the block's gigabyte.
    assert.equal(readGuest(guest.machine, 0, mapped + 0x3fff_fffcn, 8), null);
    assert.equal(writeGuest(guest.machine, 0, 0n, bytes), false);
    assert.equal(readGuest(guest.machine, 7, text, 8), null);
  });

  it('that is only read keeps what was decoded; that is written does not', () => {
    const made = watched();
    enter(made, 0, 0);
    const { guest, text } = made;
    const { processor } = guest.machine;
    const told: number[] = [];
    const wrote = processor.wrote.bind(processor);
    processor.wrote = (place, bytes) => {
      told.push(place);
      wrote(place, bytes);
    };
    readGuest(guest.machine, 0, text, 100);
    assert.deepEqual(told, []);
    writeGuest(guest.machine, 0, text, Uint8Array.of(1));
    assert.equal(told.length, 1);
  });
});
