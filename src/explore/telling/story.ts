/**
 * A told story: a scenario, why it is told, and what its run gave. A story states no result: everything that is
 * said of one comes from the run.
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
  /** One line: what there is to be seen, and why it is worth it. */
  readonly why: string;
  readonly scenario: Scenario;
  /** Sentences worked out from the run, to be read after it. */
  afterword?(run: ModelRun): readonly string[];
}

/** A story and its run. */
export interface ToldStory {
  /** From 1, in the order of telling. */
  readonly number: number;
  /** The scenario's. */
  readonly name: string;
  readonly title: string;
  readonly why: string;
  readonly run: ModelRun;
  readonly sequence: Sequence;
  readonly tally: Tally;
  readonly afterword: readonly string[];
}

/** Runs the story. The same story gives the same value every time. */
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
    afterword: story.afterword?.(run) ?? [],
  };
}

/** The whole thread, in the order in which it happened. */
export function tellThread(): ToldStory[] {
  return stories.map((story, index) => tellStory(story, index + 1));
}
