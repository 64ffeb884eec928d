/** The thread as one self-contained page: it can be opened from disk and uses no network. */
import type { ToldStory } from '../../explore/index.js';
import { cpuTable } from './cpu_table.js';
import { brokenRules } from './findings.js';
import { glanceHead, glanceOf } from './glance.js';
import { markup } from './markup.js';
import type { Content, Markup } from './markup.js';
import { styleSheet } from './page_style.js';
import { scenarioText, strategyText, verdictOf } from './scenario_words.js';
import { legendSigns, sequenceSvg } from './sequence_svg.js';
import { intro } from './thread_text.js';
import { phraseOf } from './words.js';

function anchor({ name }: ToldStory): string {
  return `story-${name.replace(/[^a-z0-9]+/gi, '-')}`;
}

function headRow(names: readonly string[]): Markup {
  return markup`<tr>${names.map((name) => markup`<th scope="col">${name}</th>`)}</tr>`;
}

function glanceRow(story: ToldStory): Markup {
  const { number, title, outcome, online, wrong, audit, tone } = glanceOf(story);
  return markup`<tr><td>${number}</td><td class="wide"><a href="#${anchor(story)}">${title}</a></td><td>${outcome}</td>
<td>${online}</td><td>${wrong}</td><td><span class="pill ${tone}">${audit}</span></td></tr>
`;
}

function glance(stories: readonly ToldStory[]): Markup {
  return markup`<section class="card" aria-labelledby="glance"><h2 id="glance">All stories at a glance</h2>
<div class="scroll" tabindex="0" role="region" aria-labelledby="glance"><table><thead>${headRow(glanceHead)}</thead>
<tbody>${stories.map(glanceRow)}</tbody></table></div></section>
`;
}

function legend(): Markup {
  const items = legendSigns.map(
    ([
      sign,
      text,
    ]) => markup`<li><svg width="24" height="24" viewBox="0 0 24 24" aria-hidden="true">${sign}</svg>${text}</li>
`,
  );
  return markup`<section class="card" aria-labelledby="legend"><h2 id="legend">How to read the drawings</h2>
<p>Each real vCPU has a lane, and Xen has one. Time runs downwards. Xen’s answer is shown beside each call:
<span class="pill good">0</span> to a right id, <span class="pill bad">-ENOENT</span> or another error when it refused,
<span class="pill silent">0</span> to a wrong id that it accepted silently.</p>
<ul class="legend">${items}</ul></section>
`;
}

/** A sequence as text, for readers who cannot see the drawing. */
function sequenceList({ sequence }: ToldStory): Markup[] {
  return sequence.items.map((item) => {
    const { text, answer, remark } = phraseOf(item);
    const who = item.kind === 'call' || item.kind === 'start' ? `vCPU ${item.from}: ` : '';
    const end = [answer === null ? '' : ` Xen answers ${answer}.`, remark === '' ? '' : ` ${remark}.`].join(
      '',
    );
    return markup`<li>${who}${text}.${end}</li>
`;
  });
}

function figure(story: ToldStory): Markup {
  return markup`<figure><div class="scroll" tabindex="0" role="group" aria-label="Sequence of calls: ${story.title}">
${sequenceSvg(story.sequence)}</div>
<figcaption><details><summary>The same as a list</summary><ol>${sequenceList(story)}</ol></details></figcaption></figure>
`;
}

function cpus({ run }: ToldStory): Markup {
  const { kernel, head, lines } = cpuTable(run);
  const bad = (text: string): Markup => markup`<span class="bad">${text}</span>`;
  const rows = lines.map((line) => {
    const recorded: Content = line.isTrue === false ? bad(`${line.recorded} (wrong)`) : line.recorded;
    const online: Content = line.online ? 'yes' : bad('no');
    return markup`<tr><th scope="row">${line.cpu}</th><td class="mono">${line.hardwareId}</td><td>${line.vcpu}</td>
<td>${recorded}</td><td>${online}</td></tr>
`;
  });
  return markup`<h3>CPUs, as the ${kernel} counts them</h3><div class="scroll"><table><thead>${headRow(head)}</thead>
<tbody>${rows}</tbody></table></div>
`;
}

function audit({ run }: ToldStory): Markup {
  const broken = brokenRules(run.findings);
  if (broken.length === 0) return markup`<p class="good">The audit finds no broken rule.</p>`;
  const items = broken.map(
    ({ rule, times, first }) => markup`<li><code>${rule}</code> ×${times}: ${first}</li>
`,
  );
  return markup`<p>Rules that the audit finds broken, each with its first occurrence:</p><ul>${items}</ul>`;
}

/** A sentence whose answers (`-ENOENT`) are not broken at the hyphen. */
function sentence(text: string): Markup {
  const parts = text.split(/(-E[A-Z0-9]+)/);
  return markup`<p>${parts.map((part, i) => (i % 2 === 0 ? part : markup`<span class="whole">${part}</span>`))}</p>`;
}

function ending(story: ToldStory): Markup {
  const { run, afterword } = story;
  return markup`<h3>What became of the guest</h3><div class="ending ${verdictOf(run).tone}">
<p><strong>${run.outcome}</strong>: ${run.ending}</p>
${audit(story)}
${afterword.map(sentence)}</div>
`;
}

function article(story: ToldStory): Markup {
  const { number, title, why, run, name, onStock } = story;
  const command =
    onStock === null
      ? []
      : [
          markup`
<dt>On a stock kernel</dt><dd><code>npx domulator ${onStock}</code></dd>`,
        ];
  return markup`<article class="card" id="${anchor(story)}">
<h2><span class="number">${number}.</span> ${title}</h2>
<p class="why">${why}</p>
<dl class="facts"><dt>Guest</dt><dd>${scenarioText(run.scenario)}</dd><dt>Kernel</dt><dd>${strategyText(run.scenario)}</dd>
<dt>Name</dt><dd><code>${name}</code></dd>${command}</dl>
${figure(story)}${cpus(story)}${ending(story)}</article>
`;
}

const title = 'Which vCPU is this? The Linux thread of 2016, replayed';

/** The whole page. */
export function threadHtml(stories: readonly ToldStory[]): string {
  return markup`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>${title}</title><style>${styleSheet}</style></head>
<body><main>
<header><h1>${title}</h1>
${intro.map((text) => markup`<p class="lead">${text}</p>`)}</header>
${legend()}${stories.length > 1 && glance(stories)}${stories.map(article)}
<footer>Written by domulator. Everything on this page was worked out by running the model guests; nothing was
fetched.</footer>
</main></body></html>
`.text;
}
