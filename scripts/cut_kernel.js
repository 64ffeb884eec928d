// Boots a Debian kernel for amd64, and again cut at random instructions: there it is saved, written as a checkpoint would hold it, and
// restored into another boot that goes on. Both runs must show the same: console, trace and its hash, instructions, report and final state.
// Exits with 1 if they do not.
//
// Usage: node scripts/cut_kernel.js [SPEC] [CUTS] [SEED] [VCPUS] [TYPE]
// (after `npm run build`; default: debian:bookworm/cloud 5 1 4 pvh)
import { isDeepStrictEqual } from 'node:util';
import { defaultLimits, loadArchitecture } from '../dist/src/boot/index.js';
import { defaultInitramfs } from '../dist/src/firmware/index.js';
import {
  debianFiles,
  debianSettings,
  loadDebianKernel,
  parseDebianSpec,
} from '../dist/src/kernel_source/index.js';
import { Dice } from '../dist/test/conformance/a64_draw.js';
import { cutBoot, wholeBoot } from '../dist/test/guest/cut_boots.js';
import { plainBoot } from '../dist/test/guest/plain_boot.js';

const [text = 'debian:bookworm/cloud', cuts = 5, seed = 1, vcpus = 4, type = 'pvh'] = process.argv.slice(2);
const architecture = 'amd64';
await loadArchitecture(architecture);
const settings = debianSettings(process.env, Math.floor(Date.now() / 1000), () => undefined, {
  architecture,
});
const spec = parseDebianSpec(text.replace(/^debian:/, ''));
const { name, version, sha256, image } = await loadDebianKernel(spec, settings);
const { busybox } = await debianFiles(spec, ['busybox'], settings);
const { bytes, memoryBytes, placement } = image;
const asked = {
  kernel: { name, version, sha256, image: bytes, memoryBytes, placement },
  initrd: defaultInitramfs(busybox.bytes, architecture),
  commandLine: 'console=hvc0 cryptomgr.notests',
  memoryMiB: 512,
  ...plainBoot,
  type,
  vcpus: Number(vcpus),
  seed: Number(seed),
  limits: defaultLimits(Number(vcpus)),
};
const show = (what, run) =>
  console.log(
    `${what}: ${run.verdict}, ${run.instructions} instructions, trace ${run.traceSha256.slice(0, 8)}, state ${run.machine.slice(0, 8)}`,
  );

const whole = wholeBoot(asked);
show(`${name}, whole`, whole);
const dice = new Dice(Number(seed));
const places = Array.from({ length: Number(cuts) }, () => 1 + dice.below(whole.instructions));
const cut = cutBoot(asked, places);
show(`cut at ${places.sort((a, b) => a - b).join(', ')}`, cut);
const differing = Object.keys(whole).filter((field) => !isDeepStrictEqual(whole[field], cut[field]));
if (differing.length > 0) console.log(`different: ${differing.join(', ')}`);
process.exitCode = differing.length > 0 ? 1 : 0;
