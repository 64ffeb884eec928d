/** The limits and defaults of a boot are declared once, in src/library/limits.ts; schema, docstrings and documents agree with it. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import {
  defaultKernel,
  defaultXenRelease,
  memoryMiB,
  seeds,
  usualReleases,
  vcpuCount,
  xenReleases,
} from '../../src/library/index.js';
import { readText } from '../files.js';

interface Field {
  readonly minimum?: number;
  readonly maximum?: number;
  readonly enum?: readonly unknown[];
}

interface Schema {
  readonly properties: { readonly machine: { readonly properties: Readonly<Record<string, Field>> } };
  readonly $defs: Readonly<Record<string, Field>>;
}

it('the schema of the report has the limits of what may be asked for', () => {
  const { properties, $defs } = JSON.parse(readText('schemas/boot-report.schema.json')) as Schema;
  const { vcpus, memoryMiB: memory, xen } = properties.machine.properties;
  assert.deepEqual([vcpus?.minimum, vcpus?.maximum], [vcpuCount.least, vcpuCount.most]);
  assert.deepEqual([memory?.minimum, memory?.maximum], [memoryMiB.least, memoryMiB.most]);
  assert.deepEqual(xen?.enum, xenReleases);
  for (const name of ['vcpu', 'vcpuOrNull'])
    assert.deepEqual([$defs[name]?.minimum, $defs[name]?.maximum], [0, vcpuCount.most - 1], name);
});

it('the docstrings of a request name the limits and the defaults', () => {
  const text = readText('src/library/request.ts');
  const ranges = { 'Number of vCPUs': vcpuCount, 'Guest memory in MiB': memoryMiB };
  for (const [what, { least, most, usual }] of Object.entries(ranges))
    assert.ok(text.includes(`/** ${what}, ${least}-${most} (default: ${usual}). */`), what);
  assert.ok(text.includes(`/** Xen release to emulate (default: ${defaultXenRelease}). */`));
  assert.match(text, new RegExp(`Seed of the vCPU schedule, a whole number \\(default: ${seeds.usual}\\)`));
  assert.ok(text.includes(`(default: \`${defaultKernel}\`)`));
  const [oldest = ''] = usualReleases;
  const kernels = readText('src/library/kernels.ts');
  assert.ok(kernels.includes(`${oldest}, to ${usualReleases.at(-1) ?? ''}, and the releases in the cache`));
});

it('the documents name the releases and the most vCPUs', () => {
  const state = readText('docs/state.md');
  assert.ok(state.includes(`with ${vcpuCount.least} to ${vcpuCount.most} vCPUs`));
  assert.ok(state.includes(`Only ${xenReleases.join(' and ')} are supported`));
  assert.ok(
    readText('docs/decisions/0007-releases-are-data.md').startsWith(
      `# 7. Xen ${xenReleases.join(' and ')} are`,
    ),
  );
  assert.ok(readText('docs/corpora.md').includes(`with ${vcpuCount.least} to ${vcpuCount.most} vCPUs`));
  assert.ok(readText('docs/corpora.md').includes(`\`xen\` (default: ${defaultXenRelease})`));
  assert.ok(readText('README.md').includes(`as Xen ${defaultXenRelease} presents them`));
});
