/** Tests of the library's entry point. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { boot, InputError } from '../../src/library/index.js';
import type { BootRequest, Hypercall } from '../../src/library/index.js';
import { onlyRun } from './reports.js';
import { branch, hypercall, image, movz, powerOff, spin } from './tiny_kernels.js';

const small: BootRequest = { initrd: new Uint8Array(16), memoryMiB: 16, vcpus: 1, until: 'poweroff' };
/** Three calls: version, features, and one for a vCPU that does not exist. */
const three = image([...hypercall(17, 0), ...hypercall(17, 1, 0), ...hypercall(24, 3, 9), ...powerOff]);

async function taken(run: AsyncIterable<Hypercall>): Promise<Hypercall[]> {
  const calls: Hypercall[] = [];
  for await (const call of run) calls.push(call);
  return calls;
}

describe('boot', () => {
  it('yields each hypercall once, and then the report', async () => {
    const run = boot({ ...small, kernel: three });
    assert.equal(run.progress.phase, 'loading');
    const calls = await taken(run);
    assert.deepEqual(
      calls.map(({ name, vcpu, vcpuId, returned }) => [name, vcpu, vcpuId, returned]),
      [
        ['XENVER_version', 0, null, 0x4_0011],
        ['XENVER_extraversion', 0, null, -14],
        ['VCPUOP_is_up', 0, 9, -2],
      ],
    );
    assert.equal(run.progress.phase, 'ended');
    const report = await run.report();
    const { hypercalls, outcome } = onlyRun(report);
    assert.deepEqual([hypercalls.total, outcome.what], [3, 'poweroff']);
    assert.equal(await run.report(), report);
    assert.deepEqual(await taken(run), []);
  });

  it('stops the guest when the loop is left', async () => {
    const run = boot({ ...small, kernel: image([...hypercall(17, 0), ...spin]) });
    for await (const { name } of run) {
      assert.equal(name, 'XENVER_version');
      break;
    }
    const { instructions } = run.progress;
    await new Promise((resolve) => setTimeout(resolve, 20));
    assert.equal(run.progress.instructions, instructions);
    run.stop('seen enough');
    // The report also says what the guest was doing, as it does of one that hangs.
    const why = 'seen enough; vCPU 0 spins at 0x4000004c (_text+0x4c) with interrupts masked';
    assert.deepEqual(onlyRun(await run.report()).outcome, { what: 'stopped', why });
  });

  it('gives the same report for the same request, except the figures of the host', async () => {
    const report = async (seed: number): Promise<object> => {
      const { host, ...rest } = await boot({ kernel: 'builtin', seed }).report();
      assert.equal(host?.node, process.version);
      return rest;
    };
    assert.deepEqual(await report(1), await report(1));
    assert.notDeepEqual(await report(1), await report(2));
  });

  it('types the given input into the guest at the given time', async () => {
    // Waits for a byte of the UART and sends it back, until the byte is a full stop.
    const echo = image([
      movz(1, 0x2200, 1),
      0xb940_1822, // LDR W2, [X1, #0x18]: UARTFR
      0x3727_ffe2, // TBNZ W2, #4, back: nothing received
      0x3940_0023, // LDRB W3, [X1]
      0x3900_0023, // STRB W3, [X1]
      0x7100_b87f, // CMP W3, #'.'
      0x5400_0000 | ((-5 & 0x7_ffff) << 5) | 1, // B.NE back
      ...powerOff,
    ]);
    let said = '';
    const run = boot({ ...small, kernel: echo, console: (bytes) => (said += Buffer.from(bytes).toString()) });
    run.type(Buffer.from('one '));
    run.type(Buffer.from('three.'), 5_000_000n);
    run.type(Buffer.from('two '), 1_000_000n);
    const { outcome, guestTimeNs } = onlyRun(await run.report());
    assert.equal(outcome.what, 'poweroff');
    assert.equal(said, 'one two three.');
    assert.ok(guestTimeNs >= 5_000_000);
  });

  it('reports a guest that waits with no event due as hanging, unless more input may come', async () => {
    const waits = image([0xd503_207f, branch(-1)]); // WFI
    const alone = await boot({ ...small, kernel: waits }).report();
    assert.equal(onlyRun(alone).outcome.what, 'hang');
    const run = boot({ ...small, kernel: waits, realTime: true });
    const report = run.report();
    setTimeout(() => run.stop(), 50);
    assert.equal(onlyRun(await report).outcome.what, 'stopped');
  });

  it('refuses an invalid request, immediately or as soon as it is known to be invalid', async () => {
    const wrong: BootRequest[] = [
      { vcpus: 0 },
      { vcpus: 1.5 },
      { memoryMiB: 1 },
      { entryVcpu: 4 },
      { seed: -1 },
      { limits: { guestSeconds: 0 } },
    ];
    for (const request of wrong) assert.throws(() => boot(request), InputError);
    // A program in another language may ask for what the types do not allow.
    const untyped: object[] = [
      { xen: '4.19' },
      { whatIf: 'as_posted' },
      { until: 'power-off' },
      { commandLine: 5 },
      { kernel: {} },
    ];
    for (const request of untyped) assert.throws(() => boot(request), InputError, JSON.stringify(request));
    const nothing = boot({ ...small, kernel: new Uint8Array() });
    await assert.rejects(taken(nothing), InputError);
    await assert.rejects(nothing.report(), InputError);
  });
});
