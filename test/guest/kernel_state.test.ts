/** A boot of Debian's kernel as a value: it is saved at several instructions, restored into a new boot, and goes on the same. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { defaultLimits } from '../../src/boot/index.js';
import type { BootOptions } from '../../src/boot/index.js';
import { commandInitramfs } from '../../src/firmware/index.js';
import { initProgram } from '../../src/guest_init/index.js';
import { arm64 } from '../../src/guest_init/arm64/index.js';
import { cutBoot, wholeBoot } from './cut_boots.js';
import { quickCommandLine, skip, stockKernel } from './kernel.js';
import { plainBoot } from './plain_boot.js';

/** A boot whose user space runs `true`. */
function withCommand(options: Partial<BootOptions> = {}): BootOptions {
  const { kernel, busybox } = stockKernel();
  const setup = ['/bin/busybox', '--install', '-s', '/bin'];
  const init = initProgram({ args: ['true'], setup }, arm64);
  return {
    kernel,
    initrd: commandInitramfs(busybox, 'arm64', init, null),
    commandLine: quickCommandLine,
    vcpus: 4,
    memoryMiB: 512,
    ...plainBoot,
    command: { argv: ['true'], script: null },
    limits: defaultLimits(4),
    ...options,
  };
}

describe("a boot of Debian's kernel with a command, cut at several instructions", { skip }, () => {
  it('runs the same, and its command ends', () => {
    const asked = withCommand();
    const whole = wholeBoot(asked);
    assert.deepEqual(whole.report.runs[0].commandStatus, { exitCode: 0, signal: null });
    const cuts = [0.03, 0.4, 0.7, 0.98].map((part) => Math.round(part * whole.instructions));
    assert.deepEqual(cutBoot(asked, cuts), whole);
  });

  it('runs the same entered on vCPU 2, with records as in 2016', () => {
    const asked = withCommand({ entryVcpu: 2, whatIf: 'as-tested' });
    const whole = wholeBoot(asked);
    const cuts = [0.2, 0.5, 0.9].map((part) => Math.round(part * whole.instructions));
    assert.deepEqual(cutBoot(asked, cuts), whole);
    assert.equal(whole.verdict, 'fail');
  });
});
