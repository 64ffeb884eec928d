/** Typed input reaches a shell in a stock kernel, over the emulated UART and over the PV console. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Boot } from '../../src/boot/index.js';
import { busyboxInitramfs } from '../../src/firmware/index.js';
import { quickCommandLine, skip, stockKernel } from './kernel.js';
import { plainBoot } from './plain_boot.js';

const init = `#!/bin/sh
echo ready
for i in 1 2 3; do read line; echo "got <$line>"; done
poweroff -f
`;

/** Longer than the UART's FIFO. */
const long = 'x'.repeat(100);

function typeAt(device: string, console: 'uart' | 'pvConsole'): void {
  const { kernel, busybox } = stockKernel();
  const heard: Uint8Array[] = [];
  const boot = new Boot(
    {
      kernel,
      initrd: busyboxInitramfs(busybox, 'arm64', { applets: ['sh', 'echo', 'poweroff'], init }),
      commandLine: quickCommandLine.replace('ttyAMA0', device),
      vcpus: 1,
      memoryMiB: 256,
      ...plainBoot,
      limits: { instructions: 3_000_000_000, guestNs: 20_000_000_000n },
    },
    { console: (bytes) => heard.push(bytes.slice()) },
  );
  const type = (text: string, second: bigint): void =>
    boot.input(console, Buffer.from(text), second * 1_000_000_000n);
  type(`${long}\nlast one\n`, 4n);
  type('hello\n', 3n);
  while (boot.step(100_000_000) === 'running');
  const said = Buffer.concat(heard).toString('latin1');
  assert.equal(boot.result().outcome, 'poweroff', said.slice(-1000));
  assert.deepEqual(
    Array.from(said.matchAll(/got <(.*)>/g), ([, line]) => line),
    ['hello', long, 'last one'],
  );
  // Waiting for the input cost almost no instructions.
  assert.ok(boot.machine.nowNs > 4_000_000_000n && boot.machine.instructions < 1_000_000_000);
}

test('the UART receives typed input', { skip }, () => {
  typeAt('ttyAMA0', 'uart');
});

test('the PV console receives typed input', { skip }, () => {
  typeAt('hvc0', 'pvConsole');
});
