/** Rules of this project that neither the compiler nor the linter checks. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { readText, repositoryFiles, root } from './files.js';

/** The modules that each module may import. docs/architecture.md has the same as a diagram. */
const mayImport: Readonly<Record<string, readonly string[]>> = {
  base: [],
  abi: ['base'],
  identity: ['base', 'abi'],
  hypervisor: ['base', 'abi', 'identity'],
  audit: ['base', 'abi', 'identity'],
  explore: ['base', 'abi', 'identity', 'hypervisor', 'audit'],
  isa: ['base'],
  engine: ['base', 'isa'],
  devices: ['base'],
  firmware: ['base', 'abi', 'identity'],
  builtin_guest: ['base', 'abi', 'isa'],
  guest_init: ['base', 'isa'],
  introspect: [],
  machine: ['base', 'abi', 'identity', 'isa', 'engine', 'hypervisor', 'devices'],
  boot: ['base', 'abi', 'identity', 'hypervisor', 'audit', 'firmware', 'guest_init', 'introspect', 'machine'],
  user_cache: [],
  kernel_source: ['base', 'firmware', 'user_cache'],
  library: ['base', 'audit', 'builtin_guest', 'firmware', 'guest_init', 'boot', 'kernel_source'],
  cli: ['base', 'identity', 'audit', 'explore', 'library', 'user_cache'],
};

/** The packages and Node modules that each module may import. */
const mayUse: Readonly<Record<string, RegExp>> = {
  base: /^@noble\/hashes\//,
  firmware: /^(fzstd|modern-tar|pako|xz-decompress)$/,
  // The checkpoint's file: its hashes and its compressed frames. Threads: how many there may be, and their pool.
  library: /^(node:(crypto|os|worker_threads|zlib)|tinypool)$/,
  kernel_source: /^node:(child_process|crypto|fs\/promises|https?|path|timers\/promises|tls)$/,
  user_cache: /^node:(os|path)$/,
  cli: /^(node:(crypto|fs|module|path|process|url|v8|vm)|commander|picocolors|cli-table3|xmlbuilder2)$/,
};

interface Import {
  readonly file: string;
  readonly module: string;
  readonly specifier: string;
  /** Whether it is erased at compile time (`import type`, `export type`). */
  readonly isTypeOnly: boolean;
}

const sources = repositoryFiles('src').filter((name) => name.endsWith('.ts'));
const isTest = (file: string): boolean => file.endsWith('.test.ts');

function importsOf(file: string): Import[] {
  const found = readText(file).matchAll(
    /(?:^|\n)\s*(?:import|export)\b[^;]*?\bfrom\s+'([^']+)'|\bimport\(\s*'([^']+)'\s*\)|(?:^|\n)import\s+'([^']+)'/g,
  );
  const module = file.split('/')[1] ?? '';
  return [...found].map((match) => ({
    file,
    module,
    specifier: match[1] ?? match[2] ?? match[3] ?? '',
    isTypeOnly: /^\s*(?:import|export)\s+type\b/.test(match[0]),
  }));
}

/** The path of the file that a relative import names, from the repository's directory. */
function target({ file, specifier }: Import): string {
  return path.posix.join(path.posix.dirname(file), specifier).replace(/\.js$/, '.ts');
}

/** The files of the circles of a graph, each circle once and sorted: its strongly connected parts of more than one file (Tarjan). */
function circlesOf(graph: ReadonlyMap<string, readonly string[]>): string[][] {
  const circles: string[][] = [];
  const order = new Map<string, number>();
  const stack: string[] = [];
  const visit = (file: string): number => {
    order.set(file, order.size);
    let lowest = order.size - 1;
    stack.push(file);
    for (const next of graph.get(file) ?? []) {
      if (!order.has(next)) lowest = Math.min(lowest, visit(next));
      else if (stack.includes(next)) lowest = Math.min(lowest, order.get(next) ?? lowest);
    }
    if (lowest === order.get(file)) {
      const part = stack.splice(stack.indexOf(file));
      if (part.length > 1) circles.push(part.sort());
    }
    return lowest;
  };
  for (const file of graph.keys()) if (!order.has(file)) visit(file);
  return circles;
}

describe('modules', () => {
  const imports = sources.flatMap(importsOf);
  const relative = imports.filter(({ specifier }) => specifier.startsWith('.'));

  it('are all listed in this test', () => {
    const modules = new Set(sources.map((file) => file.split('/')[1]));
    assert.deepEqual([...modules].sort(), Object.keys(mayImport).sort());
  });

  // A folder of an architecture may have an index.ts too, so that a guest of one architecture does not load the other.
  it('import each other through index.ts only', () => {
    const isEntry = (rest: readonly string[]): boolean =>
      rest.at(-1) === 'index.ts' &&
      (rest.length === 1 ||
        (rest.length === 2 && (architectures as readonly string[]).includes(rest[0] ?? '')));
    const wrong = relative.filter((entry) => {
      const [folder, module, ...rest] = target(entry).split('/');
      if (folder === 'test') return !isTest(entry.file);
      return folder !== 'src' || (module !== entry.module && !isEntry(rest));
    });
    assert.deepEqual(wrong, []);
  });

  it('import permitted modules only', () => {
    const wrong = relative.filter((entry) => {
      const module = target(entry).split('/')[1] ?? '';
      return (
        !isTest(entry.file) && module !== entry.module && mayImport[entry.module]?.includes(module) !== true
      );
    });
    assert.deepEqual(wrong, []);
  });

  it('have no files that import each other in a circle at run time', () => {
    const graph = new Map(sources.map((file): [string, string[]] => [file, []]));
    for (const entry of relative) {
      if (!entry.isTypeOnly && !isTest(entry.file)) graph.get(entry.file)?.push(target(entry));
    }
    assert.deepEqual(circlesOf(graph), []);
    const ring = new Map([
      ['a', ['b']],
      ['b', ['c', 'd']],
      ['c', ['a']],
      ['d', ['d']],
    ]);
    assert.deepEqual(circlesOf(ring), [['a', 'b', 'c']], 'the search is broken');
  });

  it('use permitted packages only', () => {
    const packages = imports.filter(({ specifier, file }) => !specifier.startsWith('.') && !isTest(file));
    const wrong = packages.filter(({ module, specifier }) => mayUse[module]?.test(specifier) !== true);
    assert.deepEqual(wrong, []);
    assert.ok(packages.length > 0, 'no import of a package was found: the search is broken');
  });

  it('reference each other in their tsconfig.json as they may import each other', () => {
    for (const [module, modules] of Object.entries(mayImport)) {
      const config = JSON.parse(readText(`src/${module}/tsconfig.json`)) as {
        references: { path: string }[];
      };
      const referred = config.references.map((reference) => path.posix.basename(reference.path));
      assert.deepEqual(referred.sort(), [...modules].sort(), module);
    }
  });

  it('have an index.ts that describes them', () => {
    for (const module of Object.keys(mayImport).filter((name) => name !== 'cli')) {
      assert.match(readText(`src/${module}/index.ts`), new RegExp(`^/\\*\\*\\n \\* ${module}: `), module);
    }
  });

  it('have files named in snake_case', () => {
    const wrong = sources.filter((file) => !/^[a-z0-9_]+(\.test)?\.ts$/.test(path.posix.basename(file)));
    assert.deepEqual(wrong, []);
  });
});

const architectures = ['arm64', 'x86_64'] as const;
type Architecture = (typeof architectures)[number];

/**
 * The seams: by module, the files that the folder of each architecture has under the same name. Other files in these
 * folders are its own: groups of instructions, devices, parts of a seam's file.
 */
const seamFiles: Readonly<Record<string, readonly string[]>> = {
  isa: ['decoder.ts', 'encoding.ts', 'index.ts', 'registers.ts', 'system_calls.ts'],
  engine: [
    'accesses.ts',
    'architecture.ts',
    'block.ts',
    'conditions.ts',
    'exceptions.ts',
    'float_registers.ts',
    'float_rules.ts',
    'host.ts',
    'mmu.ts',
    'records.ts',
    'resume.ts',
    'system_calls.ts',
  ],
  boot: ['guest.ts', 'hung_guest.ts'],
  builtin_guest: [
    'cpus.ts',
    'entry.ts',
    'events.ts',
    'exceptions.ts',
    'exports.ts',
    'fuzz.ts',
    'index.ts',
    'interrupts.ts',
    'layout.ts',
    'main.ts',
    'print.ts',
    'rounds.ts',
    'services.ts',
    'words.ts',
  ],
  firmware: ['entry.ts', 'index.ts', 'kernel_image.ts', 'memory_map.ts', 'tables.ts'],
  guest_init: ['code.ts', 'index.ts', 'saved_registers.ts'],
  introspect: ['anchors.ts'],
  machine: [
    'board.ts',
    'clock.ts',
    'code.ts',
    'diagnosis.ts',
    'fault_loop.ts',
    'hypercall_abi.ts',
    'interrupts.ts',
    'power_calls.ts',
  ],
};

/** Seam files that a folder does not have yet, as `module/architecture/file`. */
const notYet: readonly string[] = [];

describe('the folders of an architecture', () => {
  const folders = new Map<string, Set<string>>();
  for (const file of sources) {
    const [, module = '', architecture = '', ...rest] = file.split('/');
    if (!(architectures as readonly string[]).includes(architecture)) continue;
    const folder = `${module}/${architecture}`;
    const files = folders.get(folder) ?? new Set();
    folders.set(folder, files.add(rest.join('/')));
  }

  it('lie in a module directly, and are in the list of seams', () => {
    const nested = sources.filter((file) => /^src\/[^/]+\/.+\/(arm64|x86_64)\//.test(file));
    assert.deepEqual(nested, []);
    const modules = new Set([...folders.keys()].map((folder) => folder.split('/')[0]));
    assert.deepEqual([...modules].sort(), Object.keys(seamFiles).sort());
  });

  it('have each file of their seam, under the same name', () => {
    const missing = Object.entries(seamFiles).flatMap(([module, files]) =>
      architectures.flatMap((architecture: Architecture) => {
        const folder = `${module}/${architecture}`;
        const found = folders.get(folder);
        return found === undefined
          ? []
          : files.filter((file) => !found.has(file)).map((file) => `${folder}/${file}`);
      }),
    );
    assert.deepEqual(missing.sort(), [...notYet].sort());
  });

  it('are described in docs/architecture.md with each file of their seam', () => {
    const text = readText('docs/architecture.md');
    const missing = Object.entries(seamFiles).flatMap(([module, files]) =>
      files
        .filter((file) => !text.includes(`\`${file}\``) && !text.includes(`/arm64/${file}\``))
        .map((file) => `${module}: ${file}`),
    );
    assert.deepEqual(missing, []);
  });
});

/** Words of Arm's architecture, in lower case. A word of a name counts too: `isEl0`, `MPIDR_EL1`. */
const armWords: ReadonlySet<string> = new Set(
  `aapcs aapcs64 aarch32 asid cntp cntv cpacr daif ddi el0 el1 el2 el3 elr eret esr
   fpcr fpsr gic gicv2 gicv3 hcr isb mair mpidr nzcv pl011 psci pstate redistributor sctlr sgi smc
   smccc spsr svc tcr tpidr ttbr ttbr0 ttbr1 vbar vgic wfe wfi`.split(/\s+/),
);

/** The words of a text: names are divided at `_`, and where a capital letter follows a small one. */
function wordsOf(text: string): Set<string> {
  const names = text.match(/[A-Za-z0-9]+/g) ?? [];
  return new Set(
    names.flatMap((name) => name.split(/(?<=[a-z0-9])(?=[A-Z])/).map((word) => word.toLowerCase())),
  );
}

describe('shared files', () => {
  const isShared = (file: string): boolean =>
    /^src\/(engine|isa|machine|boot|builtin_guest|introspect|firmware|guest_init|kernel_source)\//.test(
      file,
    ) &&
    !/\/(arm64|x86_64)\//.test(file) &&
    !/(\.test\.ts|\/test_[a-z_]*\.ts)$/.test(file);

  it('name nothing that only Arm has', () => {
    assert.deepEqual(
      [...wordsOf('isEl0(MPIDR_EL1) // a GICv3')].filter((word) => armWords.has(word)),
      ['el0', 'mpidr', 'el1', 'gicv3'],
    );
    const found = sources.filter(
      (file) => isShared(file) && [...wordsOf(readText(file))].some((word) => armWords.has(word)),
    );
    assert.deepEqual(found, []);
  });
});

describe('ids', () => {
  it('are made by the functions of identity/ids.ts alone, never by a cast', () => {
    const cast = /\bas (readonly )?(AcpiUid|ApicId|HardwareId|LinuxCpu|Mpidr|XenVcpuId)\b/;
    assert.match(readText('src/identity/ids.ts'), cast);
    const everything = [...sources, ...repositoryFiles('test').filter((name) => name.endsWith('.ts'))];
    const found = everything.filter((file) => file !== 'src/identity/ids.ts' && cast.test(readText(file)));
    assert.deepEqual(found, []);
  });
});

/** Assembled here, so that this file does not contain the text that it searches for. */
const forbidden: readonly (readonly [string, RegExp])[] = [
  [
    'a package registry',
    new RegExp(['npmjs\\.(org|com)', 'yarnpkg\\.com', 'npmmirror\\.com', 'debian\\.org'].join('|')),
  ],
  [
    'a machine path',
    new RegExp(['work', 'tmp', 'root', 'home', 'Users'].map((name) => `(?<![\\w.])/${name}/`).join('|')),
  ],
];

describe('the repository', () => {
  const files = repositoryFiles();

  for (const [what, pattern] of forbidden) {
    it(`names ${what} nowhere`, () => {
      const wrong = files.flatMap((file) =>
        readText(file)
          .split('\n')
          .flatMap((line, i) =>
            pattern.test(line) ? [`${file}:${i + 1}: ${line.trim().slice(0, 100)}`] : [],
          ),
      );
      assert.deepEqual(wrong, []);
    });
  }

  it('keeps download addresses out of the lock file', () => {
    assert.doesNotMatch(readText('package-lock.json'), /"resolved":/);
    assert.match(readText('.npmrc'), /^omit-lockfile-registry-resolved=true$/m);
  });

  it('needs no package with an install script', () => {
    const lock = JSON.parse(readText('package-lock.json')) as {
      packages: Record<string, { hasInstallScript?: boolean }>;
    };
    const own = new Set(['']);
    const wrong = Object.entries(lock.packages).filter(
      ([name, entry]) => entry.hasInstallScript === true && !own.has(name),
    );
    assert.deepEqual(wrong, []);
  });

  it('lists only built files in package.json', () => {
    const { exports, bin } = JSON.parse(readText('package.json')) as {
      exports: Record<string, string>;
      bin: Record<string, string>;
    };
    for (const file of [...Object.values(exports), ...Object.values(bin)]) {
      assert.ok(existsSync(path.join(root, file)), file);
    }
  });
});

/** The anchor of a heading, as code hosts generate it. */
function slug(heading: string): string {
  const text = heading.replace(/`|\*|\[([^\]]*)\]\([^)]*\)/g, (_, label: string | undefined) => label ?? '');
  return text
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, '')
    .trim()
    .replace(/\s/g, '-');
}

/** The text without its code, which contains no links. */
function prose(text: string): string {
  return text.replace(/^```[^]*?^```/gm, '').replace(/`[^`\n]*`/g, '`');
}

function anchorsOf(file: string): Set<string> {
  const text = readText(file).replace(/^```[^]*?^```/gm, '');
  return new Set([...text.matchAll(/^#{1,6} +(.*)$/gm)].map(([, heading = '']) => slug(heading)));
}

describe('documents', () => {
  const documents = repositoryFiles().filter((name) => name.endsWith('.md'));
  const links = documents.flatMap((file) =>
    [...prose(readText(file)).matchAll(/\]\(([^)\s]+)\)/g)].map(([, link = '']) => ({ file, link })),
  );

  it('link to existing files and headings', () => {
    const wrong = links.filter(({ file, link }) => {
      if (/^[a-z]+:/.test(link)) return !link.startsWith('https://');
      const [name = '', anchor] = link.split('#', 2);
      const linked = name === '' ? file : path.posix.join(path.posix.dirname(file), name);
      // Generated by `npm run docs`, and not part of the repository.
      if (linked.startsWith('docs/api/')) return false;
      if (!existsSync(path.join(root, linked))) return true;
      return anchor !== undefined && !anchorsOf(linked).has(anchor);
    });
    assert.deepEqual(wrong, []);
    assert.ok(links.length > 10, 'hardly any link was found: the search is broken');
  });
});
