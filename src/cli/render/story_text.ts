/** A told story on the terminal. */
import type { Sequence, ToldStory } from '../../explore/index.js';
import { cpuTable } from './cpu_table.js';
import type { CpuLine } from './cpu_table.js';
import { brokenRules } from './findings.js';
import { scenarioText, strategyText } from './scenario_words.js';
import { sequenceLines } from './sequence_text.js';
import { commandLines, labelled, wrap } from './style.js';
import type { Style } from './style.js';
import { tableLines } from './table.js';

function headingLines({ number, title, name }: ToldStory, style: Style): string[] {
  const text = `${number}. ${title}`;
  const rule = '─'.repeat(Math.max(0, style.width - text.length - name.length - 3));
  return [`${style.heading(text)} ${style.dim(`${rule} ${name}`)}`];
}

function introLines({ why, run }: ToldStory, style: Style): string[] {
  return [
    ...wrap(why, style.width).map(style.strong),
    ...labelled('Guest:  ', scenarioText(run.scenario), style.width),
    ...labelled('Kernel: ', strategyText(run.scenario), style.width),
  ];
}

function cpuCells(line: CpuLine, style: Style): string[] {
  const wrong = line.isTrue === false;
  return [
    line.cpu,
    line.hardwareId,
    line.vcpu,
    wrong ? style.tone('bad', `${line.recorded} ✗`) : line.recorded,
    line.online ? 'yes' : style.tone('bad', 'no'),
  ];
}

function cpuTableLines(story: ToldStory, style: Style): string[] {
  const { kernel, head, lines } = cpuTable(story.run);
  const table = tableLines(
    head,
    lines.map((line) => cpuCells(line, style)),
  );
  return [style.dim(`CPUs, as the ${kernel} counts them:`), ...table];
}

function verdictLines({ run, onStock, afterword }: ToldStory, style: Style): string[] {
  const broken = brokenRules(run.findings);
  const tone = broken.length === 0 ? 'good' : 'bad';
  const ending = labelled('Ending: ', `${run.outcome}: ${run.ending}`, style.width);
  const audit =
    broken.length === 0
      ? ['Audit:  no rule is broken']
      : labelled(
          'Audit:  ',
          `broken: ${broken.map(({ rule, times }) => `${rule} ×${times}`).join(', ')}`,
          style.width,
        );
  const examples = broken.slice(0, 2).flatMap(({ rule, first }) => {
    return labelled(`        ${rule}: `, first, style.width);
  });
  return [
    ...ending.map(style.strong),
    ...audit.map((line) => style.tone(tone, line)),
    ...examples,
    ...afterword.flatMap((sentence) => labelled('        ', sentence, style.width)),
    ...(onStock === null
      ? []
      : ['On a stock kernel:', ...commandLines(`npx domulator ${onStock}`, style.width)]),
  ];
}

/** The lines below the diagram: the outcome of the guest. */
function withoutEnd(sequence: Sequence): Sequence {
  return { ...sequence, items: sequence.items.filter(({ kind }) => kind !== 'end') };
}

/** The story: heading, reason, diagram, CPUs, outcome. */
export function storyLines(story: ToldStory, style: Style): string[] {
  return [
    ...headingLines(story, style),
    ...introLines(story, style),
    '',
    ...sequenceLines(withoutEnd(story.sequence), style),
    '',
    ...cpuTableLines(story, style),
    '',
    ...verdictLines(story, style),
  ];
}
