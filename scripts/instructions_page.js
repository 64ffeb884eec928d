// Writes docs/instructions.md from the instruction definitions: each mnemonic with the file that defines it, because
// many definitions come from tables and cannot be found by searching. Run it with `npm run docs:instructions` after a
// change to them. A test compares the page with the definitions.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';

const root = new URL('../', import.meta.url);

const intro = `# Instructions

Every instruction that the emulated arm64 CPU defines, by mnemonic, with its encodings' names in Arm's manual (DDI 0487) and
the file that defines them. A cold instruction is compiled only when a guest first needs it
([why](decisions/0012-handlers-give-up.md)). This page is generated from the definitions (\`npm run docs:instructions\`);
change the code, not the page.
`;

const isInstruction = (value) => typeof value?.text === 'string' && typeof value.decodes === 'function';

/** The files below `folder` (in src/) that contain definitions: paths without their suffix. */
function definitionFiles(folder) {
  return readdirSync(new URL(`src/${folder}/`, root), { withFileTypes: true }).flatMap((entry) => {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory()) return definitionFiles(path);
    const isSource = /^(?!index\.|test_)\w+\.ts$/.test(entry.name);
    return isSource ? [path.replace(/\.ts$/, '')] : [];
  });
}

/** Every instruction that a module exports, with the path of the module. */
async function definitionsIn(path) {
  const exported = Object.values(await import(new URL(`dist/src/${path}.js`, root)));
  return exported
    .flatMap((value) => (Array.isArray(value) ? value : [value]))
    .filter(isInstruction)
    .map((instruction) => ({ instruction, path }));
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

/** The page for the instructions of `all`, whose definitions are in the files of isa/arm64. */
export async function instructionsPage(all) {
  const found = (await Promise.all(definitionFiles('isa/arm64').map(definitionsIn))).flat();
  const byName = new Map(found.map((definition) => [definition.instruction.name, definition]));
  const definitions = all.map((instruction) => {
    const definition = byName.get(instruction.name);
    if (definition === undefined) throw new Error(`no file exports ${instruction.name}`);
    return definition;
  });
  const rows = grouped(definitions, ({ instruction }) => mnemonicOf(instruction)).flatMap(
    ([mnemonic, group]) => rowsOf(mnemonic, group),
  );
  const head = ['| mnemonic | file | section | encodings |', '|---|---|---|---|'];
  return [intro, ...head, ...rows].join('\n') + '\n';
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const { a64 } = await import('../dist/src/isa/index.js');
  writeFileSync(new URL('docs/instructions.md', root), await instructionsPage(a64));
  console.log(`docs/instructions.md: ${a64.length} instructions`);
}
