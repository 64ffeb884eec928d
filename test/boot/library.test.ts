/** Tests of the library's entry point. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { describe, it } from 'node:test';
import { boot, InputError, kernels, parseKernelSpec } from '../../src/library/index.js';
import type { BootRequest, Hypercall, KernelsRequest } from '../../src/library/index.js';
import { onlyRun } from './reports.js';
import { branch, hypercall, image, movz, powerOff, spin } from './tiny_kernels.js';

const hasPipes = process.platform !== 'win32';
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
    const one = Buffer.from('one ');
    run.type(one);
    one.fill(0);
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
    const nothing = boot({ ...small, kernel: new Uint8Array() });
    await assert.rejects(taken(nothing), InputError);
    await assert.rejects(nothing.report(), InputError);
  });

  it('refuses a value of another kind than the type says, which only a program without types can pass', async () => {
    const wrong: Readonly<Record<string, unknown>>[] = [
      { xen: '4.19' },
      { xen: 4.17 },
      { whatIf: 'as-told' },
      { whatIf: '' },
      { whatIf: null },
      { until: 'never' },
      { until: '' },
      { until: new RegExp('(a|b)'.repeat(20_000)) },
      { vcpus: '4' },
      { vcpus: null },
      { vcpus: 4n },
      { xenstore: 'false' },
      { commandLine: null },
      { limits: null },
      { limits: 5 },
      { limits: { guestSeconds: '5' } },
      { command: 'ls' },
      { command: [5] },
      { script: 5 },
      { initrd: null },
      { event: 5 },
      { console: {} },
      { mirror: 5 },
      { kernel: 5 },
      { kernel: null },
      { kernel: new ArrayBuffer(64) },
      { kernel: { kind: 'image' } },
      { kernel: { kind: 'bytes', bytes: 'abc' } },
      { kernel: { kind: 'file', file: 5 } },
      { from: 5 },
      { vcpu: 2 },
    ];
    const refused = (error: unknown): boolean => error instanceof InputError && !error.message.includes('\n');
    for (const request of wrong)
      assert.throws(() => boot({ ...small, kernel: three, ...request }), refused, Object.keys(request)[0]);
    assert.throws(() => boot(null as unknown as BootRequest), refused);
    const run = boot({ ...small, kernel: three });
    assert.throws(() => run.type('x' as unknown as Uint8Array), refused);
    assert.throws(() => run.type(new Uint8Array(1), 5 as unknown as bigint), refused);
    assert.throws(() => run.stop(5 as unknown as string), refused);
    assert.throws(() => parseKernelSpec(5 as unknown as string), refused);
    await assert.rejects(kernels(null as unknown as KernelsRequest), refused);
    await assert.rejects(
      boot({ kernel: 'a\0b' }).report(),
      /^InputError: the kernel a b cannot be read: its name/,
    );
  });

  it('refuses what the builtin kernel has no use for', () => {
    for (const more of [{ initrd: new Uint8Array(16) }, { mirror: 'http://localhost/' }])
      assert.throws(() => boot({ kernel: 'builtin', ...more }), /the builtin guest .*leave it out/);
  });

  it('is not changed when the caller changes the request, its command or its bytes later', async () => {
    const bytes = Buffer.from(three);
    const limits = { instructions: 1_000_000 };
    const request = { ...small, kernel: bytes as Uint8Array, limits, vcpus: 2 };
    const run = boot(request);
    bytes.fill(0);
    limits.instructions = 1;
    request.vcpus = 1;
    Object.assign(request, { event: () => assert.fail('no listener of the request') });
    const report = await run.report();
    assert.equal(onlyRun(report).outcome.what, 'poweroff');
    assert.deepEqual([report.machine.vcpus, onlyRun(report).hypercalls.total], [2, 3]);
  });

  it('says why it was stopped in one line', async () => {
    for (const [why, said] of [
      ['a\nb', 'a b'],
      ['\n', 'the run was stopped'],
    ] as const) {
      const run = boot({ ...small, kernel: three });
      run.stop(why);
      assert.equal(onlyRun(await run.report()).outcome.why, `${said} before the kernel was loaded`);
    }
  });

  it('keeps the calls that were made before a loop was left', async () => {
    const run = boot({ ...small, kernel: three });
    const calls: Hypercall[] = [];
    for await (const call of run) {
      calls.push(call);
      break;
    }
    calls.push(...(await taken(run)));
    assert.deepEqual(
      calls.map(({ name }) => name),
      ['XENVER_version', 'XENVER_extraversion', 'VCPUOP_is_up'],
    );
  });

  it('throws what a listener threw, each time', async () => {
    const mine = new Error('mine');
    let heard = 0;
    const run = boot({
      ...small,
      kernel: three,
      event: () => {
        if (++heard === 3) throw mine;
      },
    });
    const isMine = (error: unknown): boolean => error === mine;
    await assert.rejects(run.report(), isMine);
    await assert.rejects(run.report(), isMine);
    await assert.rejects(taken(run), isMine);
    await assert.rejects(run.reach(1), isMine);
    await assert.rejects(run.checkpoint(), isMine);
    assert.equal(run.progress.phase, 'ended');
  });

  it('goes on after a place to reach was none', async () => {
    const run = boot({ ...small, kernel: three });
    for (const place of [-1, NaN, 1e99, 'user space', new RegExp('(a|b)'.repeat(20_000))])
      await assert.rejects(run.reach(place as number), InputError, String(place));
    assert.equal(onlyRun(await run.report()).outcome.what, 'poweroff');
  });

  it('stops for all who wait while the kernel is still being read', { skip: !hasPipes }, async () => {
    const folder = mkdtempSync(path.join(os.tmpdir(), 'domulator-library-'));
    const pipe = path.join(folder, 'pipe');
    execFileSync('mkfifo', [pipe]);
    const run = boot({ ...small, kernel: pipe });
    const reports = [run.report(), run.report()];
    setTimeout(() => run.stop('enough\nof it'), 50);
    const [one, other] = await Promise.all(reports);
    // The thread that opens the pipe ends with the pipe's first writer.
    await writeFile(pipe, 'x');
    rmSync(folder, { recursive: true });
    assert.equal(one, other);
    assert.equal(onlyRun(one!).outcome.why, 'enough of it before the kernel was loaded');
  });
});
