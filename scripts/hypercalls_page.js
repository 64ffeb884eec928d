// Writes docs/hypercalls.md from the hypervisor's table of hypercalls. Run it with `npm run docs:hypercalls` after a
// change to a hypercall. A test compares the page with the table.
import { writeFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';

const intro = `# Hypercalls

What the hypervisor core answers, family by family. This page is generated from \`hypercallTable\`
(\`npm run docs:hypercalls\`); change the code, not the page.

Each operation's errors stand in the order in which Xen checks for them, so the first that applies is the answer. A
release in brackets means that only that release answers so. A hypercall that is not listed is answered with -ENOSYS;
an unknown command of one that is, as Xen answers it in that family.
`;

const cell = (text) => text.replaceAll('|', '\\|').replaceAll('\n', ' ');

function errorText({ error, when, releases }) {
  const only = releases === undefined ? '' : ` (${releases.join(', ')})`;
  return `-${error.replace('XEN_', '')}${only}: ${when}`;
}

function operationLines({ name, command, source, errors }) {
  const list = errors.length === 0 ? ['No errors.'] : errors.map((row, i) => `${i + 1}. ${errorText(row)}`);
  return [`### ${name}`, '', `Command ${command}. Source: ${source}.`, '', ...list, ''];
}

function familyLines({ name, number, operations }) {
  return [`## ${name}`, '', `Hypercall ${number}.`, '', ...operations.flatMap(operationLines)];
}

/** The page for a table. */
export function hypercallsPage(table) {
  const families = [...table].sort((a, b) => a.number - b.number);
  const rows = families.map(
    ({ name, number, operations }) =>
      `| ${number} | [${name}](#${name.toLowerCase()}) | ${cell(operations.map((operation) => `\`${operation.name}\``).join(', '))} |`,
  );
  const overview = ['| number | family | operations |', '|---|---|---|', ...rows, ''];
  return [intro, ...overview, ...families.flatMap(familyLines)].join('\n').trimEnd() + '\n';
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const { hypercallTable } = await import('../dist/src/hypervisor/index.js');
  writeFileSync(new URL('../docs/hypercalls.md', import.meta.url), hypercallsPage(hypercallTable));
  console.log(`docs/hypercalls.md: ${hypercallTable.length} families`);
}
