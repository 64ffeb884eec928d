import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { xenVcpuId, xenVcpuIds } from '../identity/index.js';
import { draw, drawBetween, randomOf } from './random.js';
import { endTurn, newSchedule, nextTurn } from './scheduler.js';

test('the PRNG is SplitMix64: it gives the published numbers for seed 1234567', () => {
  const random = randomOf(1_234_567);
  const drawn = [draw(random), draw(random), draw(random)];
  assert.deepEqual(drawn, [
    6_457_827_717_110_365_317n,
    3_203_168_211_198_807_973n,
    9_817_491_932_198_370_423n,
  ]);
});

test('drawBetween stays within its bounds and reaches both', () => {
  const random = randomOf(1);
  const drawn = new Set(Array.from({ length: 200 }, () => drawBetween(random, 3, 6)));
  assert.deepEqual([...drawn].sort(), [3, 4, 5, 6]);
});

test('runnable vCPUs take turns in order, with lengths from the seed', () => {
  fc.assert(
    fc.property(fc.nat(), fc.array(fc.boolean(), { minLength: 1, maxLength: 9 }), (seed, can) => {
      const vcpus = xenVcpuIds(can.length);
      const [turns, same] = [newSchedule(seed, can.length), newSchedule(seed, can.length)];
      const able = [...can.keys()].filter((vcpu) => can[vcpu]);
      for (let i = 0; i < 20; i += 1) {
        const next = nextTurn(turns, vcpus, (vcpu) => can[vcpu] === true);
        assert.deepEqual(
          next,
          nextTurn(same, vcpus, (vcpu) => can[vcpu] === true),
        );
        if (able.length === 0) {
          assert.deepEqual(next, { kind: 'none' });
          return;
        }
        assert.ok(next.kind === 'turn' && next.vcpu === able[i % able.length]);
        assert.ok(next.instructions >= 2_000 && next.instructions <= 20_000);
        endTurn(turns, next.vcpu, false);
        endTurn(same, next.vcpu, false);
      }
    }),
  );
});

test('when all vCPUs have yielded the machine idles, for longer each time in a row, up to 32 us', () => {
  const vcpus = xenVcpuIds(2);
  const turns = newSchedule(1, vcpus.length);
  const idled: number[] = [];
  for (let i = 0; i < 24; i += 1) {
    const next = nextTurn(turns, vcpus, () => true);
    if (next.kind === 'idle') idled.push(next.ns);
    else if (next.kind === 'turn') endTurn(turns, next.vcpu, true);
  }
  assert.deepEqual(
    idled,
    [1, 2, 4, 8, 16, 32, 32, 32].map((us) => 1000 * us),
  );
  const next = nextTurn(turns, vcpus, () => true);
  assert.ok(next.kind === 'turn');
  endTurn(turns, next.vcpu, false);
  endTurn(turns, xenVcpuId(1 - next.vcpu), true);
  assert.equal(nextTurn(turns, vcpus, () => true).kind, 'turn', 'one of them has something to do');
  endTurn(turns, xenVcpuId(0), true);
  assert.deepEqual(
    nextTurn(turns, vcpus, () => true),
    { kind: 'idle', ns: 1000 },
  );
});

test('a vCPU that yields still gets its turns', () => {
  const vcpus = xenVcpuIds(3);
  const turns = newSchedule(1, vcpus.length);
  const order = Array.from({ length: 9 }, () => {
    const next = nextTurn(turns, vcpus, () => true);
    if (next.kind !== 'turn') return -1;
    endTurn(turns, next.vcpu, next.vcpu === 1);
    return next.vcpu;
  });
  assert.deepEqual(order, [0, 1, 2, 0, 1, 2, 0, 1, 2]);
});
