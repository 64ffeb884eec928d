/** The documents agree with the program. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, describe, it } from 'node:test';
import { Application } from 'typedoc';
import { madtLocalApic, writeMadt } from '../src/abi/index.js';
import { hypercallTable } from '../src/hypervisor/index.js';
import { a64 } from '../src/isa/index.js';
import * as x86_64 from '../src/isa/x86_64/index.js';
import { adr, hypercall, image, powerOff } from './boot/tiny_kernels.js';
import { readText, root } from './files.js';

const folder = mkdtempSync(path.join(os.tmpdir(), 'domulator-test-'));
after(() => rmSync(folder, { recursive: true }));

const libraryPage = 'docs/library.md';

function run(args: readonly string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, args, { cwd: root, encoding: 'utf8' });
}

/** The code blocks in a language. */
function blocks(file: string, language: string): string[] {
  const found = readText(file).matchAll(new RegExp(`^\`\`\`${language}\\n([^]*?)^\`\`\``, 'gm'));
  return [...found].map(([, code = '']) => code);
}

describe('README.md', () => {
  it('shows a story as it is printed', () => {
    const shown = blocks('README.md', 'text').find((text) => /^\d+\. /.test(text)) ?? '';
    const [, number = ''] = /^(\d+)\. /.exec(shown) ?? [];
    const { stdout } = run(['dist/src/cli/main.js', 'thread', '--story', number]);
    assert.ok(stdout.includes(shown), 'the story is printed otherwise; copy it anew');
  });

  it('lists the exit statuses that --help lists', () => {
    const listed = [...readText('README.md').matchAll(/^\| (\d+) \| /gm)].map(([, status]) => status);
    const { stdout } = run(['dist/src/cli/main.js', '--help']);
    const helped = [...stdout.matchAll(/^ +(\d+) {2}\S/gm)].map(([, status]) => status);
    assert.deepEqual(listed, helped);
  });

  it('stays within 200 lines', () => {
    assert.ok(readText('README.md').split('\n').length <= 200);
  });
});

describe('docs/library.md', () => {
  it('has an example of ten lines that maps a MADT to vCPU ids', () => {
    const example = blocks(libraryPage, 'js').find((code) => code.includes('domulator/identity')) ?? '';
    assert.ok(example.trim().split('\n').length <= 10);
    const table = path.join(folder, 'APIC');
    writeFileSync(table, writeMadt({ entries: [0, 1, 2].map((vcpu) => madtLocalApic(vcpu, 2 * vcpu)) }));
    const code = example.replace('/sys/firmware/acpi/tables/APIC', table);
    assert.notEqual(code, example);
    const { status, stdout, stderr } = run(['--input-type=module', '--eval', code]);
    assert.equal(stderr, '');
    assert.equal(status, 0);
    assert.equal(
      stdout,
      [0, 1, 2].map((vcpu) => `Xen vCPU ${vcpu}: ACPI UID ${vcpu}, APIC id ${2 * vcpu}\n`).join(''),
    );
  });

  it('has an example of twenty lines that boots a kernel and reports what it did', () => {
    const example = blocks(libraryPage, 'js').find((code) => code.includes("from 'domulator'")) ?? '';
    assert.ok(example.trim().split('\n').length <= 20);
    const kernel = path.join(folder, 'Image');
    // VCPUOP_register_vcpu_info for vCPU 5, which does not exist; then power off.
    writeFileSync(kernel, image([adr(30, 0), ...hypercall(24, 10, 5, 0), ...powerOff]));
    const code = example
      .replace('debian:bookworm', kernel)
      .replace('vcpus: 4', `vcpus: 1, initrd: '${kernel}', until: 'poweroff'`);
    assert.notEqual(code, example);
    const { status, stdout, stderr } = run(['--input-type=module', '--eval', code]);
    assert.equal(stderr, '');
    assert.equal(status, 0);
    assert.match(stdout, /^vCPU 0, which is Linux CPU null: VCPUOP_register_vcpu_info\(5\) = -2$/m);
    assert.match(stdout, /^.*Image: fail$/m);
    assert.match(stdout, /^CPU 0 is vCPU 0, and is recorded as null$/m);
    assert.match(stdout, /^id-exists: .*vCPU 5.* \(_text\+0x\w+\)$/m);
  });

  it('lists the entry points in package.json', () => {
    const { exports } = JSON.parse(readText('package.json')) as { exports: Record<string, string> };
    const modules = ['base', 'abi', 'identity', 'hypervisor', 'audit', 'explore'];
    const files = ['./package.json', './schemas/boot-report.schema.json'];
    assert.deepEqual(
      Object.keys(exports).sort(),
      ['.', ...modules.map((name) => `./${name}`), ...files].sort(),
    );
    assert.equal(exports['.'], './dist/src/library/index.js');
    for (const name of modules) assert.equal(exports[`./${name}`], `./dist/src/${name}/index.js`);
    const listed = [...readText(libraryPage).matchAll(/^\| `domulator(?:\/(\w+))?` \|/gm)].map(
      ([, name]) => name,
    );
    assert.deepEqual(listed, [undefined, ...modules]);
  });
});

describe('docs/architecture.md', () => {
  it('lists all modules', () => {
    const listed = [...readText('docs/architecture.md').matchAll(/^src\/(\w+)\/ /gm)].map(
      ([, name = '']) => name,
    );
    const folders = readdirSync(path.join(root, 'src'), { withFileTypes: true });
    const there = folders.filter((entry) => entry.isDirectory()).map(({ name }) => name);
    assert.deepEqual([...listed].sort(), there.sort());
  });
});

describe('docs/instructions.md', () => {
  it('is up to date with the instruction definitions', async () => {
    const script = path.join(root, 'scripts/instructions_page.js');
    const { instructionsPage } = (await import(script)) as {
      instructionsPage: (a64: unknown, x86: unknown) => Promise<string>;
    };
    assert.ok(
      (await instructionsPage(a64(), x86_64.x86)) === readText('docs/instructions.md'),
      'run `npm run docs:instructions`',
    );
  });
});

describe('docs/hypercalls.md', () => {
  it('is up to date with the table of hypercalls', async () => {
    const script = path.join(root, 'scripts/hypercalls_page.js');
    const { hypercallsPage } = (await import(script)) as { hypercallsPage: (table: unknown) => string };
    assert.ok(
      hypercallsPage(hypercallTable) === readText('docs/hypercalls.md'),
      'run `npm run docs:hypercalls`',
    );
  });

  it('names a source for every operation', () => {
    for (const { operations } of hypercallTable) {
      for (const { name, source } of operations) assert.match(source, /Xen|public\//, name);
    }
  });
});

describe('docs/glossary.md', () => {
  it('has no word twice', () => {
    const words = [...readText('docs/glossary.md').matchAll(/^\| \*\*(.+?)\*\*/gm)].map(([, word]) => word);
    assert.ok(words.length > 30);
    assert.equal(new Set(words).size, words.length);
  });
});

describe('the API pages', () => {
  it('are built from every entry point without a warning', async () => {
    const app = await Application.bootstrapWithPlugins({ options: path.join(root, 'typedoc.json') });
    const project = await app.convert();
    assert.ok(project !== undefined);
    app.validate(project);
    assert.equal(app.logger.hasErrors() || app.logger.hasWarnings(), false);
    const entryPoints = project.children?.map(({ name }) => name).sort();
    assert.deepEqual(entryPoints, ['abi', 'audit', 'base', 'explore', 'hypervisor', 'identity', 'library']);
  });
});
