/** The command that repeats a boot, for advice that can be copied into a shell. */
import { shownLine } from '../render/shown_text.js';
import type { BootArguments } from './arguments.js';

/** The options that decide what is booted and when it ends, in the order in which they are printed. Output files are left out. */
const valued: readonly (readonly [
  Exclude<keyof BootArguments, 'xenstore' | 'json' | 'quiet' | 'bisect' | 'command'>,
  string,
])[] = [
  ['from', '--from'],
  ['kernel', '--kernel'],
  ['arch', '--arch'],
  ['type', '--type'],
  ['cpu', '--cpu'],
  ['initrd', '--initrd'],
  ['mirror', '--mirror'],
  ['cmdline', '--cmdline'],
  ['vcpus', '--vcpus'],
  ['memory', '--memory'],
  ['xen', '--xen'],
  ['seed', '--seed'],
  ['engine', '--engine'],
  ['entryVcpu', '--entry-vcpu'],
  ['until', '--until'],
  ['limit', '--limit'],
  ['onReboot', '--on-reboot'],
  ['onSoftReset', '--on-soft-reset'],
  ['unpack', '--unpack'],
  ['whatIf', '--what-if'],
  ['script', '--script'],
];

/** `word` quoted for a POSIX shell (Shell Command Language, 2.2.2). */
function shellWord(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${shownLine(text).replaceAll("'", String.raw`'\''`)}'`;
}

/** `domulator boot --quiet` with these arguments, without output files. */
export function commandText(args: BootArguments): string {
  const words = valued.flatMap(([name, option]) => {
    const value = args[name];
    return value === undefined ? [] : [option, shellWord(value)];
  });
  const command = args.command === undefined ? [] : ['--', ...args.command.map(shellWord)];
  const xenstore = args.xenstore ? [] : ['--no-xenstore'];
  return ['npx domulator boot --quiet', ...xenstore, ...words, ...command].join(' ');
}
