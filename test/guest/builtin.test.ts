/** The builtin guest, booted like any other kernel. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { XEN_EINVAL, XEN_ENOENT } from '../../src/abi/index.js';
import { hashValue } from '../../src/base/index.js';
import { Boot } from '../../src/boot/index.js';
import { arm64, readKernelImage } from '../../src/firmware/index.js';
import { connectBackends } from '../../src/hypervisor/index.js';
import { arm64Machine } from '../../src/machine/index.js';
import { bootBuiltin, bootOptions, kernel } from './builtin_runs.js';
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

/** For each Linux CPU: its vCPU, its record and whether it was online at the end. */
function cpus({ result }: BuiltinRun): [vcpu: number, recorded: number | null, online: boolean | null][] {
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

/** Checks that each CPU called every other in each of these ways, and knows its vCPU id. */
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
  // At least two more, for xenstore and the console. The trace keeps only as many as the audit needs, but counts all.
  assert.ok((run.result.counts.calls.byName['EVTCHNOP_send'] ?? 0) >= (ways.length - 1) * pairs + 2);
}

/** The kernel with the export `name` renamed. */
function without(name: string): typeof kernel {
  const image = kernel.image.slice();
  const at = Buffer.from(image.buffer).indexOf(`${name}\0`);
  assert.ok(at > 0);
  image[at] = 0x7e;
  return { ...kernel, image };
}

describe('the builtin guest', () => {
  it('is an Image that a loader accepts like any other', async () => {
    const image = await readKernelImage(kernel.image, 'builtin');
    assert.deepEqual(image.placement, kernel.placement);
    assert.equal(image.memoryBytes, kernel.memoryBytes);
  });

  for (const vcpus of [1, 2, 4, 8, 128]) {
    it(`brings up ${vcpus} vCPUs, and each calls each other by SGIs and both event ABIs`, () => {
      const run = bootBuiltin({ vcpus });
      assertPasses(run);
      assertCalls(run, vcpus, ['interrupts (SGI)', 'events, two-level', 'events, FIFO']);
    });
  }

  it('gives identical bytes when run again, and another order with another seed', () => {
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

describe('the builtin guest whose records are unset at its first init_control', () => {
  for (const [whatIf, id, error] of [
    ['as-posted', 0xffff_ffff, -XEN_ENOENT],
    ['as-tested', 0, -XEN_EINVAL],
  ] as const) {
    it(`${whatIf}: the control block of every other CPU is refused, and one CPU remains`, () => {
      const run = bootBuiltin({ whatIf });
      assert.equal(run.result.outcome, 'poweroff');
      assert.deepEqual(
        calls(run, 'EVTCHNOP_init_control').map(({ vcpuId, returned }) => [vcpuId, returned]),
        [[0, 0], ...Array.from({ length: 3 }, () => [id, error])],
      );
      assert.ok(run.lines.includes('online: 1 of 4 CPUs; power off'), run.console);
      const blamed = run.result.findings.filter(({ rule }) => rule === 'id-is-meant');
      assert.deepEqual(
        blamed.map(({ callingVcpu, passed, meant }) => [callingVcpu, passed, meant]).sort(),
        [1, 2, 3].map((vcpu) => [vcpu, id, vcpu]),
      );
    });

    it(`${whatIf}, FIFO events from the start: never starts the other CPUs, like Linux`, () => {
      const run = bootBuiltin({ whatIf, commandLine: 'events=fifo' });
      assert.deepEqual(
        calls(run, 'EVTCHNOP_init_control').map(({ vcpu, vcpuId, returned }) => [vcpu, vcpuId, returned]),
        [[0, 0, 0], ...Array.from({ length: 3 }, () => [0, id, error])],
      );
      assert.ok(!run.result.events.some(({ kind }) => kind === 'start'));
      assert.ok(run.result.findings.some(({ rule }) => rule === 'all-vcpus-up'));
    });
  }

  it('behaves the same without FIFO events, where the what-if has no effect', () => {
    const run = bootBuiltin({ whatIf: 'as-tested', commandLine: 'events=2l' });
    const { outcome, reached, findings, ending } = run.result;
    assert.deepEqual([outcome, reached, findings], ['poweroff', false, []]);
    assert.match(ending, /its records were never set as-tested: it made no EVTCHNOP_init_control$/);
    assertCalls(run, 4, ['interrupts (SGI)', 'events, two-level']);
  });
});

describe('the builtin guest entered like a crash kernel', () => {
  for (const entryVcpu of [1, 2, 3]) {
    it(`on vCPU ${entryVcpu}: its records follow the MPIDRs, and every rule holds`, () => {
      const run = bootBuiltin({ entryVcpu });
      assertPasses(run);
      const others = [0, 1, 2, 3].filter((vcpu) => vcpu !== entryVcpu);
      assert.deepEqual(
        cpus(run),
        [entryVcpu, ...others].map((vcpu) => [vcpu, vcpu, true]),
      );
    });

    for (const release of ['4.17', '4.18'] as const) {
      it(`on vCPU ${entryVcpu} of Xen ${release}, with its CPU numbers as ids: has one wrong id per CPU that is on another vCPU`, () => {
        const run = bootBuiltin({ entryVcpu, release, commandLine: 'ids=direct' });
        const order = [entryVcpu, ...[0, 1, 2, 3].filter((vcpu) => vcpu !== entryVcpu)];
        assert.deepEqual(
          cpus(run).map(([vcpu, recorded]) => [vcpu, recorded]),
          order.map((vcpu, cpu) => [vcpu, cpu]),
        );
        const moved = order.filter((vcpu, cpu) => vcpu !== cpu);
        const wrong = run.result.findings.filter(({ rule }) => rule === 'record-true');
        assert.equal(wrong.length, moved.length);
        // CPU 0 uses the id 0, and Xen accepts it.
        const silent = run.result.findings.filter(
          ({ rule, op, returned }) =>
            rule === 'id-is-meant' && op === 'VCPUOP_register_vcpu_info' && returned === 0,
        );
        assert.deepEqual(silent.map(({ callingVcpu, passed, meant }) => [callingVcpu, passed, meant])[0], [
          entryVcpu,
          0,
          entryVcpu,
        ]);
        // 4.17 refuses to register the vcpu_info of another vCPU that is up (arch_set_info and map_vcpu_info check the
        // caller).
        assert.equal(silent.length, release === '4.17' ? 1 : moved.length);
      });
    }
  }

  it('never derives an id from an MPIDR that Xen gives to no vCPU', () => {
    // The last vCPU of an AFF1 and the first of the next.
    const run = bootBuiltin({ vcpus: 18, entryVcpu: 16, commandLine: 'events=2l' });
    assertPasses(run);
    const first = run.result.cpus[0];
    assert.deepEqual([first?.hardwareIdKind, first?.hardwareId, first?.recordedVcpuId], ['mpidr', 0x100, 16]);
  });
});

describe("the builtin guest's options and surroundings", () => {
  it('powers off by PSCI when asked to', () => {
    const run = bootBuiltin({ commandLine: 'poweroff=psci' });
    assertPasses(run);
    assert.equal(calls(run, 'SCHEDOP_shutdown').length, 0);
  });

  it('continues without xenstore and PV console if there are none', () => {
    const run = bootBuiltin({ xenstore: false });
    assertPasses(run);
    assert.ok(!run.lines.some((line) => line.startsWith('xenstore:')));
  });

  it('asks xenstore for its name, and writes to both consoles', () => {
    const run = bootBuiltin();
    assert.ok(run.lines.includes('xenstore: name is domulator'), run.console);
    assert.ok(run.lines.includes('builtin guest: this line came by the PV console'), run.console);
  });

  for (const name of ['xen_vcpu_id', '__per_cpu_offset', '__cpu_online_mask']) {
    it(`is judged by its calls if it does not export ${name}`, () => {
      const run = bootBuiltin({ kernel: without(name) });
      assertPasses(run);
      assert.deepEqual(
        cpus(run).map(([vcpu, , online]) => [vcpu, online]),
        // Without the mask, nothing shows whether a started CPU is online.
        [0, 1, 2, 3].map((vcpu) => [vcpu, name === '__cpu_online_mask' && vcpu > 0 ? null : true]),
      );
    });
  }

  it('cannot run a what-if if it does not export its records', () => {
    const { result } = bootBuiltin({ kernel: without('xen_vcpu_id'), whatIf: 'as-posted' });
    assert.equal(result.reached, false);
    assert.match(result.ending, /its records were never set as-posted: it has none that can be written$/);
  });

  it('finds a console line with a pattern of any flags', () => {
    const pattern = /answered/g;
    pattern.lastIndex = 1000;
    assert.equal(bootBuiltin({ until: { kind: 'line', pattern } }).result.reached, true);
  });

  it('refuses a command line that Linux would truncate', () => {
    const tooLong = { commandLine: 'x'.repeat(3 << 20) };
    assert.throws(() => bootBuiltin(tooLong), {
      name: 'InputError',
      message: /command line has 3145728 bytes/,
    });
  });

  it('is seen in user space', () => {
    const run = bootBuiltin({ until: { kind: 'userspace' } });
    assert.equal(run.result.reached, true);
    assert.equal(run.result.outcome, 'userspace');
  });

  it('registers with Xen 4.18 as with 4.17', () => {
    assertPasses(bootBuiltin({ release: '4.18' }));
  });
});

describe('a machine without console listeners', () => {
  it('still serves xenstore and PV console', () => {
    const { guest } = new Boot(bootOptions());
    const { config, kernelAt } = guest;
    const sizes = {
      textOffset: kernel.placement.textOffset,
      kernel: kernel.memoryBytes,
      deviceTree: 2 << 20,
      initrd: 0,
    };
    const { deviceTree } = arm64.placeGuest(arm64.memoryBanks(64), sizes);
    const machine = arm64Machine(
      { config, seed: 1, entry: kernelAt, bootInformation: deviceTree },
      { uart: () => undefined },
    );
    machine.processor.ram.set(guest.machine.processor.ram);
    connectBackends(machine.domain, { name: 'domulator' });
    assert.equal(machine.run(200_000_000, 10_000_000_000n), 'shutdown');
    assert.equal(machine.domain.state.shutdown?.reason, 0);
  });
});
