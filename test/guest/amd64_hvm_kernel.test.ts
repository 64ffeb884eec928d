/** Boots Debian's stock amd64 kernel as a PVHVM guest, and compares what it asks of Xen with its calls under a real Xen 4.17. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { loadArchitecture } from '../../src/boot/index.js';
import { readText } from '../files.js';
import { anyCaller, callText } from './call_lines.js';
import { bootStock, findStock } from './kernel.js';

const found = await findStock('amd64');
const skip = typeof found === 'string' ? found : false;
await loadArchitecture('amd64');

describe('a stock amd64 kernel as a PVHVM guest', { skip }, () => {
  const calls: string[] = [];
  const commandLine = 'console=hvc0 cryptomgr.notests';
  const booted =
    typeof found === 'string'
      ? null
      : bootStock({ kernel: found.kernel, initrd: found.initrd, commandLine, type: 'hvm' }, (event) =>
          calls.push(...callText(event)),
        );

  it('boots with four vCPUs to the end of its user space, and every rule holds', () => {
    assert.ok(booted !== null);
    assert.deepEqual([booted.outcome, booted.findings, booted.notJudged], ['poweroff', [], []]);
    assert.deepEqual(
      booted.cpus.map(({ linuxCpu, vcpu, hardwareId, recordedVcpuId, online }) => [
        ...[linuxCpu, vcpu, hardwareId],
        ...[recordedVcpuId, online],
      ]),
      [0, 1, 2, 3].map((cpu) => [cpu, cpu, 2 * cpu, cpu, true]),
    );
    assert.match(booted.console, /domulator-init: nproc=4\n/);
    assert.deepEqual(booted.notModelled, {});
  });

  it('takes the interrupts that it takes under a real Xen, from the same controllers and as pirqs', () => {
    const lines = booted?.console.match(/^domulator-init: interrupts: .*(timer|i8042|rtc0|acpi)$/gm) ?? [];
    const kinds = lines.map((line) =>
      line.replace(/^.*interrupts: (\d+): [ \d]*/, '$1 ').replace(/ +/g, ' '),
    );
    assert.deepEqual(kinds, [
      '0 IO-APIC 2-edge timer',
      '1 xen-pirq 1-ioapic-edge i8042',
      '8 xen-pirq 8-ioapic-edge rtc0',
      '9 xen-pirq 9-ioapic-level acpi',
      '12 xen-pirq 12-ioapic-edge i8042',
    ]);
  });

  it('makes the calls that it makes under a real Xen, in order, for the same vCPUs, with the same answers', () => {
    const file = readText('test/guest/reference/xen_4_17_hvm_4_vcpus_calls.txt').trim().split('\n');
    const reference = file.filter((line) => !line.startsWith('PHYSDEVOP_eoi'));
    // Until all CPUs are up; then the drivers of xenstore and of interrupts.
    const allUp = reference.findIndex((line) => line.startsWith('HVMOP_get_param by 3'));
    const made = calls.slice(0, reference.length);
    assert.deepEqual(made.slice(0, allUp), reference.slice(0, allUp));
    assert.deepEqual(made.slice(allUp).map(anyCaller), reference.slice(allUp).map(anyCaller));
  });
});
