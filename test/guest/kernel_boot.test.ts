/** Boots Debian's unmodified kernel with common numbers of vCPUs. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { bootStock, skip } from './kernel.js';

describe('a stock kernel', { skip }, () => {
  for (const vcpus of [1, 2, 4, 8]) {
    it(`boots with ${vcpus} vCPUs, and each CPU knows its vCPU id`, () => {
      const { outcome, ending, reached, findings, cpus, events, console } = bootStock({ vcpus });
      assert.deepEqual(
        { outcome, reached, findings },
        { outcome: 'poweroff', reached: true, findings: [] },
        ending,
      );
      assert.deepEqual(
        cpus.map(({ linuxCpu, vcpu, recordedVcpuId }) => [linuxCpu, vcpu, recordedVcpuId]),
        Array.from({ length: vcpus }, (_, cpu) => [cpu, cpu, cpu]),
      );
      assert.match(console, new RegExp(`domulator-init: nproc=${vcpus}\\n`));
      assert.match(console, /domulator-init: hypervisor-type=xen\n/);
      const starts = events.filter(({ kind }) => kind === 'start');
      assert.equal(starts.length, vcpus - 1);
    });
  }

  it('has a PV console and xenbus with xenstore, and neither without xenstore', () => {
    const { console } = bootStock({ commandLine: 'console=hvc0 cryptomgr.notests' });
    assert.match(console, /printk: console \[hvc0\] enabled\n/);
    assert.match(console, /domulator-init: done\n/);
    // Its interrupt occurred, so xenstore has answered.
    assert.match(console, /interrupts: .* [1-9]\d* .*xen-dyn .* xenbus\n/);
    assert.match(console, /interrupts: .*hvc_console\n/);
    const without = bootStock({ xenstore: false });
    assert.equal(without.outcome, 'poweroff');
    assert.doesNotMatch(without.console, /xenbus|hvc/);
  });
});
