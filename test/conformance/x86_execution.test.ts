/**
 * Executes random x86-64 instructions from random states by their semantics and on the host's own CPU, and compares registers,
 * flags, memory and faults. Only where the host is x86-64 with a C compiler, and 32-bit code only where its Linux runs it.
 * DOMULATOR_X86_WORDS, DOMULATOR_X86_SEED and DOMULATOR_X86_ONLY are as in x86_disassembly.test.ts.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { drawCases } from './x86_cases.js';
import { describeCase, differences } from './x86_compare.js';
import { runByDefinition } from './x86_definitions.js';
import { evaluatedCalls } from './x86_evaluator.js';
import { missingHost, runNatively } from './x86_native.js';
import { nativeModes } from './x86_native_modes.js';

const count = Number(process.env['DOMULATOR_X86_WORDS'] ?? 5_000);
const seed = Number(process.env['DOMULATOR_X86_SEED'] ?? 1);
const only = new RegExp(process.env['DOMULATOR_X86_ONLY'] ?? '');

/** CLI and STI fault outside the kernel; moves of selectors read what the host has. */
const excluded = /^(CLI|STI|MOV_r_sreg|MOV_m16_sreg|PUSH_[c-gs]s)/;

for (const mode of missingHost === null ? nativeModes : ([64, 32] as const)) {
  test(
    `instructions do what they do on the host, in ${mode}-bit code`,
    { skip: missingHost ?? false },
    (t) => {
      const cases = drawCases({ mode, count, seed, calls: evaluatedCalls, only, excluded });
      const native = runNatively(cases);
      const differ = cases.flatMap((each, index) => {
        const found = differences(each, runByDefinition(each), native[index]!, {
          isExact: false,
          isNative: true,
        });
        return found.length === 0 ? [] : [describeCase(each, found)];
      });
      const forms = new Set(cases.map(({ instruction }) => instruction.name));
      t.diagnostic(`${cases.length} instructions of ${forms.size} forms, ${differ.length} differ`);
      if (only.source === '(?:)') assert.ok(cases.length > count / 2);
      assert.equal(differ.length, 0, `${differ.length} differ:\n${differ.slice(0, 40).join('\n')}`);
    },
  );
}

// No tool is missing, so this is no reason to skip a test.
if (missingHost === null && !nativeModes.includes(32))
  console.log("32-bit code is compared with nothing, because the host's Linux offers no segment for it");
