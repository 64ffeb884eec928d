import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { InputError, cloneValue, equalValues, valueFromJson, valueToJson } from '../base/index.js';
import { invalidVcpuNr, linuxCpu, xenVcpuId } from './ids.js';
import {
  emptyIdMap,
  initialValues,
  isRecorded,
  linuxCpusPassing,
  linuxCpusRecording,
  markUnset,
  recordOf,
  recordVcpuId,
  xenVcpuNr,
} from './map.js';

test('map: an unset record reads all ones as posted, and 0 as tested on 4.8-rc4', () => {
  assert.equal(xenVcpuNr(emptyIdMap(4, initialValues.asPosted), linuxCpu(2)), 0xffff_ffff);
  assert.equal(xenVcpuNr(emptyIdMap(4, initialValues.asTested), linuxCpu(2)), 0);
});

test('map: whether a record is set is not told by its value', () => {
  const map = emptyIdMap(2, initialValues.asTested);
  const set = recordVcpuId(map, linuxCpu(1), 0, 'mpidr');
  assert.equal(xenVcpuNr(map, linuxCpu(1)), xenVcpuNr(set, linuxCpu(1)));
  assert.equal(isRecorded(map, linuxCpu(1)), false);
  assert.equal(isRecorded(set, linuxCpu(1)), true);
  assert.deepEqual(recordOf(set, linuxCpu(1)), { value: 0, source: 'mpidr' });
  const bad = recordVcpuId(map, linuxCpu(1), invalidVcpuNr, 'madt');
  assert.equal(isRecorded(bad, linuxCpu(1)), true, 'all ones that was recorded is recorded');
  const zero = recordVcpuId(emptyIdMap(2, initialValues.asPosted), linuxCpu(1), 0, 'cpuid');
  assert.equal(xenVcpuNr(zero, linuxCpu(1)), 0, 'a recorded 0 is not taken for unset');
});

test('map: a record marked unset reads all ones and names nobody, whatever the initial value', () => {
  const map = recordVcpuId(emptyIdMap(2, initialValues.asTested), linuxCpu(1), 1, 'madt');
  const unset = markUnset(map, linuxCpu(1));
  assert.equal(xenVcpuNr(unset, linuxCpu(1)), invalidVcpuNr);
  assert.equal(isRecorded(unset, linuxCpu(1)), false);
  assert.deepEqual(linuxCpusRecording(unset, xenVcpuId(1)), []);
});

test('map: the inverse gives every CPU that holds an id', () => {
  let map = emptyIdMap(4, initialValues.asTested);
  map = recordVcpuId(map, linuxCpu(0), 2, 'cpuid');
  map = recordVcpuId(map, linuxCpu(1), 0, 'madt');
  map = recordVcpuId(map, linuxCpu(3), 2, 'madt');
  assert.deepEqual(linuxCpusRecording(map, xenVcpuId(2)), [0, 3]);
  assert.deepEqual(linuxCpusRecording(map, xenVcpuId(0)), [1], 'CPU 2 holds nothing');
  assert.deepEqual(linuxCpusPassing(map, 0), [1, 2], 'but CPU 2 passes 0 too');
  assert.deepEqual(linuxCpusRecording(map, xenVcpuId(1)), []);
});

test('map: recording leaves the map that it was given alone', () => {
  const map = emptyIdMap(2, 0);
  const before = cloneValue(map);
  recordVcpuId(map, linuxCpu(0), 1, 'direct');
  markUnset(map, linuxCpu(0));
  assert.ok(equalValues(map, before));
});

test('map: what was last recorded is what is read, for each CPU by itself', () => {
  const write = fc.record({ cpu: fc.nat(7), value: fc.integer({ min: 0, max: 0xffff_ffff }) });
  fc.assert(
    fc.property(fc.array(write), fc.constantFrom(0, invalidVcpuNr), (writes, initial) => {
      let map = emptyIdMap(8, initial);
      const last = new Map<number, number>();
      for (const { cpu, value } of writes) {
        map = recordVcpuId(map, linuxCpu(cpu), value, 'madt');
        last.set(cpu, value);
      }
      for (let cpu = 0; cpu < 8; cpu += 1) {
        assert.equal(xenVcpuNr(map, linuxCpu(cpu)), last.get(cpu) ?? initial);
        assert.equal(isRecorded(map, linuxCpu(cpu)), last.has(cpu));
      }
      assert.deepEqual(valueFromJson(valueToJson(map)), map);
    }),
  );
});

test('map: a CPU that is not in it, and a value that is no 32-bit number, are refused', () => {
  const map = emptyIdMap(2, 0);
  assert.throws(() => xenVcpuNr(map, linuxCpu(2)), /CPU 2 is not in a map of 2 CPUs/);
  assert.throws(() => recordVcpuId(map, linuxCpu(2), 0, 'direct'), InputError);
  assert.throws(() => markUnset(map, linuxCpu(2)), InputError);
  for (const value of [-1, 2 ** 32, 0.5]) {
    assert.throws(() => recordVcpuId(map, linuxCpu(0), value, 'direct'), InputError);
    assert.throws(() => emptyIdMap(2, value), InputError);
  }
});
