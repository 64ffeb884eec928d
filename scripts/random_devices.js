// Boots PVHVM kernels that access the platform's ports and registers at random (test/boot/random_device_accesses.ts), until they have
// made so many accesses together. Prints what became of each. Exits with 1 if one failed, or if this process became too large.
//
// Usage: node scripts/random_devices.js [ACCESSES] [FIRST]    (after `npm run build`; default: 1000000, seed 1)
import { loadArchitecture } from '../dist/src/boot/index.js';
import { bootRandomDeviceAccesses } from '../dist/test/boot/random_device_accesses.js';

const [wanted = 1_000_000, first = 1] = process.argv.slice(2).map(Number);
/** Accesses of one guest, at most. */
const each = 200_000;
const mostMiB = 512;

await loadArchitecture('amd64');
let made = 0;
let failed = 0;
for (let seed = first; made < wanted && failed === 0; seed += 1) {
  try {
    const { accesses, ending } = bootRandomDeviceAccesses(seed, Math.min(each, wanted - made));
    made += accesses;
    console.log(`seed ${seed}: ${accesses} accesses: ${ending}`);
  } catch (error) {
    failed += 1;
    console.log(`seed ${seed}: ${error.stack}`);
  }
}
const memory = Math.round(process.resourceUsage().maxRSS / 1024);
console.log(`${made} accesses, at most ${memory} MiB`);
process.exitCode = failed > 0 || memory > mostMiB ? 1 : 0;
