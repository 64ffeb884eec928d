/** A story's row in the overview table. */
import type { ToldStory } from '../../explore/index.js';
import { verdictOf } from './scenario_words.js';
import type { Tone } from './words.js';

export const glanceHead = ['', 'story', 'ends in', 'online', 'wrong ids', 'audit'] as const;

export interface GlanceRow {
  readonly number: number;
  readonly title: string;
  readonly outcome: string;
  /** `1 of 4`. */
  readonly online: string;
  /** Calls with a wrong id, and how many of them Xen accepted. */
  readonly wrong: string;
  readonly audit: string;
  readonly tone: Tone;
}

export function glanceOf({ number, title, run, tally }: ToldStory): GlanceRow {
  const last = Math.max(...run.cpus.map(({ kernel }) => kernel));
  const own = run.cpus.filter(({ kernel }) => kernel === last);
  const wrong = tally.refused + tally.silent;
  const { short, tone } = verdictOf(run);
  return {
    number,
    title,
    outcome: run.outcome,
    online: `${own.filter(({ online }) => online).length} of ${own.length}`,
    wrong: wrong === 0 ? 'none' : `${wrong} (${tally.silent} silent)`,
    audit: short,
    tone,
  };
}
