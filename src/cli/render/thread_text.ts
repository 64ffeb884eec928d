/** The whole thread on the terminal: an introduction, how to read it, an overview of all stories, then each story. */
import type { ToldStory } from '../../explore/index.js';
import { glanceHead, glanceOf } from './glance.js';
import { storyLines } from './story_text.js';
import { wrap } from './style.js';
import type { Style } from './style.js';
import { tableLines } from './table.js';

/** Two introductory sentences for a reader who does not know the subject. */
export const intro = [
  'A Xen guest names its CPUs in hypercalls by their Xen vCPU ids, and for years Linux passed its own CPU numbers there: the two are equal until a crash kernel boots on a CPU other than 0.',
  'In 2016 a patch gave Linux a per-CPU map from its CPU numbers to Xen vCPU ids, and the mailing list discussed what that means on Arm. The stories below replay that thread: small model guests make the hypercalls of Linux against a hypervisor core that answers as Xen does, and an audit works out which id each call should carry.',
];

export const legend = [
  'v0, v1 ... the real vCPUs   ● makes the call   ▶ ◀ to Xen, or to a vCPU that is started',
  '◆ named in the call, and meant   ✗ named or reached, and not meant   → what Xen answered',
  '▲ a kernel enters, or a CPU comes online   ▼ a CPU goes offline   ═ Xen resets the whole guest',
  'SILENT: a wrong id that Xen accepted silently',
];

function glance(stories: readonly ToldStory[], style: Style): string[] {
  const rows = stories.map((story) => {
    const { number, title, outcome, online, wrong, audit, tone } = glanceOf(story);
    return [String(number), title, outcome, online, wrong, style.tone(tone, audit)];
  });
  const others = [4, 11, 10, 15, 23];
  const [first = 0, ...rest] = others;
  const titleWidth = style.width - others.reduce((sum, width) => sum + width, 0);
  return tableLines(glanceHead, rows, [first, titleWidth, ...rest]);
}

function topLines(stories: readonly ToldStory[], style: Style): string[] {
  return [
    style.heading('domulator: which vCPU is this? The Linux thread of 2016, replayed'),
    '',
    ...intro.flatMap((sentence) => wrap(sentence, style.width)),
    '',
    ...legend.flatMap((text) => wrap(text, style.width)).map(style.dim),
    '',
    ...(stories.length > 1 ? [...glance(stories, style), ''] : []),
  ];
}

/** The page for the terminal; ends with a line end. */
export function threadText(stories: readonly ToldStory[], style: Style): string {
  const parts = stories.flatMap((story) => [...storyLines(story, style), '']);
  return [...topLines(stories, style), ...parts.slice(0, -1)].join('\n');
}
