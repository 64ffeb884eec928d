import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { TraceEvent } from '../audit/index.js';
import { present, ValueHash, valueToJson } from '../base/index.js';
import { linuxCpu, xenVcpuId } from '../identity/index.js';
import { countBounds, TraceCounts, visibleText } from './trace_counts.js';
import { traceBounds, TraceStore } from './trace_store.js';

interface Call {
  readonly op?: string;
  readonly hypercall?: string;
  readonly vcpu?: number;
  readonly vcpuId?: number | null;
  readonly returned?: number;
  readonly detail?: Record<string, unknown>;
}

function call(step: number, given: Call): TraceEvent {
  const {
    op = 'VCPUOP_register_vcpu_info',
    hypercall = 'vcpu_op',
    vcpu = 0,
    vcpuId = 0,
    returned = 0,
    detail = {},
  } = given;
  const made = { hypercall, op, vcpuId, detail, returned };
  const by = { vcpu: xenVcpuId(vcpu), linuxCpu: linuxCpu(vcpu) };
  return { kind: 'hypercall', step, timeNs: BigInt(step), kernel: 0, ...by, call: made, phase: null };
}

function started(step: number, returned: number): TraceEvent {
  const by = { by: xenVcpuId(0), linuxCpu: linuxCpu(0), meant: linuxCpu(1), target: xenVcpuId(1) };
  return { kind: 'start', step, timeNs: BigInt(step), kernel: 0, how: 'psci', ...by, returned };
}

function filled(calls: readonly Call[], bounds = traceBounds): TraceStore {
  const store = new TraceStore(bounds);
  for (const each of calls) store.add(call(store.length, each));
  return store;
}

const times = (count: number, given: Call): Call[] => Array.from({ length: count }, () => given);
const version: Call = { op: 'XENVER_version', hypercall: 'xen_version', vcpuId: null };

describe('what is kept of a trace', () => {
  it('is all of it, as long as there is room and nothing repeats', () => {
    const store = filled([...times(10, version), {}, { vcpu: 1, vcpuId: 1 }]);
    assert.deepEqual(
      store.events.map(({ step }) => step),
      [...Array(12).keys()],
    );
    assert.deepEqual(store.folding, {
      events: 12,
      kept: 12,
      unreadCalls: 0,
      repeatedCalls: 0,
      auditedUpToStep: null,
    });
  });

  it('is 16 of a refusal that repeats, and 16 again after something else', () => {
    const refused = { returned: -22 };
    const store = filled([...times(100, refused), { op: 'EVTCHNOP_bind_ipi' }, ...times(100, refused)]);
    assert.equal(store.events.length, 16 + 1 + 16);
    assert.equal(store.folding.repeatedCalls, 2 * 84);
    assert.equal(store.counts.calls.total, 201);
    assert.equal(store.counts.calls.refused, 200);
  });

  it('is 16 rounds of a loop of several refusals, and what comes after it in its order', () => {
    const refused = (id: number): Call => ({ vcpuId: id, returned: -22 });
    const round = [refused(0), refused(1), refused(0), refused(2)];
    const loop = Array.from({ length: 100 }, () => round).flat();
    const store = filled([...loop, refused(0), refused(1), refused(7)]);
    const ids = store.events.map((event) => event.kind === 'hypercall' && event.call.vcpuId);
    assert.deepEqual(ids.slice(-7), [0, 1, 0, 2, 0, 1, 7]);
    assert.ok(store.events.length < 16 * 4 + 8);
    assert.equal(store.folding.repeatedCalls, 403 - store.events.length);
  });

  it('is a refused start that comes after a refusal of another kind, however often it came before', () => {
    const store = new TraceStore();
    for (let i = 0; i < 100; i += 1) store.add(started(store.length, -4));
    store.add(call(store.length, { op: 'EVTCHNOP_bind_ipi', returned: -2 }));
    store.add(started(store.length, -4));
    assert.deepEqual(
      store.events.slice(-2).map(({ kind, step }) => [kind, step]),
      [
        ['hypercall', 100],
        ['start', 101],
      ],
    );
  });

  it('is in order of step, also where calls that no rule reads come within a loop', () => {
    const refused = { returned: -22 };
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom({ ...refused, vcpuId: 1 }, refused, version), { maxLength: 200 }),
        (calls) => {
          const store = filled(calls, { ...traceBounds, rounds: 2 });
          store.add(call(store.length, {}));
          const steps = store.events.map(({ step }) => step);
          assert.deepEqual(
            steps,
            [...steps].sort((a, b) => a - b),
          );
        },
      ),
    );
  });

  it('leaves out only whole rounds of what was kept, whatever the calls are', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(2), { maxLength: 200 }), (ids) => {
        const store = filled(
          ids.map((vcpuId) => ({ vcpuId, returned: -22 })),
          { ...traceBounds, rounds: 2 },
        );
        store.add(call(store.length, {}));
        const kept = store.events.map(({ step }) => step);
        for (const [index, step] of kept.slice(1).entries()) {
          const from = present(kept[index], 'an event') + 1;
          const gap = ids.slice(from, step);
          const isRounds = [...gap.keys()].some((less) => {
            const period = less + 1;
            const isWhole = gap.length % period === 0;
            return isWhole && gap.every((id, at) => id === ids[from + at - period]);
          });
          assert.ok(gap.length === 0 || isRounds, `${from} to ${step} are no rounds`);
        }
        assert.equal(kept.length + store.folding.repeatedCalls, ids.length + 1);
      }),
    );
  });

  it('is every call that changed something, and every refusal that differs', () => {
    const differing = [...Array(100).keys()].map((id): Call => ({ vcpuId: id, returned: -2 }));
    assert.equal(filled([...times(100, {}), ...differing]).events.length, 200);
  });

  it('is the first call of a vCPU after CPUs came or went, whatever it is: it says that the vCPU runs', () => {
    const bounds = { ...traceBounds, unreadCalls: 0 };
    const store = filled(times(5, version), bounds);
    assert.equal(store.events.length, 1);
    store.add(started(store.length, 0));
    for (const vcpu of [0, 0, 1, 1]) store.add(call(store.length, { ...version, vcpu }));
    assert.deepEqual(
      store.events.map(({ step }) => step),
      [0, 5, 6, 8],
    );
  });

  it('is bounded when everything differs, and then says from which step on the audit reads nothing', () => {
    const bounds = { ...traceBounds, values: 1000 };
    const store = filled(
      [...Array(500).keys()].map((id): Call => ({ vcpuId: id })),
      bounds,
    );
    assert.ok(store.events.length < 100);
    assert.equal(store.folding.auditedUpToStep, store.events.length);
    store.add({
      kind: 'end',
      step: store.length,
      timeNs: 0n,
      kernel: 0,
      outcome: 'userspace',
      online: [],
      why: '',
      unheard: [{ port: 2, vcpu: xenVcpuId(0), sinceNs: 0n }],
    });
    const last = store.events.at(-1);
    assert.ok(last?.kind === 'end' && last.outcome === 'hang' && last.step === 500);
    assert.equal(last.unheard, undefined, 'a start of the vCPU may be among the events that are not kept');
  });

  it('takes large arguments for what they are', () => {
    const large = {
      vcpuId: 1,
      detail: { values: [...Array(1000).keys()], bytes: new Uint8Array(8000), text: 'x'.repeat(8000) },
    };
    assert.ok(filled(times(1000, large)).events.length < 400);
  });

  it('says where its calls return to, and nothing of the others', () => {
    const store = new TraceStore({ ...traceBounds, rounds: 1 });
    for (let i = 0; i < 3; i += 1) store.add(call(i, { returned: -22 }), BigInt(100 + i));
    store.add(started(3, 0));
    assert.deepEqual(
      [0, 1, 2, 3].map((step) => store.callerOf(step)),
      [100n, null, null, null],
    );
  });
});

describe('what is counted of a trace', () => {
  it('has room for so many names and ids, and counts the calls of all', () => {
    const { counts } = filled(
      [...Array(5000).keys()].map((n): Call => ({ op: `hypercall_${n}`, vcpuId: n, returned: -38 })),
    );
    const { total, byName } = counts.calls;
    assert.equal(total, 5000);
    assert.equal(Object.keys(byName).length, countBounds.names + 1);
    assert.equal(
      Object.values(byName).reduce((a, b) => a + b),
      5000,
    );
    assert.equal(counts.idsOf(0).length, countBounds.idsPerCpu);
  });

  it('is counted for each kernel, and goes on where it was saved', () => {
    const enter = (kernel: number): TraceEvent => ({
      kind: 'kernel',
      step: 0,
      timeNs: 0n,
      kernel,
      name: 'kernel',
      entryVcpu: xenVcpuId(0),
      possible: [],
      leftOut: [],
      records: 'unreadable',
    });
    const made = (kernel: number, op: string): TraceEvent => ({
      kind: 'hypercall',
      step: 0,
      timeNs: 0n,
      kernel,
      vcpu: xenVcpuId(0),
      linuxCpu: linuxCpu(0),
      call: { hypercall: 'event_channel_op', op, vcpuId: kernel, detail: {}, returned: 0 },
      phase: null,
    });
    const before = new TraceCounts();
    before.add(enter(0));
    before.add(made(0, 'EVTCHNOP_init_control'));
    assert.equal(before.ofKernel(0).calls.total, 1);
    before.add(enter(1));
    const counts = new TraceCounts();
    counts.load(before.save());
    for (const event of [made(1, 'EVTCHNOP_bind_ipi'), made(0, 'EVTCHNOP_send')]) counts.add(event);
    assert.deepEqual(
      [counts.calls.total, counts.ofKernel(0).calls.total, counts.ofKernel(1).calls.total],
      [3, 2, 1],
    );
    assert.deepEqual([counts.ofKernel(0).eventAbi, counts.ofKernel(1).eventAbi], ['fifo', '2l']);
    assert.deepEqual(
      [counts.idsOf(0), counts.ofKernel(0).idsOf(0), counts.ofKernel(1).idsOf(0)],
      [[0, 1], [0], [1]],
    );
  });

  it('hashes the canonical text of what the guest saw', () => {
    const detail = fc
      .dictionary(
        fc.stringMatching(/^[a-z]+$/),
        fc.oneof(fc.integer(), fc.bigInt(), fc.string(), fc.uint8Array()),
      )
      .map((given) => ({ ...given }));
    fc.assert(
      fc.property(
        fc.stringMatching(/^[A-Za-z_0-9]+$/),
        detail,
        fc.option(fc.nat()),
        fc.integer(),
        (op, given, vcpuId, returned) => {
          const event = call(7, { op, detail: given, vcpuId, returned });
          const [one, other] = [new ValueHash(), new ValueHash()];
          one.addText(`["${op}",${valueToJson(given)},${returned},${vcpuId},0,7]`);
          other.addText(visibleText(event) ?? '');
          assert.equal(one.digest(), other.digest());
        },
      ),
    );
    const [one, other] = [new ValueHash(), new ValueHash()];
    one.addText('["start",0,1,0,1]');
    other.addText(visibleText(started(1, 0)) ?? '');
    one.addText('["stop",1,2]');
    other.addText(
      visibleText({
        kind: 'stop',
        step: 2,
        timeNs: 2n,
        kernel: 0,
        vcpu: xenVcpuId(1),
        linuxCpu: null,
        how: 'psci',
      }) ?? '',
    );
    assert.equal(one.digest(), other.digest());
  });
});
