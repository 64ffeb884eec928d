/**
 * Reads Debian's kernel by each method alone; the results must be equal. The data for the other methods is blanked in
 * the image. The kernel does not need it unless it loads a module.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { present } from '../../src/base/index.js';
import { KernelImage } from '../../src/boot/index.js';
import { exportedOffsets, variableNames } from '../../src/introspect/index.js';
import { bootStock, quickCommandLine, skip, stockKernel } from './kernel.js';
import type { Booted } from './kernel.js';

/** The image without the used entries of its export table. */
function withoutExports(image: Uint8Array): Uint8Array {
  const blanked = image.slice();
  const words = new Int32Array(blanked.buffer);
  const values = new Set(exportedOffsets(image, variableNames).values());
  // The first word of an entry is the offset of the value. With another offset it is no longer the entry of this
  // symbol.
  for (let word = 0; word + 2 < words.length; word += 1) {
    const isEntry = values.has(4 * word + (words[word] ?? 0));
    if (isEntry && image[4 * (word + 2) + (words[word + 2] ?? 0)] === 0) words[word + 1] = 0;
  }
  assert.equal(exportedOffsets(blanked, variableNames).size, 0);
  return blanked;
}

/** The image without the header of its BTF. */
function withoutBtf(image: Uint8Array): Uint8Array {
  const blanked = image.slice();
  for (let at = blanked.indexOf(0x9f); at >= 0; at = blanked.indexOf(0x9f, at + 1)) {
    if ([0xeb, 1, 0, 24, 0, 0, 0].every((byte, i) => blanked[at + 1 + i] === byte)) blanked[at] = 0;
  }
  return blanked;
}

function bootAs(image: Uint8Array): Booted {
  return bootStock({
    kernel: { ...stockKernel().kernel, image },
    until: { kind: 'line', pattern: /smp: Brought up/ },
    commandLine: quickCommandLine,
    initrd: null,
  });
}

/** The data read for each CPU and each call. */
function readIn({ cpus, events }: Booted): unknown {
  const callers = events.flatMap((event) => (event.kind === 'hypercall' ? [event.linuxCpu] : []));
  const records = events.flatMap((event) =>
    event.kind === 'record' ? [[event.linuxCpu, event.value, event.timeNs]] : [],
  );
  const ups = events.flatMap((event) => (event.kind === 'running' ? [[event.linuxCpu, event.vcpu]] : []));
  return { cpus, callers, records, ups };
}

describe('a stock kernel', { skip }, () => {
  it('gives the same data by its BTF alone as by its export table', () => {
    const { bytes: image } = KernelImage.of(stockKernel().kernel.image);
    const whole = bootAs(image);
    const bare = bootAs(withoutExports(image));
    const way = 'export table';
    assert.deepEqual(whole.introspection, { records: way, caller: way, online: way, possible: way });
    assert.deepEqual(bare.introspection, { records: 'BTF', caller: 'BTF', online: 'BTF', possible: 'BTF' });
    assert.deepEqual(readIn(bare), readIn(whole));
    assert.deepEqual(bare.findings, []);
    assert.equal(bare.cpus.length, 4);
    assert.ok(bare.cpus.every(({ vcpu, recordedVcpuId, online }) => recordedVcpuId === vcpu && online));
  });

  it('is not asked for what it has yet to set up, where a line of its boot is the goal', () => {
    // Entered on vCPU 2, it breaks other rules: Linux 6.1 takes the CPU number for the id.
    const { findings, ending } = bootStock({
      until: { kind: 'line', pattern: /Using FIFO-based ABI/ },
      commandLine: `earlycon=pl011,0x22000000 ${quickCommandLine}`,
      initrd: null,
      entryVcpu: 2,
      xenstore: false,
    });
    assert.match(ending, /^the console said: .*Using FIFO-based ABI/);
    assert.deepEqual(
      findings.filter(({ rule }) => rule === 'registered-before-online'),
      [],
    );
  });

  it('without both is reported as unreadable, and no call is judged without data', () => {
    const { bytes: image } = KernelImage.of(stockKernel().kernel.image);
    const none = bootAs(withoutBtf(withoutExports(image)));
    assert.deepEqual(none.introspection, { records: null, caller: null, online: null, possible: null });
    assert.deepEqual(none.findings, []);
    const kernel = present(none.events[0], 'an event');
    assert.ok(kernel.kind === 'kernel' && kernel.records === 'unreadable');
  });
});
