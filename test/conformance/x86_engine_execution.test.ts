/**
 * Executes random x86-64 instructions from random states on the engine, as a guest's user code, and compares registers, flags, memory
 * and faults with the host's own CPU, or where that is none, with the instructions' definitions. DOMULATOR_X86_WORDS,
 * DOMULATOR_X86_SEED and DOMULATOR_X86_ONLY are as in x86_disassembly.test.ts; scripts/conformance_x86.js runs many more.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compareEngine } from './x86_comparison.js';

const count = Number(process.env['DOMULATOR_X86_WORDS'] ?? 5_000);
const seed = Number(process.env['DOMULATOR_X86_SEED'] ?? 1);
const only = new RegExp(process.env['DOMULATOR_X86_ONLY'] ?? '');

for (const mode of [64, 32] as const) {
  test(`the engine does what the reference does, in ${mode}-bit code`, (t) => {
    const { cases, forms, differ, reference } = compareEngine({ mode, count, seed, only });
    t.diagnostic(`${cases} instructions of ${forms.size} forms beside ${reference}, ${differ.length} differ`);
    if (only.source === '(?:)') assert.ok(cases > count / 2);
    assert.equal(differ.length, 0, `${differ.length} differ:\n${differ.slice(0, 40).join('\n')}`);
  });
}
