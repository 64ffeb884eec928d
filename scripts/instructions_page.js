// Writes docs/instructions.md from the instruction definitions: each mnemonic with the file that defines it, because
// many definitions come from tables and cannot be found by searching. Run it with `npm run docs:instructions` after a
// change to them. A test compares the page with the definitions.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';

const root = new URL('../', import.meta.url);

const intro = `# Instructions

Every instruction that the emulated CPUs define, by mnemonic, with the names of its encodings and the file that defines them. A
cold instruction is compiled only when a guest first needs it ([why](decisions/0012-handlers-give-up.md)). This page is generated
from the definitions (\`npm run docs:instructions\`); change the code, not the page.
`;

const arm64Intro = `## arm64

Names and sections are those of Arm's manual (DDI 0487).
`;

const x86Intro = `## x86-64

Opcodes are in the notation of Intel's manual (SDM, volume 2). Each encoding has a form for each operand size, for registers and
memory, and so on ([why](decisions/0018-one-definition-for-all-forms.md)).
`;

const isA64 = (value) => typeof value?.text === 'string' && typeof value.decodes === 'function';
const isX86 = (value) => typeof value?.text === 'string' && typeof value.encoding === 'object';

/** The files below `folder` (in src/) that contain definitions: paths without their suffix. */
function definitionFiles(folder) {
  return readdirSync(new URL(`src/${folder}/`, root), { withFileTypes: true }).flatMap((entry) => {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory()) return definitionFiles(path);
    const isSource = /^(?!index\.|test_)\w+\.ts$/.test(entry.name);
    return isSource ? [path.replace(/\.ts$/, '')] : [];
  });
}

/** What a module exports: itself, or for a group that is made when it is needed, what the function returns. */
function contents(value) {
  const isGroup = typeof value === 'function' && value.length === 0 && value.prototype === undefined;
  return isGroup ? value() : value;
}

/** Every instruction that a module exports, with the path of the module. */
async function definitionsIn(path, isInstruction) {
  const exported = Object.values(await import(new URL(`dist/src/${path}.js`, root)));
  return exported
    .map(contents)
    .flatMap((value) => (Array.isArray(value) ? value : [value]))
    .filter(isInstruction)
    .map((instruction) => ({ instruction, path }));
}

/** The definitions of `all`, with the files of `folder` that have them. */
async function definitionsOf(all, folder, isInstruction) {
  const files = definitionFiles(folder);
  const found = (await Promise.all(files.map((file) => definitionsIn(file, isInstruction)))).flat();
  const byName = new Map(found.map((definition) => [definition.instruction.name, definition]));
  return all.map((instruction) => {
    const definition = byName.get(instruction.name);
    if (definition === undefined) throw new Error(`no file exports ${instruction.name}`);
    return definition;
  });
}

/** The first section of the manual that the file's header names. */
function sectionOf(path) {
  const [header] = readFileSync(new URL(`src/${path}.ts`, root), 'utf8').split('*/');
  return /\b[CD]\d+(?:\.\d+)+/.exec(header)?.[0] ?? '';
}

const mnemonicOf = ({ text }) => text.split(/[\s{]/)[0];
const compare = (a, b) => (a < b ? -1 : a > b ? 1 : 0);

function grouped(items, keyOf) {
  const groups = new Map();
  for (const item of items) groups.set(keyOf(item), [...(groups.get(keyOf(item)) ?? []), item]);
  return [...groups].sort(([a], [b]) => compare(a, b));
}

function rowsOf(mnemonic, definitions) {
  return grouped(definitions, ({ path }) => path).map(([path, inFile]) => {
    const names = inFile.map(({ instruction: { name, cold } }) => `${name}${cold ? ' (cold)' : ''}`);
    const file = `[${path.replace('isa/arm64/', '')}.ts](../src/${path}.ts)`;
    return `| \`${mnemonic}\` | ${file} | ${sectionOf(path)} | ${names.sort(compare).join(', ')} |`;
  });
}

/** An encoding of x86-64: its opcode, and whether all its forms in 64-bit code are cold. */
function x86Row(mnemonic, definitions) {
  const byEncoding = new Map();
  for (const definition of definitions) {
    const { encoding } = definition.instruction;
    byEncoding.set(encoding, [...(byEncoding.get(encoding) ?? []), definition]);
  }
  const opcodes = [...byEncoding].map(([encoding, forms]) => {
    const isCold = forms.every(({ instruction }) => instruction.cold);
    return `${encoding.name} (\`${encoding.opcode.text}\`${isCold ? ', cold' : ''})`;
  });
  const [{ path }] = definitions;
  const file = `[${path.replace('isa/x86_64/', '')}.ts](../src/${path}.ts)`;
  return `| \`${mnemonic}\` | ${file} | ${opcodes.join(', ')} |`;
}

/** The page for the instructions of both architectures. */
export async function instructionsPage(a64, x86) {
  const arm64 = await definitionsOf(a64, 'isa/arm64', isA64);
  const arm64Rows = grouped(arm64, ({ instruction }) => mnemonicOf(instruction)).flatMap(
    ([mnemonic, group]) => rowsOf(mnemonic, group),
  );
  const arm64Head = ['| mnemonic | file | section | encodings |', '|---|---|---|---|'];
  const x86Definitions = await definitionsOf(x86, 'isa/x86_64', isX86);
  const x86Mnemonic = ({ instruction: { encoding } }) => encoding.name.split('_')[0].toLowerCase();
  const x86Rows = grouped(x86Definitions, x86Mnemonic).map(([mnemonic, group]) => x86Row(mnemonic, group));
  const x86Head = ['| mnemonic | file | encodings |', '|---|---|---|'];
  const parts = [intro, arm64Intro, ...arm64Head, ...arm64Rows, '', x86Intro, ...x86Head, ...x86Rows];
  return parts.join('\n') + '\n';
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const { a64 } = await import('../dist/src/isa/index.js');
  const x86_64 = await import('../dist/src/isa/x86_64/index.js');
  writeFileSync(new URL('docs/instructions.md', root), await instructionsPage(a64(), x86_64.x86));
  console.log(`docs/instructions.md: ${a64().length} and ${x86_64.x86.length} instructions`);
}
