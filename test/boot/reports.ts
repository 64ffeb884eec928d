/** The parts of a report of a boot: one run, in which one kernel ran. */
import assert from 'node:assert/strict';
import type { BootReport, ReportedKernel, ReportedRun } from '../../src/library/index.js';

/** The only run of `report`. */
export function onlyRun({ runs }: BootReport): ReportedRun {
  const [run, ...others] = runs;
  assert.deepEqual(others, [], 'a boot is one run');
  return run;
}

/** The only kernel of the only run of `report`. */
export function onlyKernel(report: BootReport): ReportedKernel {
  const { kernels } = onlyRun(report);
  const [kernel, ...others] = kernels;
  assert.ok(kernel !== undefined && others.length === 0, `${kernels.length} kernels ran, not one`);
  return kernel;
}

/** `report` with another run in place of its own. */
export function withRun(report: BootReport, part: Partial<ReportedRun>): BootReport {
  return { ...report, runs: [{ ...onlyRun(report), ...part }] };
}

/** `report` with another kernel in place of its own, and perhaps other parts of the run. */
export function withKernel(
  report: BootReport,
  part: Partial<ReportedKernel>,
  more: Partial<ReportedRun> = {},
): BootReport {
  return withRun(report, { ...more, kernels: [{ ...onlyKernel(report), ...part }] });
}
