// Boots Debian's kernels under QEMU on tables compiled by dtc and iasl, and prints how each numbered its CPUs, next to
// the prediction of numberCpus. Exits with status 1 if a line differs, and 2 if nothing can be booted here.
//
// Usage: npm run build && node scripts/numbering.js [PART_OF_A_CASE'S_NAME]
import { numberingCases } from '../dist/test/conformance/linux/cases.js';
import { compareWithLinux, isFor } from '../dist/test/conformance/linux/comparison.js';
import { debianLinux, kernelSpecs } from '../dist/test/conformance/linux/kernels.js';
import { LinuxMachine, missingMachine } from '../dist/test/conformance/linux/machine.js';

const part = process.argv[2] ?? '';
const counts = { equal: 0, different: 0, failed: 0 };

function compare(one, kernel, machine) {
  try {
    const { said, seen } = compareWithLinux(one, kernel, machine);
    counts[said === seen ? 'equal' : 'different'] += 1;
    return said === seen ? [`    ${seen}`] : [`  ! Linux:      ${seen}`, `    numberCpus: ${said}`];
  } catch (error) {
    counts.failed += 1;
    return [`  ! ${String(error)}`];
  }
}

for (const [arch, specs] of Object.entries(kernelSpecs)) {
  const missing = missingMachine(arch);
  if (missing !== null) {
    console.log(`${arch}: ${missing}`);
    counts.failed += 1;
    continue;
  }
  const machine = new LinuxMachine(arch);
  for (const spec of specs) {
    const kernel = await debianLinux(spec, arch);
    if (typeof kernel === 'string') {
      console.log(kernel);
      counts.failed += 1;
      continue;
    }
    console.log(`${arch}, debian:${spec}, Linux ${kernel.version}`);
    for (const one of numberingCases) {
      if (one.arch !== arch || !one.name.includes(part) || !isFor(one, kernel)) continue;
      console.log([`  ${one.name}`, ...compare(one, kernel, machine)].join('\n'));
    }
  }
  machine.close();
}

console.log(`${counts.equal} equal, ${counts.different} different, ${counts.failed} failed`);
process.exitCode =
  counts.failed > 0 && counts.equal + counts.different === 0
    ? 2
    : counts.equal > 0 && counts.different + counts.failed === 0
      ? 0
      : 1;
