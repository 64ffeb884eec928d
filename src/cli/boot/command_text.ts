/** The command that would run a boot again, for advice that can be copied into a shell. */
import { shownLine } from '../render/shown_text.js';
import type { BootArguments } from './arguments.js';

/** Those that say what is booted and when it ends, in the order in which they are written. Outputs are the first run's. */
const valued: readonly (readonly [
  Exclude<keyof BootArguments, 'xenstore' | 'json' | 'quiet' | 'bisect' | 'command'>,
  string,
])[] = [
  ['kernel', '--kernel'],
  ['initrd', '--initrd'],
  ['mirror', '--mirror'],
  ['cmdline', '--cmdline'],
  ['vcpus', '--vcpus'],
  ['memory', '--memory'],
  ['xen', '--xen'],
  ['seed', '--seed'],
  ['entryVcpu', '--entry-vcpu'],
  ['until', '--until'],
  ['limit', '--limit'],
  ['whatIf', '--what-if'],
  ['script', '--script'],
];

/** A word as a POSIX shell takes it for one (Shell Command Language, 2.2.2). */
function shellWord(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${shownLine(text).replaceAll("'", String.raw`'\''`)}'`;
}

/** `domulator boot` with these arguments but for its outputs, and quiet. */
export function commandText(args: BootArguments): string {
  const words = valued.flatMap(([name, option]) => {
    const value = args[name];
    return value === undefined ? [] : [option, shellWord(value)];
  });
  const command = args.command === undefined ? [] : ['--', ...args.command.map(shellWord)];
  const xenstore = args.xenstore ? [] : ['--no-xenstore'];
  return ['npx domulator boot --quiet', ...xenstore, ...words, ...command].join(' ');
}
