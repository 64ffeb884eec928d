import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  areaOffset,
  brief,
  call,
  cpuOf,
  enter,
  leave,
  places,
  put,
  setAreas,
  watched,
} from '../../test/boot/made_kernel.js';
import { present } from '../base/index.js';
import { vcpuInfoView } from '../hypervisor/index.js';
import type { PowerRecord } from '../hypervisor/index.js';
import { xenVcpuId } from '../identity/index.js';
import { WhatIfRecords } from './what_if.js';

const off: PowerRecord = { kind: 'stop', how: 'psci' };
const on = (vcpu: number, returned = 0): PowerRecord => ({
  kind: 'start',
  how: 'psci',
  hardwareId: BigInt(vcpu),
  target: xenVcpuId(vcpu),
  returned,
});

describe('the observer', () => {
  it('tells calls before the kernel has its tables, without saying whose they are', () => {
    const { kernel, observer, events } = watched();
    observer.hypercall(xenVcpuId(0), call('XENVER_get_features', null));
    assert.deepEqual(brief(events), ['kernel', 'XENVER_get_features on 0 as ?']);
    assert.equal(kernel.textAddress, null);
  });

  it('tells which CPU a vCPU is by its area, once each has one, and what the records say', () => {
    const made = watched();
    const { kernel, observer, events } = made;
    enter(made, 0, 0);
    setAreas(made, 0, [0, 7]);
    observer.hypercall(xenVcpuId(0), call('EVTCHNOP_init_control', 0));
    enter(made, 1, 1);
    observer.hypercall(xenVcpuId(1), call('VCPUOP_register_vcpu_info', 1));
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

  it('believes a record that is set with its CPU only then', () => {
    const made = watched(4, [], '', null, 'with each CPU');
    const { observer } = made;
    const told = (): string[] => brief(made.events).filter((text) => text.startsWith('record'));
    enter(made, 0, 0);
    setAreas(made, 0, [0, 0, 0, 0]);
    observer.hypercall(xenVcpuId(0), call('VCPUOP_register_vcpu_info', 0));
    assert.deepEqual(told(), ['record 0=0'], 'the others are not set yet');
    setAreas(made, 0, [0, 1, 0, 0]);
    observer.hypercall(xenVcpuId(0), call('VCPUOP_register_vcpu_info', 1));
    assert.deepEqual(told(), ['record 0=0', 'record 1=1']);
    // A kernel that starts a CPU uses its record, whether it set it or not.
    observer.power(xenVcpuId(0), on(2));
    assert.deepEqual(told(), ['record 0=0', 'record 1=1', 'record 2=0']);
    setAreas(made, 0, [0, 1, 0, 2]);
    observer.hypercall(xenVcpuId(0), call('VCPUOP_register_vcpu_info', 2));
    assert.deepEqual(told().at(-1), 'record 3=2', 'it was set, and wrong');
  });

  it('reads by the tables of the vCPU that calls, also when another one’s are gone', () => {
    const made = watched();
    enter(made, 0, 0);
    setAreas(made, 0, [0, 1]);
    made.observer.hypercall(xenVcpuId(0), call('EVTCHNOP_init_control', 0));
    leave(made, 0);
    enter(made, 1, 1);
    made.observer.hypercall(xenVcpuId(1), call('EVTCHNOP_send', null));
    assert.equal(brief(made.events).at(-1), 'EVTCHNOP_send on 1 as 1');
  });

  it('tells when CPUs come and go, by the kernel’s own mask', () => {
    const made = watched();
    const { observer, guest } = made;
    enter(made, 0, 0);
    setAreas(made, 0, [0, 1]);
    for (const mask of [1n, 3n, 3n, 1n]) {
      put(made, 0, BigInt(places.onlineMask), 1, mask);
      observer.hypercall(xenVcpuId(0), call('EVTCHNOP_send', null));
    }
    const told = brief(made.events).filter((text) => text.startsWith('o'));
    assert.deepEqual(told, ['online 0 on 0', 'online 1 on 1', 'offline 1 on 1']);
    assert.equal(observer.online.length, 1);
    assert.ok(guest.cpus.every((cpu) => observer.wasOnline(cpu)));
  });

  it('tells when a vCPU turns itself off, after its CPU has gone, and when it runs again as another CPU', () => {
    const made = watched(3);
    const { observer } = made;
    enter(made, 0, 0);
    setAreas(made, 0, [0, 1, 2]);
    put(made, 0, BigInt(places.onlineMask), 1, 3n);
    observer.hypercall(xenVcpuId(0), call('EVTCHNOP_init_control', 0));
    observer.power(xenVcpuId(0), on(1));
    enter(made, 1, 1);
    observer.hypercall(xenVcpuId(1), call('VCPUOP_register_vcpu_info', 1));
    put(made, 0, BigInt(places.onlineMask), 1, 1n);
    observer.power(xenVcpuId(1), off);
    observer.power(xenVcpuId(0), { kind: 'other' });
    observer.power(xenVcpuId(0), on(1));
    enter(made, 1, 2);
    observer.sliceEnded(xenVcpuId(1));
    assert.deepEqual(brief(made.events).slice(-6), [
      'running 1 on 1',
      'VCPUOP_register_vcpu_info on 1 as 1',
      'offline 1 on 1',
      'stop 1 on 1',
      'start',
      'running 2 on 1',
    ]);
  });

  it('tells of a vCPU that another one takes down, and who did it', () => {
    const made = watched(3);
    const { observer } = made;
    enter(made, 0, 0);
    setAreas(made, 0, [0, 1, 2]);
    observer.hypercall(xenVcpuId(0), call('EVTCHNOP_init_control', 0));
    observer.power(xenVcpuId(0), on(1));
    enter(made, 1, 1);
    cpuOf(made.guest, 1).setRegister(30, made.text + 0x100n);
    observer.sliceEnded(xenVcpuId(1));
    observer.power(xenVcpuId(0), on(2));
    // It has not run since, and its registers are those of before.
    enter(made, 2, 0);
    for (const target of [1, 2])
      observer.power(xenVcpuId(0), { kind: 'stop', how: 'VCPUOP_down', target: xenVcpuId(target) });
    const stops = made.events.filter((event) => event.kind === 'stop');
    assert.deepEqual(
      stops.map(({ vcpu, linuxCpu, step }) => [vcpu, linuxCpu, observer.whereOf(step)]),
      [
        [1, 1, '_text+0x81c'],
        [2, null, '_text+0x81c'],
      ],
    );
    assert.equal(brief(made.events).filter((text) => text === 'running 2 on 0').length, 0);
  });

  it('tells of lost events before the CPU that lost them goes, and forgets them with a reset', () => {
    const made = watched();
    const { observer, guest } = made;
    enter(made, 0, 0);
    setAreas(made, 0, [0, 1]);
    const told = (): string[] => brief(made.events).filter((text) => /upcall|online|offline/.test(text));
    const vcpu = present(guest.machine.domain.state.vcpus[0], 'vCPU 0');
    const setPending = (value: number): void => {
      present(vcpuInfoView(guest.machine.domain, vcpu, true), 'its vcpu_info').setUint8(0, value);
    };
    vcpu.lostUpcallPort = 5;
    setPending(1);
    put(made, 0, BigInt(places.onlineMask), 1, 1n);
    observer.hypercall(xenVcpuId(0), call('EVTCHNOP_init_control', 0));
    observer.look(xenVcpuId(0));
    setPending(0);
    put(made, 0, BigInt(places.onlineMask), 1, 0n);
    observer.sliceEnded(xenVcpuId(0));
    assert.deepEqual(told(), ['lost-upcall', 'online 0 on 0', 'upcall-heard', 'offline 0 on 0']);
    setPending(1);
    observer.noteLost();
    observer.domainReset();
    observer.noteLost();
    assert.deepEqual(told().slice(4), ['lost-upcall', 'lost-upcall']);
  });

  it('sees after each slice, without a call, which CPUs run and are online', () => {
    const made = watched();
    const { observer } = made;
    // Before the first call it is not known where the kernel is.
    enter(made, 0, 0);
    observer.sliceEnded(xenVcpuId(0));
    setAreas(made, 0, [0, 1]);
    observer.power(xenVcpuId(0), on(1));
    enter(made, 1, 1);
    observer.sliceEnded(xenVcpuId(1));
    put(made, 0, BigInt(places.onlineMask), 1, 3n);
    observer.sliceEnded(xenVcpuId(0));
    put(made, 0, BigInt(places.onlineMask), 1, 1n);
    observer.sliceEnded(xenVcpuId(0));
    observer.sliceEnded(xenVcpuId(0));
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
    observer.hypercall(xenVcpuId(0), call('EVTCHNOP_send', null));
    observer.look(xenVcpuId(0));
    put(made, 0, BigInt(places.onlineMask), 1, 1n);
    observer.sliceEnded(xenVcpuId(1));
    assert.equal(brief(made.events).at(-1), 'EVTCHNOP_send on 0 as 0');
    observer.sliceEnded(xenVcpuId(0));
    assert.equal(brief(made.events).at(-1), 'online 0 on 0');
  });

  it('sees a record that changes after the last call, but none before a call has carried an id', () => {
    const made = watched();
    const { observer } = made;
    enter(made, 0, 0);
    setAreas(made, 0, [0, 0]);
    observer.hypercall(xenVcpuId(0), call('XENVER_get_features', null));
    observer.look(xenVcpuId(0));
    put(made, 0, BigInt(places.xenVcpuId) + areaOffset(1), 4, 1n);
    observer.look(xenVcpuId(0));
    observer.hypercall(xenVcpuId(0), call('EVTCHNOP_init_control', 0));
    observer.look(xenVcpuId(0));
    put(made, 0, BigInt(places.xenVcpuId) + areaOffset(1), 4, 7n);
    for (let slice = 0; slice < 8; slice += 1) observer.sliceEnded(xenVcpuId(0));
    put(made, 0, BigInt(places.xenVcpuId) + areaOffset(0), 4, 5n);
    observer.look(xenVcpuId(0));
    const told = brief(made.events).filter((text) => text.startsWith('record'));
    assert.deepEqual(told, ['record 0=0', 'record 1=1', 'record 1=7', 'record 0=5']);
  });

  it('reads the records of possible CPUs alone: the others keep to the image', () => {
    const made = watched(4);
    const { kernel, observer } = made;
    enter(made, 0, 0);
    setAreas(made, 0, [0]);
    put(made, 0, BigInt(places.nrCpuIds), 4, 1n);
    assert.deepEqual(kernel.ownAreas(xenVcpuId(0)), [0]);
    observer.hypercall(xenVcpuId(0), call('EVTCHNOP_init_control', 0));
    assert.deepEqual(brief(made.events).slice(1, 4), ['running 0 on 0', 'limits', 'record 0=0']);
    assert.equal(made.events.length, 5);
  });

  it('takes no CPU to have an area while the kernel has given out none', () => {
    const made = watched(1);
    enter(made, 0, null);
    put(made, 0, BigInt(places.possibleMask), 1, 1n);
    assert.deepEqual(made.kernel.ownAreas(xenVcpuId(0)), []);
    const unreadable = watched(3, ['__cpu_possible_mask']);
    enter(unreadable, 0, null);
    assert.deepEqual(unreadable.kernel.ownAreas(xenVcpuId(0)), []);
    setAreas(unreadable, 0, [0, 1]);
    assert.deepEqual(unreadable.kernel.ownAreas(xenVcpuId(0)), [0, 1]);
  });

  it('reads which CPUs are possible, and takes no bit behind the kernel’s own bound for a CPU', () => {
    const made = watched(4);
    const { kernel } = made;
    assert.equal(kernel.possibleFrom(xenVcpuId(0)), null);
    assert.equal(kernel.nrCpuIdsFrom(xenVcpuId(0)), null);
    enter(made, 0, 0);
    kernel.recordsFrom(xenVcpuId(0));
    assert.deepEqual(kernel.possibleFrom(xenVcpuId(0)), new Set());
    assert.equal(kernel.nrCpuIdsFrom(xenVcpuId(0)), 256);
    put(made, 0, BigInt(places.possibleMask), 1, 0b1011n);
    put(made, 0, BigInt(places.onlineMask), 1, 0b1001n);
    assert.deepEqual(kernel.possibleFrom(xenVcpuId(0)), new Set([0, 1, 3]));
    assert.deepEqual(kernel.onlineFrom(xenVcpuId(0)), new Set([0, 3]));
    put(made, 0, BigInt(places.nrCpuIds), 4, 2n);
    assert.equal(kernel.nrCpuIdsFrom(xenVcpuId(0)), 2);
    assert.deepEqual(kernel.possibleFrom(xenVcpuId(0)), new Set([0, 1]));
    assert.deepEqual(kernel.onlineFrom(xenVcpuId(0)), new Set([0]));
  });

  it('reads no mask of possible CPUs, and no bound, where the kernel exports none', () => {
    const made = watched(2, ['__cpu_possible_mask', 'nr_cpu_ids']);
    enter(made, 0, 0);
    made.kernel.recordsFrom(xenVcpuId(0));
    assert.equal(made.kernel.possibleFrom(xenVcpuId(0)), null);
    assert.equal(made.kernel.nrCpuIdsFrom(xenVcpuId(0)), null);
    put(made, 0, BigInt(places.onlineMask), 1, 3n);
    assert.deepEqual(made.kernel.onlineFrom(xenVcpuId(0)), new Set([0, 1]));
  });

  it('tells of a kernel that exports no mask that those are online which surely are, and of the others what it knows', () => {
    const made = watched(4, ['__cpu_online_mask']);
    const { observer, guest } = made;
    enter(made, 0, 0);
    setAreas(made, 0, [0, 1, 2, 3]);
    observer.power(xenVcpuId(0), on(1));
    observer.power(xenVcpuId(0), on(2));
    observer.power(xenVcpuId(0), on(3, -2));
    observer.sliceEnded(xenVcpuId(0));
    enter(made, 1, 1);
    observer.sliceEnded(xenVcpuId(1));
    enter(made, 2, 2);
    cpuOf(guest, 2).mode = 'EL0t';
    observer.sliceEnded(xenVcpuId(2));
    observer.end({ outcome: 'poweroff', why: '', isCut: false, unheardUpToNs: 0n });
    const told = brief(made.events).filter((text) => text.startsWith('o'));
    assert.deepEqual(told, ['online 0 on 0', 'online 2 on 2']);
    assert.deepEqual(
      guest.cpus.map((cpu) => observer.wasOnline(cpu)),
      [true, null, true, false],
    );
    observer.power(xenVcpuId(1), off);
    observer.power(xenVcpuId(2), off);
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
    observer.hypercall(xenVcpuId(0), call('EVTCHNOP_send', null));
    assert.equal(kernel.textAddress, made.text);
    assert.equal(observer.online.length, 2);
    assert.equal(kernel.recordsFrom(xenVcpuId(0)), null);
  });

  it('says where a call was made, as far as the kernel has names', () => {
    const made = watched();
    enter(made, 0, 0);
    setAreas(made, 0, [0, 1]);
    made.observer.hypercall(xenVcpuId(0), call('EVTCHNOP_send', null));
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
    const whatIf = new WhatIfRecords(guest, kernel, 'as-posted');
    assert.match(whatIf.notAsAsked ?? '', /it made no EVTCHNOP_init_control$/);
    observer.hypercall(xenVcpuId(0), call('EVTCHNOP_init_control', 0));
    whatIf.called(xenVcpuId(0), call('EVTCHNOP_init_control', 0));
    assert.equal(whatIf.notAsAsked, null);
    observer.look(xenVcpuId(0));
    assert.deepEqual(
      guest.cpus.map(({ linuxCpu }) => observer.lastRecord(linuxCpu)),
      [0, 0xffff_ffff, 0xffff_ffff],
    );
  });
});
