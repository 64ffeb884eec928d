/** The data files of the corpora are valid, their checks can fail, and the runs that need no network pass. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, it } from 'node:test';
import { pathToFileURL } from 'node:url';
import { rules } from '../src/audit/rules.js';
import { readText, root } from './files.js';

const folder = path.join(root, 'scripts/corpus');

interface Edit {
  readonly file: string;
  readonly find: string;
  readonly times?: number;
  readonly replace: readonly string[];
}

interface Kernel {
  readonly name: string;
  readonly base?: string;
  readonly about: string;
  readonly edits: readonly Edit[];
}

type Pattern = Readonly<Record<string, unknown>>;

interface Run {
  readonly name: string;
  readonly kernel: string;
  readonly guest?: string;
  readonly vcpus?: number;
  readonly xen?: string;
  readonly xenstore?: boolean;
  readonly cmdline?: string;
  readonly entryVcpu?: number;
  readonly memory?: number;
  readonly seed?: number;
  readonly expect?: readonly Pattern[];
  readonly allow?: readonly Pattern[];
}

async function script(name: string): Promise<unknown> {
  return await import(pathToFileURL(path.join(folder, name)).href);
}

const { rightRuns } = (await script('right_runs.js')) as { rightRuns: (corpus: unknown) => Run[] };

interface Corpus {
  readonly kernels: readonly Kernel[];
  readonly runs: readonly Run[];
  readonly right: readonly Run[];
}

function corpusOf(arch: string): Corpus {
  const read = (file: string): unknown => JSON.parse(readText(`scripts/corpus/${arch}/${file}`));
  const { kernels } = read('wrong_kernels.json') as { kernels: Kernel[] };
  const { runs } = read('wrong_runs.json') as { runs: Run[] };
  return { kernels, runs, right: rightRuns(read('right.json')) };
}

const [arm64, amd64] = [corpusOf('arm64'), corpusOf('amd64')];
const corpora = Object.entries({ arm64, amd64 });
const findings = (await script('findings.js')) as {
  patternFields: string[];
  complaintsOf: (found: readonly Pattern[], run: Partial<Run>) => string[];
};
const builds = (await script('wrong_kernels.js')) as {
  editsOf: (name: string, corpus: Pick<Corpus, 'kernels'>) => Edit[];
  edited: (text: string, edit: Edit) => string;
};

function assertUnique(names: readonly string[]): void {
  assert.deepEqual(
    names.filter((name, index) => names.indexOf(name) !== index),
    [],
  );
}

function listOf(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [value];
}

for (const [arch, corpus] of corpora) {
  const { kernels, runs, right } = corpus;

  describe(`the corpus of wrong kernels for ${arch}`, () => {
    it('has kernels with unique names, each with its own edits and those of its base', () => {
      assertUnique(kernels.map(({ name }) => name));
      const countOf = (name: string): number => builds.editsOf(name, corpus).length;
      for (const { name, base, edits } of kernels) {
        assert.match(name, /^[a-z][a-z0-9-]+$/);
        assert.equal(countOf(name), edits.length + (base ? countOf(base) : 0));
        for (const { find, replace } of edits) assert.notEqual(replace.join('\n'), find);
      }
      assert.throws(() => builds.editsOf('no-such-kernel', corpus), /no kernel no-such-kernel/);
    });

    it('has runs with unique names, and with kernels and guest scripts that exist', () => {
      assertUnique(runs.map(({ name }) => name));
      const known = ['builtin', ...kernels.map(({ name }) => name)];
      for (const { kernel, guest = 'nothing' } of runs) {
        assert.ok(known.includes(kernel), kernel);
        assert.ok(existsSync(path.join(folder, 'guest', `${guest}.sh`)), guest);
      }
    });

    it('expects a finding for each wrong kernel, and none for the right ones', () => {
      const controls = arch === 'arm64' ? ['ports'] : ['stock'];
      const found = new Set(runs.filter(({ expect }) => expect !== undefined).map(({ kernel }) => kernel));
      const others = kernels.map(({ name }) => name).filter((name) => !found.has(name));
      assert.deepEqual(others, controls);
      assert.ok(found.size >= 12);
    });

    it('uses rules and fields that exist', () => {
      const names = rules.map(({ name }) => name);
      for (const { name: run, expect = [], allow = [] } of runs) {
        for (const pattern of [...expect, ...allow]) {
          assert.ok('rule' in pattern, run);
          for (const field of Object.keys(pattern)) assert.ok(findings.patternFields.includes(field), field);
          for (const rule of listOf(pattern['rule'])) assert.ok(names.includes(String(rule)), String(rule));
        }
      }
    });
  });

  describe(`the corpus of right kernels for ${arch}`, () => {
    it('has at least 150 runs with unique names, and with guest scripts that exist', () => {
      assert.ok(right.length >= 150, `${right.length}`);
      assertUnique(right.map(({ name }) => name));
      for (const { guest = 'nothing' } of right) {
        assert.ok(existsSync(path.join(folder, 'guest', `${guest}.sh`)), guest);
      }
    });

    it('covers limits, hotplug and reserved CPUs', () => {
      const lines = right.map(({ cmdline = '' }) => cmdline).join(' ');
      const limits = ['maxcpus=1', 'nr_cpus=1', 'nr_cpus=2', 'nr_cpus=3', 'nr_cpus=4', 'nosmp'];
      const others = [
        'isolcpus=',
        'nohz_full=',
        'xen.fifo_events=0',
        'rounds=1 ',
        'rounds=10 ',
        'rounds=100',
      ];
      for (const word of [...limits, ...others]) assert.ok(`${lines} `.includes(word), word);
    });
  });
}

function assertCovers(right: readonly Run[], wanted: Partial<Record<keyof Run, unknown[]>>): void {
  const values = (field: keyof Run): unknown[] => [...new Set(right.map((run) => run[field]))];
  for (const [field, all] of Object.entries(wanted)) {
    assert.deepEqual(
      all.filter((value) => !values(field as keyof Run).includes(value)),
      [],
    );
  }
}

const releases = ['bullseye', 'bookworm', 'trixie', 'forky', 'sid'].map((name) => `debian:${name}`);
const everyWay = {
  xen: ['4.17', '4.18'],
  xenstore: [true, false],
  guest: ['storm', 'late_online', 'pm_devices'],
};

describe('the corpora of right kernels', () => {
  it('cover on arm64 releases, flavours, vCPU counts, hotplug, suspend, both Xens, with and without xenstore', () => {
    const flavours = ['bookworm/cloud', 'bookworm/rt', 'trixie/16k'].map((name) => `debian:${name}`);
    const vcpus = [1, 2, 3, 4, 8, 16, 17, 33, 64, 128];
    assertCovers(arm64.right, { ...everyWay, kernel: [...releases, ...flavours], vcpus });
  });

  it('cover on amd64 the same, with entries on each vCPU, memory and seeds', () => {
    const flavours = ['cloud', 'rt'].flatMap((flavour) => releases.map((name) => `${name}/${flavour}`));
    assertCovers(amd64.right, {
      ...everyWay,
      kernel: [...releases, ...flavours.filter((name) => !/(bookworm|trixie).rt/.test(name))],
      vcpus: [1, 2, 3, 5, 8, 16, 33, 64, 128],
      entryVcpu: [1, 2, 3],
      memory: [1024, 3072],
      seed: [2, 3, 4, 5, 6, 7, 8, 9, 10, 11],
    });
  });
});

describe('an edit of a wrong kernel', () => {
  it('applies an edit exactly as often as it says, or not at all', () => {
    const edit = { file: 'f.c', find: 'id(cpu)', replace: ['0', '+ 0'] };
    assert.equal(builds.edited('a = id(cpu);', edit), 'a = 0\n+ 0;');
    assert.equal(builds.edited('id(cpu) id(cpu)', { ...edit, times: 2 }), '0\n+ 0 0\n+ 0');
    for (const text of ['a = cpu;', 'id(cpu) id(cpu)']) {
      assert.throws(() => builds.edited(text, edit), /f\.c: 'id\(cpu\)' stands there (0|2) times, not 1/);
    }
  });
});

describe('the check of findings', () => {
  const found = { rule: 'id-is-meant', passed: 0, meant: null, why: 'a wrong id' };

  it('accepts findings that are all expected or allowed', () => {
    const pattern = { rule: ['id-exists', 'id-is-meant'], meant: [null, 1] };
    assert.deepEqual(findings.complaintsOf([], {}), []);
    assert.deepEqual(findings.complaintsOf([found], { expect: [pattern] }), []);
    assert.deepEqual(findings.complaintsOf([found], { allow: [pattern] }), []);
    assert.deepEqual(findings.complaintsOf([], { allow: [pattern] }), []);
  });

  it('reports missing and unjustified findings', () => {
    const pattern = { rule: 'id-is-meant', passed: 1 };
    assert.deepEqual(findings.complaintsOf([found], { expect: [pattern] }), [
      'not found: rule=id-is-meant passed=1',
      'false: id-is-meant: a wrong id',
    ]);
  });
});

it('the built-in guest has findings only if it is wrong', () => {
  const cache = mkdtempSync(path.join(tmpdir(), 'domulator-corpora-'));
  try {
    const run = (...args: string[]): ReturnType<typeof spawnSync> =>
      spawnSync(process.execPath, [path.join(folder, 'wrong.js'), '--jobs', '1', '--xen', '4.17', ...args], {
        encoding: 'utf8',
        env: { ...process.env, XDG_CACHE_HOME: cache },
      });
    for (const [arch, name] of [
      ['arm64', 'builtin, bind_ipi'],
      ['amd64', 'builtin, bind_ipi with the id of the CPU that calls, Xen'],
    ] as const) {
      const log = path.join(cache, `${arch}.log`);
      const { status, stdout } = run('--arch', arch, '--log', log, 'builtin, Xen', name);
      assert.match(String(stdout), /^2 passed, 0 failed$/m);
      assert.equal(status, 0);
      const again = run('--arch', arch, '--log', log, 'builtin, Xen', name);
      assert.match(String(again.stdout), /^2 passed, 0 failed$/m);
      assert.doesNotMatch(String(again.stdout), /^ok/m, 'a run that the log has is not made again');
    }
    const unbuilt = run('off-by-one');
    assert.match(String(unbuilt.stdout), /not built.*\n0 passed, 1 failed\n$/);
    assert.equal(unbuilt.status, 1);
  } finally {
    rmSync(cache, { recursive: true });
  }
});
