/** The commands and what each prints. */
import { domulatorVersion, InputError } from '../base/index.js';
import { runMatrix, stories, tellStory, tellThread } from '../explore/index.js';
import type { ToldStory } from '../explore/index.js';
import { checkValue } from './option_values.js';
import { print, terminalStyle, writeUserFile } from './host.js';
import { jsonText } from './json.js';
import { matrixText } from './render/matrix_text.js';
import { threadHtml } from './render/thread_html.js';
import { threadText } from './render/thread_text.js';

export interface ThreadOptions {
  readonly json?: boolean;
  readonly html?: string;
  /** A number, starting with 1, or a scenario's name. */
  readonly story?: string;
}

function pickedStories(wanted: string | undefined): ToldStory[] {
  if (wanted === undefined) return tellThread();
  const index = stories.findIndex(
    ({ scenario }, at) => scenario.name === wanted || String(at + 1) === wanted,
  );
  const story = stories[index];
  if (story !== undefined) return [tellStory(story, index + 1)];
  throw new InputError(
    `no story '${wanted}'; give a number from 1 to ${stories.length} or a name that 'domulator thread' prints`,
  );
}

/** `domulator thread`. Throws InputError on an unknown story or a file that cannot be written. */
export function thread({ json = false, html, story }: ThreadOptions): void {
  checkValue('--story', story);
  checkValue('--html', html);
  if (json && html !== undefined)
    throw new InputError('--json and --html exclude each other; give one of them');
  const told = pickedStories(story);
  if (json) {
    print(jsonText({ domulator: domulatorVersion, stories: told }));
  } else if (html !== undefined) {
    writeUserFile(html, threadHtml(told));
    print(`wrote ${html}: ${told.length} ${told.length === 1 ? 'story' : 'stories'}; open it in a browser`);
  } else {
    print(threadText(told, terminalStyle()));
  }
}

export interface ExploreOptions {
  readonly matrix?: boolean;
  readonly json?: boolean;
}

/** `domulator explore`. Throws InputError if the arguments do not say what to explore. */
export function explore({ matrix = false, json = false }: ExploreOptions): void {
  if (!matrix) throw new InputError("explore needs to be told what to show; give '--matrix'");
  const result = runMatrix();
  print(
    json ? jsonText({ domulator: domulatorVersion, matrix: result }) : matrixText(result, terminalStyle()),
  );
}
