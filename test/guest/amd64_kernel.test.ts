/** Boots Debian's stock amd64 kernel as a PVH guest, and compares what it asks of Xen with its calls under a real Xen 4.17. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { loadArchitecture } from '../../src/boot/index.js';
import { readText } from '../files.js';
import { anyCaller, callText } from './call_lines.js';
import { bootStock, findStock } from './kernel.js';

const found = await findStock('amd64');
const skip = typeof found === 'string' ? found : false;
await loadArchitecture('amd64');

const quickCommandLine = 'console=hvc0 cryptomgr.notests';

describe('a stock amd64 kernel', { skip }, () => {
  const calls: string[] = [];
  const booted =
    typeof found === 'string'
      ? null
      : bootStock({ kernel: found.kernel, initrd: found.initrd, commandLine: quickCommandLine }, (event) =>
          calls.push(...callText(event)),
        );

  it('boots with four vCPUs to the end of its user space, and every rule holds', () => {
    assert.ok(booted !== null);
    assert.deepEqual([booted.outcome, booted.findings, booted.notJudged], ['poweroff', [], []]);
    assert.deepEqual(
      booted.cpus.map(({ linuxCpu, vcpu, hardwareId, hardwareIdKind, recordedVcpuId, online }) => [
        ...[linuxCpu, vcpu, hardwareId, hardwareIdKind],
        ...[recordedVcpuId, online],
      ]),
      [0, 1, 2, 3].map((cpu) => [cpu, cpu, 2 * cpu, 'apicId', cpu, true]),
    );
    const { console } = booted;
    assert.match(console, /domulator-init: nproc=4\n/);
    assert.match(console, /domulator-init: hypervisor-minor=17\n/);
    assert.doesNotMatch(console, /Stale IRR/, 'an upcall is not requested of a local APIC that is disabled');
    assert.deepEqual(booted.notModelled, {});
  });

  it('is read by its export table: records, callers, online and possible CPUs', () => {
    const way = 'export table';
    assert.deepEqual(booted?.introspection, { records: way, caller: way, online: way, possible: way });
  });

  it('makes the calls that it makes under a real Xen, in order, for the same vCPUs, with the same answers', () => {
    const reference = readText('test/guest/reference/xen_4_17_pvh_4_vcpus_calls.txt').trim().split('\n');
    // From the driver of grant tables on.
    const allUp = reference.findIndex((line) => line.startsWith('GNTTABOP'));
    const made = calls.slice(0, reference.length);
    assert.deepEqual(made.slice(0, allUp), reference.slice(0, allUp));
    assert.deepEqual(made.slice(allUp).map(anyCaller), reference.slice(allUp).map(anyCaller));
  });
});

describe('a stock amd64 kernel on CPUs of the model v2', { skip }, () => {
  it('boots to the end of its user space with what they have, and every rule holds', () => {
    assert.ok(typeof found !== 'string');
    const { kernel, initrd } = found;
    const booted = bootStock({ kernel, initrd, commandLine: quickCommandLine, cpu: 'v2' });
    assert.deepEqual([booted.outcome, booted.findings, booted.notJudged], ['poweroff', [], []]);
    assert.deepEqual(booted.notModelled, {});
    assert.match(booted.console, /context size is 576 bytes, using 'standard' format/);
  });
});

describe('a stock amd64 kernel entered on vCPU 2, as a crash kernel is', { skip }, () => {
  const asked = { commandLine: quickCommandLine, entryVcpu: 2 };

  it('takes its ids from CPUID and the MADT, and every rule holds', () => {
    assert.ok(typeof found !== 'string');
    const booted = bootStock({ ...asked, kernel: found.kernel, initrd: found.initrd });
    assert.deepEqual([booted.outcome, booted.findings, booted.notJudged], ['poweroff', [], []]);
    assert.deepEqual(
      booted.cpus.map(({ linuxCpu, vcpu, recordedVcpuId }) => [linuxCpu, vcpu, recordedVcpuId]),
      [2, 0, 1, 3].map((vcpu, cpu) => [cpu, vcpu, vcpu]),
    );
  });

  it('without the patch of 2016 acts on vCPU 0 until Xen refuses it its own timer', () => {
    assert.ok(typeof found !== 'string');
    const calls: string[] = [];
    const booted = bootStock(
      { ...asked, kernel: found.kernel, initrd: found.initrd, whatIf: 'before-the-patch' },
      (event) => {
        if (event.kind === 'hypercall' && event.call.vcpuId !== null)
          calls.push(`${event.call.op} by ${event.vcpu} for ${event.call.vcpuId} = ${event.call.returned}`);
      },
    );
    // Xen takes what vCPU 2 says about vCPU 0, which is down. A timer it sets for the caller alone (do_vcpu_op), and Linux has BUG_ON.
    assert.deepEqual(calls, [
      'VCPUOP_register_vcpu_info by 2 for 0 = 0',
      'EVTCHNOP_init_control by 2 for 0 = 0',
      'HVMOP_set_evtchn_upcall_vector by 2 for 0 = 0',
      'VCPUOP_stop_periodic_timer by 2 for 0 = 0',
      'VCPUOP_register_runstate_memory_area by 2 for 0 = 0',
      'EVTCHNOP_bind_virq by 2 for 0 = 0',
      'VCPUOP_stop_singleshot_timer by 2 for 0 = -22',
    ]);
    assert.equal(booted.outcome, 'panic');
    assert.match(
      booted.ending,
      /; the last call of vCPU 2, VCPUOP_stop_singleshot_timer from xen_vcpuop_shutdown\+0x\w+, was refused: -XEN_EINVAL$/,
    );
    assert.deepEqual([...new Set(booted.findings.map(({ rule }) => rule))].sort(), [
      'id-is-meant',
      'record-true',
    ]);
  });
});
