// Boots a guest in this process and prints, as JSON, how long each phase took. The command itself cannot report this.
//
// Usage: node boot_phases.js KERNEL INITRD VCPUS COMMAND-LINE
import { readFileSync } from 'node:fs';
import { performance } from 'node:perf_hooks';

const [, , kernelFile, initrdFile, vcpus, commandLine] = process.argv;
const phases = {};
let before = { wall: 0, processor: 0 };

/** Ends a phase. The time since the end of the previous phase belongs to it. */
function ended(phase) {
  const { user, system } = process.cpuUsage();
  const now = { wall: performance.now() / 1000, processor: (user + system) / 1e6 };
  phases[phase] = { wall: now.wall - before.wall, processor: now.processor - before.processor };
  before = now;
}

ended('node');
const { Boot, defaultLimits, loadArchitecture } = await import('../../dist/src/boot/index.js');
const { readKernelFile } = await import('../../dist/src/firmware/index.js');
ended('modules');
const { image } = await readKernelFile(readFileSync(kernelFile), kernelFile);
const initrd = new Uint8Array(readFileSync(initrdFile));
ended('files');
await loadArchitecture(image.placement.architecture);
const boot = new Boot(
  {
    kernel: {
      name: kernelFile,
      version: image.version,
      sha256: '',
      image: image.bytes,
      memoryBytes: image.memoryBytes,
      placement: image.placement,
    },
    initrd,
    commandLine,
    vcpus: Number(vcpus),
    memoryMiB: 512,
    release: '4.17',
    seed: 1,
    xenstore: true,
    whatIf: null,
    entryVcpu: 0,
    until: { kind: 'poweroff' },
    limits: defaultLimits(Number(vcpus)),
  },
  {},
);
ended('build');
while (boot.step(20_000_000) === 'running');
ended('run');
const { outcome } = boot.result();
ended('result');
console.log(JSON.stringify({ outcome, instructions: boot.machine.instructions, phases }));
