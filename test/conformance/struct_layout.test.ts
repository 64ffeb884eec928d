/**
 * Compares every struct and number that src/abi/xen and src/abi/arm export with gcc and Debian's libxen-dev (4.17):
 * sizes, alignments and offsets, the signedness of integers, and the value of each constant, on both architectures. The
 * list of comparisons comes from the modules' exports; only names that the headers lack are listed here.
 */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { before, describe, it } from 'node:test';
import * as entryPoint from '../../src/abi/index.js';
import type { Arch, CArray, CType, PerArch, Struct } from '../../src/abi/index.js';
import { ask, compilerFor, hasPsciHeader } from './gcc.js';

/**
 * Names that the 4.17 headers do not define, and why they are declared. They are compared if newer headers have them.
 */
const notInHeaders: readonly (readonly [RegExp, string])[] = [
  [/^XEN_(EINTR|ERESTART)$/, 'defined for Xen itself alone (__XEN__)'],
  [/^EVTCHNOP_reset_cont$/, 'defined for Xen itself alone (__XEN__)'],
  [/^VCPUOP_register_(runstate|vcpu_time)_phys_area$/, 'since 4.18'],
  [/^XENFEAT_(runstate|vcpu_time)_phys_area$/, 'since 4.18'],
  [/^XEN_CPUID_(TSC_EMULATED|HOST_TSC_RELIABLE|RDTSCP_INSTR_AVAIL)$/, 'bits without a name before 4.18'],
  [
    /^(VIOAPIC_DEFAULT_BASE|HPET_BASE)_ADDRESS$|^PCI_MEM_START$/,
    'of Xen and hvmloader alone; in no public header',
  ],
  [/^ACPI_PCIHP_ADDR_PIIX4$|^PIIX/, "of QEMU; in no header of Xen's"],
  [/^ARM_SMCCC_/, 'Arm DEN0028; in no public header'],
];

/** Values that later headers changed, and since when. Only the old and the new value are right. */
const changedLater: Readonly<Record<string, readonly [bigint, string]>> = {
  'xencons_interface: size': [3092n, '4.21 adds `connection` behind the rings'],
  'xenstore_domain_interface: size': [2080n, '4.21 adds `evtchn_port` at the end'],
  'PSR_GUEST64_INIT: value': [0x3c5n, 'after 4.21 debug exceptions are masked too'],
};

const arches: readonly Arch[] = ['x86_64', 'arm64'];

interface Question {
  readonly what: string;
  readonly expression: string;
  readonly expected: bigint;
  /** The export that the question concerns. */
  readonly subject: string;
  /** Whether its answer shows if the headers know the subject at all. */
  readonly root: boolean;
}

type Asking = (what: string, expression: string, expected: number | bigint, root?: boolean) => void;

type AnyStruct = Struct<Record<string, CType<unknown>>, unknown>;

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null;
const isType = (value: unknown): value is CType<unknown> => isRecord(value) && 'read' in value;
const isStruct = (value: unknown): value is AnyStruct => isType(value) && 'fields' in value;
const isArray = (value: unknown): value is CArray<unknown> => isType(value) && 'element' in value;
const isPerArch = (value: unknown): value is PerArch<unknown> =>
  isRecord(value) && Object.keys(value).sort().join() === 'arm64,x86_64';
const isNames = (value: unknown): boolean =>
  isRecord(value) && Object.values(value).every((name) => typeof name === 'string');

/** Asks for the member at `path` of the C type `c`, at byte `at`: its offset, size and signedness. */
function askMember(asking: Asking, c: string, path: string, type: CType<unknown>, at: number): void {
  const member = `((${c} *)0)->${path}`;
  asking(`offset of ${path}`, `offsetof(${c}, ${path})`, at);
  asking(`size of ${path}`, `sizeof(${member})`, type.size);
  if (isStruct(type)) askMembers(asking, c, `${path}.`, type, at);
  else if (isArray(type)) askMember(asking, c, `${path}[0]`, type.element, at);
  else if (/^[us]\d+$/.test(type.name)) {
    const sign = type.name.startsWith('s') ? 1 : 0;
    // A handle or a pointer has no sign. It is declared as an unsigned number of its size.
    asking(`sign of ${path}`, `SIGNED(${member}) == 2 ? 0 : SIGNED(${member})`, sign);
  }
}

function askMembers(asking: Asking, c: string, prefix: string, type: AnyStruct, at: number): void {
  const offsets: Record<string, number> = type.offsets;
  for (const [key, field] of Object.entries(type.fields)) {
    askMember(asking, c, `${prefix}${key}`, field, at + offsets[key]!);
  }
}

function askType(asking: Asking, name: string, type: CType<unknown>): void {
  const c = isStruct(type) ? `${type.kind} ${type.name}` : name;
  asking('size', `sizeof(${c})`, type.size, true);
  asking('alignment', `_Alignof(${c})`, type.align);
  if (isStruct(type)) askMembers(asking, c, '', type, 0);
}

/** The questions about one export on one architecture. */
function questionsAbout(subject: string, value: unknown, arch: Arch): Question[] {
  const questions: Question[] = [];
  const asking: Asking = (what, expression, expected, root = false) =>
    questions.push({ what: `${subject}: ${what}`, expression, expected: BigInt(expected), subject, root });
  const here = isPerArch(value) ? value[arch] : value;
  if (typeof here === 'number' || typeof here === 'bigint') asking('value', subject, here, true);
  else if (isType(here)) askType(asking, subject, here);
  else if (!isNames(here) && typeof here !== 'function')
    throw new Error(`${subject} is nothing that C knows`);
  return questions;
}

/** The exports of every module in src/abi/xen and src/abi/arm, except the tests. */
async function declared(): Promise<Map<string, unknown>> {
  const all = new Map<string, unknown>();
  for (const folder of ['xen', 'arm']) {
    const source = new URL(`../../../src/abi/${folder}/`, import.meta.url);
    const modules = readdirSync(source).filter((file) => file.endsWith('.ts') && !file.includes('.test.'));
    for (const file of modules) {
      const module = (await import(`../../src/abi/${folder}/${file.replace('.ts', '.js')}`)) as object;
      for (const [name, value] of Object.entries(module)) all.set(name, value);
    }
  }
  return all;
}

/** Asks all questions. Returns the mismatches, and the exports that the headers know. */
function confront(command: string, questions: readonly Question[]): { wrong: string[]; known: Set<string> } {
  const answers = ask(
    command,
    questions.map(({ expression }) => expression),
  );
  const isAnswered = (_: Question, i: number): boolean => answers[i] !== null;
  const known = new Set(
    questions.filter((question, i) => question.root && isAnswered(question, i)).map(({ subject }) => subject),
  );
  const wrong = questions.flatMap(({ what, expected, subject }, i) => {
    const answer = answers[i] ?? null;
    if (answer === null) return known.has(subject) ? [`${what} is ${expected} here, unknown to gcc`] : [];
    const [ours, theirs] = [BigInt.asUintN(64, expected), BigInt.asUintN(64, answer)];
    return ours === theirs || theirs === changedLater[what]?.[0]
      ? []
      : [`${what} is ${expected} here, ${answer} by gcc`];
  });
  return { wrong, known };
}

describe("Xen's ABI compared with gcc", () => {
  let exports = new Map<string, unknown>();
  const knownTo = new Map<Arch, Set<string>>();

  before(async () => {
    exports = await declared();
  });

  it('exports all of its declarations from index.ts', () => {
    const behind = entryPoint as Record<string, unknown>;
    const outside = [...exports].filter(([name, value]) => behind[name] !== value);
    assert.deepEqual(
      outside.map(([name]) => name),
      [],
    );
  });

  it('names every struct as C does', () => {
    const forms = [...exports].flatMap(([name, value]) =>
      isPerArch(value) ? arches.map((arch) => [name, value[arch]] as const) : [[name, value] as const],
    );
    const misnamed = forms.flatMap(([name, form]) =>
      isStruct(form) && form.name !== name ? [`${name}: ${form.name}`] : [],
    );
    assert.deepEqual(misnamed, []);
  });

  for (const arch of arches) {
    const compiler = compilerFor(arch);
    const skip = 'missing' in compiler ? compiler.missing : false;
    it(`has gcc's layouts and values for ${arch}`, { skip }, () => {
      if ('missing' in compiler) return;
      const questions = [...exports].flatMap(([name, value]) => questionsAbout(name, value, arch));
      const { wrong, known } = confront(compiler.command, questions);
      knownTo.set(arch, known);
      assert.deepEqual(wrong, []);
      assert.ok(known.size > 400, `only ${known.size} of the declarations were found in the headers`);
    });
  }

  it('declares only names that the headers have or that are listed', (t) => {
    if (knownTo.size < arches.length || !hasPsciHeader) {
      t.skip('needs both compilers, libxen-dev and linux/psci.h');
      return;
    }
    const lacking = [...exports].filter(([name, value]) => {
      if (isNames(value) || typeof value === 'function') return false;
      const known = arches.filter((arch) => knownTo.get(arch)?.has(name));
      return isPerArch(value) ? known.length < arches.length : known.length === 0;
    });
    const unlisted = lacking
      .map(([name]) => name)
      .filter((name) => !notInHeaders.some(([re]) => re.test(name)));
    assert.deepEqual(unlisted, []);
  });

  it('lists only declared names as missing in the headers', () => {
    const idle = notInHeaders.filter(([pattern]) => ![...exports.keys()].some((name) => pattern.test(name)));
    assert.deepEqual(idle, []);
  });
});
