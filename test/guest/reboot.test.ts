/** A guest that asks for a reboot, and goes on in a new domain: Debian's kernels, and one that asks for it again and again. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { TraceEvent } from '../../src/audit/index.js';
import { InputError } from '../../src/base/index.js';
import { loadArchitecture } from '../../src/boot/index.js';
import { busyboxInitramfs } from '../../src/firmware/index.js';
import { boot } from '../../src/library/index.js';
import { hvc, image, movk, movz, say } from '../boot/tiny_kernels.js';
import { onlyRun } from '../boot/reports.js';
import { bootStock, findStock } from './kernel.js';
import type { Booted } from './kernel.js';

/** Asks xenstore for the id of its domain, reboots in the first domain, and powers off in the next. */
const init = String.raw`#!/bin/sh
export PATH=/bin
mount -t devtmpfs devtmpfs /dev
exec 3<>/dev/xen/xenbus
printf '\2\0\0\0\1\0\0\0\0\0\0\0\6\0\0\0domid\0' >&3
domain=$(dd bs=64 count=1 <&3 2>/dev/null | tail -c 1)
echo "in domain $domain"
if [ "$domain" = 1 ]; then reboot -f; fi
poweroff -f
`;
const applets = ['sh', 'mount', 'dd', 'tail', 'reboot', 'poweroff'];

/** The events of a kernel but for its first and its last one, with times counted from its entry. */
function eventsOf(events: readonly TraceEvent[], kernel: number): { readonly afterNs: bigint }[] {
  const own = events.filter((event) => 'kernel' in event && event.kernel === kernel);
  const entered = own[0]?.timeNs ?? 0n;
  return own.slice(1).flatMap((event) => {
    if (event.kind === 'end') return [];
    return [{ ...event, step: 0, timeNs: 0n, kernel: 0, afterNs: event.timeNs - entered }];
  });
}

/** Of a call: what it is, who made it, and its answer. */
function callOf(event: object): unknown {
  if (!('call' in event)) return event;
  const { op, vcpuId, returned } = event.call as { op: string; vcpuId: number | null; returned: number };
  return { op, vcpuId, returned };
}

for (const [architecture, commandLine] of [
  ['arm64', 'console=ttyAMA0 cryptomgr.notests quiet'],
  ['amd64', 'console=hvc0 cryptomgr.notests quiet'],
] as const) {
  const found = await findStock(architecture);
  const skip = typeof found === 'string' ? found : false;
  await loadArchitecture(architecture);

  describe(`Debian's ${architecture} kernel after a reboot`, { skip }, () => {
    const events: TraceEvent[] = [];
    const run = (onReboot: 'end' | 'restart', event?: (event: TraceEvent) => void): Booted => {
      if (typeof found === 'string') throw new Error(found);
      const { kernel, busybox } = found;
      const initrd = busyboxInitramfs(busybox, architecture, { applets, init });
      return bootStock({ kernel, initrd, commandLine, vcpus: 2, memoryMiB: 256, onReboot }, event);
    };
    const ended = skip === false ? run('restart', (event) => events.push(event)) : null;

    it('is a kernel of its own in a new domain, with its own records and log, and powers off there', () => {
      assert.ok(ended !== null);
      assert.deepEqual(
        [ended.outcome, ended.reached, ended.findings, ended.notJudged],
        ['poweroff', true, [], []],
        ended.ending,
      );
      assert.deepEqual(ended.console.match(/in domain \d/g), ['in domain 1', 'in domain 2']);
      assert.deepEqual(
        ended.kernels.map(({ entry, entryVcpu, cpus }) => [
          ...[entry, entryVcpu],
          cpus.map(({ linuxCpu, vcpu, recordedVcpuId, online }) => [linuxCpu, vcpu, recordedVcpuId, online]),
        ]),
        ['boot', 'reboot'].map((entry) => [...[entry, 0], [0, 1].map((cpu) => [cpu, cpu, cpu, true])]),
      );
      for (const { kernelLog } of ended.kernels) assert.ok(kernelLog.length > 5);
      assert.match(
        ended.kernels[0]?.kernelLog.at(-1)?.text ?? '',
        /reboot: (Restarting system|machine restart)/,
      );
      assert.match(ended.kernels[1]?.kernelLog.at(-1)?.text ?? '', /reboot: (Power down|System halted)/);
      const resets = events.filter(({ kind }) => kind === 'reset');
      assert.deepEqual(
        resets.map((event) => event.kind === 'reset' && event.domain),
        [2],
      );
    });

    it('begins as in the first domain, call by call; on Arm, whose counters begin anew, at the same times', () => {
      const [first, second] = [eventsOf(events, 0), eventsOf(events, 1)].map((own) =>
        own.map(({ afterNs, ...event }) =>
          architecture === 'arm64' ? { ...event, afterNs } : callOf(event),
        ),
      );
      assert.ok(first !== undefined && second !== undefined && first.length > 40);
      // Until it knows in which domain it is; on x86, where system time goes on, while one CPU runs.
      const alike = architecture === 'arm64' ? Math.floor(0.9 * first.length) : 25;
      assert.deepEqual(second.slice(0, alike), first.slice(0, alike));
    });
  });
}

/** PSCI SYSTEM_RESET (Arm DEN0022). */
const reset = [movz(0, 0x8400, 1), movk(0, 9), hvc(0)];

describe('a guest that asks for a reboot', () => {
  const request = { memoryMiB: 16, vcpus: 1 } as const;

  it('ends, unless it is to be restarted; that ends after seven times, or at a limit of the whole run', async () => {
    const kernel = image([...say('hello\n'), ...reset]);
    const outcome = async (more: object): Promise<unknown[]> => {
      let said = '';
      const report = await boot({
        ...request,
        ...more,
        kernel,
        console: (bytes) => (said += Buffer.from(bytes).toString()),
      }).report();
      const { outcome: end, kernels, instructions } = onlyRun(report);
      return [end.what, end.why, kernels.length, said.split('hello').length - 1, instructions];
    };
    const one = await outcome({});
    assert.deepEqual(one.slice(0, 4), ['destroyed', 'the guest asked for reboot', 1, 1]);
    assert.deepEqual(await outcome({ onReboot: 'end' }), one);
    const why = 'the guest asked for reboot, and the run is followed into no more kernels';
    assert.deepEqual(await outcome({ onReboot: 'restart' }), ['destroyed', why, 8, 8, 8 * Number(one[4])]);
    const short = { onReboot: 'restart', limits: { instructions: Math.round(2.5 * Number(one[4])) } };
    const cut = await outcome(short);
    assert.deepEqual([cut[0], cut[2]], ['hang', 3], String(cut[1]));
  });

  it('is not said to leave vCPUs down where it reboots before user space', async () => {
    const kernel = image([...say('hello\n'), ...reset]);
    const { kernels } = onlyRun(await boot({ ...request, vcpus: 2, kernel, onReboot: 'restart' }).report());
    assert.deepEqual(
      kernels.map(({ findings }) => findings),
      Array.from({ length: 8 }, () => []),
    );
  });

  it('cannot be changed by what-if if it is to be restarted, and its checkpoint has settled whether it is', () => {
    assert.throws(() => boot({ onReboot: 'restart', whatIf: 'as-posted' }), InputError);
    assert.throws(() => boot({ from: 'any', onReboot: 'restart' }), /takes no onReboot/);
    assert.throws(() => boot({ onReboot: 'later' as 'end' }), /onReboot must be end or restart/);
  });
});
