/**
 * A told story: a scenario, the reason to show it, and the result of its run. A story states no result: all results
 * come from the run.
 */
import type { ModelRun, Scenario } from '../scenario.js';
import { runScenario } from '../run.js';
import { sequenceOf } from './sequence.js';
import type { Sequence } from './sequence.js';
import { stories } from './stories/index.js';
import { tallyOf } from './tally.js';
import type { Tally } from './tally.js';

export interface Story {
  readonly title: string;
  /** One line: what the story shows, and why it matters. */
  readonly why: string;
  readonly scenario: Scenario;
  /** The arguments of `domulator` that show the same on a stock kernel, where one can show it. */
  readonly onStock?: string;
  /** Sentences computed from the run, shown after it. */
  afterword?(run: ModelRun): readonly string[];
}

/** A story and its run. */
export interface ToldStory {
  /** Number of the story, from 1. */
  readonly number: number;
  /** The scenario's. */
  readonly name: string;
  readonly title: string;
  readonly why: string;
  readonly run: ModelRun;
  readonly sequence: Sequence;
  readonly tally: Tally;
  /** The arguments of `domulator` that show the same on a stock kernel; null where none can show it. */
  readonly onStock: string | null;
  readonly afterword: readonly string[];
}

/** Runs the story. The same story always gives the same value. */
export function tellStory(story: Story, number: number): ToldStory {
  const run = runScenario(story.scenario);
  return {
    number,
    name: story.scenario.name,
    title: story.title,
    why: story.why,
    run,
    sequence: sequenceOf(run),
    tally: tallyOf(run),
    onStock: story.onStock ?? null,
    afterword: story.afterword?.(run) ?? [],
  };
}

/** The whole thread, in the order in which it happened. */
export function tellThread(): ToldStory[] {
  return stories.map((story, index) => tellStory(story, index + 1));
}
