import assert from 'node:assert/strict';
import { it } from 'node:test';
import { present } from '../../base/index.js';
import { x86 } from './index.js';
import { reachOf } from './reach.js';

/** The reach of each form of the instructions with those names. */
function reachesOf(pattern: RegExp): ReadonlyMap<string, string> {
  return new Map(x86.filter(({ name }) => pattern.test(name)).map((found) => [found.name, reachOf(found)]));
}

it('an instruction reaches registers, memory that it leaves alone where it faults, or further', () => {
  const expected: readonly [name: RegExp, reach: string][] = [
    [/^UD2/, 'registers'],
    [/^INT3/, 'registers'],
    [/^IRET/, 'registers'],
    [/^NOP\b/, 'registers'],
    [/^(RDTSC|CPUID|RDMSR|WRMSR|HLT|PAUSE|STI|CLI|VMMCALL|IN_|OUT_|INVLPG)/, 'beyond'],
    // An iteration is an instruction of its own.
    [/^(MOVSB|STOSQ|LODSW|CMPXCHG_rm_r\.64\.m|XCHG_rm_r\.64\.m)/, 'memory'],
    [/^(PUSHA|POPA|FXSAVE|ENTER)/, 'beyond'],
  ];
  for (const [pattern, reach] of expected) {
    const found = reachesOf(pattern);
    assert.ok(found.size > 0, String(pattern));
    for (const [name, each] of found) assert.equal(each, reach, name);
  }
});

it('a form with a memory operand reaches memory where the other reaches registers', () => {
  const add = x86.filter(({ name }) => name.startsWith('ADD_rm_r'));
  assert.ok(add.some(({ form }) => form.memory) && add.some(({ form }) => !form.memory));
  for (const each of add) assert.equal(reachOf(each), each.form.memory ? 'memory' : 'registers', each.name);
  const call = present(
    x86.find(({ name }) => name.startsWith('CALL_rel')),
    'CALL',
  );
  assert.equal(reachOf(call), 'memory');
});
