/** PVHVM kernels that access the platform at random: a few of those of scripts/random_devices.js. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { loadArchitecture } from '../../src/boot/index.js';
import { bootRandomDeviceAccesses } from './random_device_accesses.js';

await loadArchitecture('amd64');

it('whatever a guest does to its devices, it ends, and changes nothing outside', () => {
  let accesses = 0;
  for (let seed = 1; seed <= 12; seed += 1) accesses += bootRandomDeviceAccesses(seed, 10_000).accesses;
  assert.ok(accesses > 50_000, `only ${accesses} accesses`);
});
