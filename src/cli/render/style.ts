/** Colours and widths of the terminal. Colour is never the only carrier of information. */
import picocolors from 'picocolors';
import type { Tone } from './words.js';

export interface Style {
  /** Maximum number of columns in a line. */
  readonly width: number;
  readonly heading: (text: string) => string;
  readonly dim: (text: string) => string;
  readonly strong: (text: string) => string;
  readonly tone: (tone: Tone, text: string) => string;
}

/** Without `colour`, texts are returned unchanged. */
export function createStyle(colour: boolean, width: number): Style {
  // Always with an argument: otherwise picocolors reads the environment itself.
  const colours = colour ? picocolors.createColors(true) : picocolors.createColors(false);
  const tones = { good: colours.green, bad: colours.red, silent: colours.yellow, plain: String };
  return {
    width,
    heading: (text) => colours.bold(colours.cyan(text)),
    dim: colours.dim,
    strong: colours.bold,
    tone: (tone, text) => tones[tone](text),
  };
}

function fits(line: string, word: string, width: number): boolean {
  return line === '' || line.length + 1 + word.length <= width;
}

/** `text` in lines of at most `width` characters, broken at spaces; a longer word has its own line. */
export function wrap(text: string, width: number): string[] {
  const lines = [''];
  for (const word of text.split(' ')) {
    const line = lines.at(-1) ?? '';
    if (fits(line, word, width)) lines[lines.length - 1] = line === '' ? word : `${line} ${word}`;
    else lines.push(word);
  }
  return lines.map((line) => line.trimEnd());
}

/** `text` wrapped, its first line after `label` and the others below it. */
export function labelled(label: string, text: string, width: number): string[] {
  const [first = '', ...rest] = wrap(text, width - label.length);
  return [`${label}${first}`, ...rest.map((line) => ' '.repeat(label.length) + line)];
}

/** A command for a shell, indented: a line that is continued ends with a backslash, so that it can be pasted. */
export function commandLines(command: string, width: number): string[] {
  const lines = wrap(command, width - 6);
  return lines.map((line, at) => `${at === 0 ? '  ' : '    '}${line}${at < lines.length - 1 ? ' \\' : ''}`);
}
