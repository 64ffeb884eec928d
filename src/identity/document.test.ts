/** docs/identity.md says what the code says: its marks have tests, and its tables are the code's answers. */
import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { acpiUidOfVcpu, apicIdOfVcpu } from './apic.js';
import { xenVcpuId } from './ids.js';
import { linuxRules } from './linux_versions.js';
import type { LinuxChange, LinuxRule } from './linux_versions.js';
import { mpidrOfVcpu, mpidrRegisterOfVcpu } from './mpidr.js';
import { numberCpus } from './numbering.js';
import type { ArmNumbering, X86Numbering } from './numbering.js';

const document = readFileSync('docs/identity.md', 'utf8');
const [prose = '', testList = ''] = document.split('\n## The tests\n');

/** The rows of the document's tables whose first cell matches. */
function rows(first: RegExp): string[][] {
  return document
    .split('\n')
    .filter((line) => line.startsWith('|'))
    .map((line) => line.split('|').slice(1, -1))
    .map((cells) => cells.map((cell) => cell.trim()))
    .filter(([cell = '']) => first.test(cell));
}

function namesOfTests(): Set<string> {
  const files = ['src/identity', 'src/abi/acpi'].flatMap((folder) =>
    readdirSync(folder)
      .filter((file) => file.endsWith('.test.ts'))
      .map((file) => readFileSync(join(folder, file), 'utf8')),
  );
  const names = files.flatMap((text) =>
    [...text.matchAll(/^test\((['"])(.+?)\1,/gm)].map((match) => match[2]),
  );
  return new Set(names.filter((name) => name !== undefined));
}

test('identity.md: every mark has a test, every listed test is there, and no mark is left over', () => {
  const listed = [...testList.matchAll(/^\| \[(.+?)\] +\| `(.+?)` +\|$/gm)].map(([, mark, name]) => ({
    mark,
    name,
  }));
  const used = [...prose.matchAll(/\[([a-z0-9]+(?:-[a-z0-9]+)*)\](?!\()/g)].map(([, mark]) => mark);
  assert.ok(listed.length > 20);
  assert.deepEqual(listed.map(({ mark }) => mark).sort(), [...new Set(used)].sort());
  const tests = namesOfTests();
  for (const { name = '' } of listed) assert.ok(tests.has(name), `no test is called "${name}"`);
});

test('identity.md: the table of MPIDRs is what the encoding gives', () => {
  const cells = rows(/^\d+$/).flatMap((row) => [row.slice(0, 3), row.slice(3)]);
  assert.equal(cells.length, 6);
  for (const [id = '', register, reg] of cells) {
    const vcpu = xenVcpuId(Number(id));
    assert.equal(register, `0x${mpidrRegisterOfVcpu(vcpu).toString(16).padStart(8, '0')}`);
    assert.equal(reg, `0x${mpidrOfVcpu(vcpu).toString(16)}`);
  }
});

test('identity.md: the table of versions is the data', () => {
  const releases = ({ commit, mainline, stable }: LinuxChange): string =>
    `${[mainline, ...stable].join(', ')} (${commit})`;
  const expected = Object.entries<LinuxRule>(linuxRules).map(([name, { what, from, until }]) => [
    name,
    what,
    releases(from),
    until === null ? '' : releases(until),
  ]);
  assert.deepEqual(rows(/^[a-z0-9]+(-[a-z0-9]+)+$/), expected);
});

test('identity.md: the table of a crash on vCPU 2 of 4 is what the numbering gives', () => {
  const vcpus = [0, 1, 2, 3].map((id) => xenVcpuId(id));
  const entry = { enabled: true, onlineCapable: false };
  const x86: X86Numbering = {
    platform: 'x86_64',
    version: '6.1',
    entries: vcpus.map((vcpu) => ({
      type: 'local_apic',
      apicId: apicIdOfVcpu(vcpu),
      acpiUid: acpiUidOfVcpu(vcpu),
      ...entry,
    })),
    entryApicId: apicIdOfVcpu(xenVcpuId(2)),
    entryHasBspBit: false,
  };
  const arm: ArmNumbering = {
    platform: 'arm64',
    table: 'devicetree',
    entries: vcpus.map((vcpu) => ({ mpidr: mpidrOfVcpu(vcpu), acpiUid: null, ...entry })),
    entryMpidr: mpidrOfVcpu(xenVcpuId(2)),
  };
  const vcpusOf = {
    'x86 up to 6.8': numberCpus(x86).cpus.map(({ acpiUid }) => Number(acpiUid)),
    'x86 from 6.9': numberCpus({ ...x86, version: '6.12' }).cpus.map(({ acpiUid }) => Number(acpiUid)),
    arm64: numberCpus(arm).cpus.map(({ mpidr }) => Number(mpidr)),
  };
  for (const [kernel, expected] of Object.entries(vcpusOf)) {
    const [row = []] = rows(new RegExp(`^${kernel}$`));
    const shown = row
      .slice(1)
      .filter((cell) => cell !== '-')
      .map(Number);
    assert.deepEqual(shown, expected, kernel);
  }
});
