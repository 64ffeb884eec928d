/** The builtin guest, booted through the same doors as any kernel. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { hashValue } from '../../src/base/index.js';
import { readKernelImage } from '../../src/firmware/index.js';
import { bootBuiltin, kernel } from './builtin_runs.js';
import type { BuiltinRun } from './builtin_runs.js';

/** The hypercalls of a run, by name. */
function calls(
  { result }: BuiltinRun,
  op: string,
): { vcpu: number; vcpuId: number | null; returned: number }[] {
  return result.events.flatMap((event) =>
    event.kind === 'hypercall' && event.call.op === op
      ? [{ vcpu: event.vcpu, vcpuId: event.call.vcpuId, returned: event.call.returned }]
      : [],
  );
}

/** Of each Linux CPU: its vCPU, its record and whether it was online in the end. */
function cpus({ result }: BuiltinRun): [vcpu: number, recorded: number | null, online: boolean][] {
  return result.cpus.map(({ vcpu, recordedVcpuId, online }) => [vcpu, recordedVcpuId, online]);
}

function assertPasses(run: BuiltinRun): void {
  const { outcome, reached, findings } = run.result;
  assert.deepEqual(
    { outcome, reached, findings },
    { outcome: 'poweroff', reached: true, findings: [] },
    run.console,
  );
}

/** That each CPU called each other in each of these ways, and knows which vCPU it is. */
function assertCalls(run: BuiltinRun, vcpus: number, ways: readonly string[]): void {
  const pairs = vcpus * (vcpus - 1);
  const said = run.lines.filter((line) => line.endsWith('calls, each answered'));
  assert.deepEqual(
    said,
    ways.map((how) => `${how}: ${pairs} calls, each answered`),
  );
  assert.ok(run.lines.includes(`online: ${vcpus} of ${vcpus} CPUs; power off`));
  assert.deepEqual(
    cpus(run),
    Array.from({ length: vcpus }, (_, i) => [i, i, true]),
  );
  assert.equal(calls(run, 'VCPUOP_register_vcpu_info').length, vcpus);
  // Two more, at least, for xenstore and the console.
  assert.ok(calls(run, 'EVTCHNOP_send').length >= (ways.length - 1) * pairs + 2);
}

describe('the builtin guest', () => {
  it('is an Image that a loader takes like any other', async () => {
    const image = await readKernelImage(kernel.image, 'builtin');
    assert.equal(image.pageKiB, 4);
    assert.equal(image.textOffset, kernel.textOffset);
    assert.equal(image.memoryBytes, kernel.memoryBytes);
  });

  for (const vcpus of [1, 2, 4, 8]) {
    it(`brings up ${vcpus} vCPUs, and each calls each other by SGIs and both event ABIs`, () => {
      const run = bootBuiltin({ vcpus });
      assertPasses(run);
      assertCalls(run, vcpus, ['interrupts (SGI)', 'events, two-level', 'events, FIFO']);
    });
  }

  it('brings up more vCPUs than an AFF0 has room for', () => {
    const run = bootBuiltin({ vcpus: 32, commandLine: 'events=fifo' });
    assertPasses(run);
    assertCalls(run, 32, ['interrupts (SGI)', 'events, FIFO']);
  });

  it('is the same to the byte when it is run again, and another in its order under another seed', () => {
    const runs = Array.from({ length: 10 }, (_, seed) => bootBuiltin({ seed }));
    for (const run of runs) assertPasses(run);
    const orders = runs.map(({ result }) =>
      hashValue(result.events.map((event) => ({ ...event, timeNs: 0n }))),
    );
    assert.equal(new Set(orders).size, runs.length);
    const again = bootBuiltin({ seed: 3 });
    assert.equal(hashValue(again.result.events), hashValue(runs[3]?.result.events));
    assert.equal(again.console, runs[3]?.console);
    assert.notEqual(again.console, '');
  });
});
