/** The command with Debian's stock kernel: a panic, and input to its user space. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { busyboxInitramfs } from '../../src/firmware/index.js';
import { boot } from '../../src/library/index.js';
import { quickCommandLine, skip, stockKernel } from '../guest/kernel.js';
import { onlyKernel, onlyRun } from './reports.js';

describe('the stock kernel', { skip }, () => {
  it('that panics is reported as incomplete, and its log ends with the panic', async () => {
    const report = await boot({ commandLine: `${quickCommandLine} rdinit=/none` }).report();
    const reason = 'VFS: Unable to mount root fs on unknown-block(0,0)';
    const { findings, logTail } = onlyKernel(report);
    assert.deepEqual([report.verdict, findings], ['incomplete', []]);
    assert.deepEqual(onlyRun(report).outcome, { what: 'panic', why: reason });
    assert.match(logTail.at(-1) ?? '', /^\[ +0\.\d{6}\] Kernel panic - not syncing: VFS: /);
  });

  it('reads input at the given time', async () => {
    const { busybox } = stockKernel();
    const init = `#!/bin/sh
      export PATH=/bin
      while read -r line; do echo "got <$line>"; [ "$line" = off ] && poweroff -f; done`;
    const initrd = busyboxInitramfs(busybox, 'arm64', { init, applets: ['sh', 'poweroff'] });
    let said = '';
    const run = boot({
      initrd,
      commandLine: `${quickCommandLine} quiet`,
      until: 'poweroff',
      console: (bytes) => (said += Buffer.from(bytes).toString('latin1')),
    });
    run.type(Buffer.from('hello\r'), 2_000_000_000n);
    run.type(Buffer.from('off\r'), 3_000_000_000n);
    const { outcome, verdict, guestTimeNs } = onlyRun(await run.report());
    assert.deepEqual([verdict, outcome.what], ['pass', 'poweroff']);
    assert.match(said, /got <hello>\r\n[^]*got <off>\r\n/);
    assert.ok(guestTimeNs >= 3_000_000_000);
  });
});
