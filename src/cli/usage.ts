/** Messages about invalid arguments. */
import type { Command, CommanderError } from 'commander';

/** Commander's error message as one line that says what to do. */
export function usageLine(
  { message, code }: CommanderError,
  program: Command,
  args: readonly string[],
): string {
  // `domulator help NAME` for an unknown command: Commander would print the whole help instead.
  if (code === 'commander.help') return `unknown command '${args.at(-1) ?? ''}'; see 'domulator --help'`;
  const command = program.commands.find((each) => each.name() === args[0]);
  const help = command === undefined ? "see 'domulator --help'" : `see 'domulator ${command.name()} --help'`;
  if (code === 'commander.excessArguments' && command !== undefined) {
    const declared = command.registeredArguments;
    const excess = `'${command.args[declared.length] ?? ''}'`;
    if (command.name() === 'boot') return `boot takes no ${excess}; name a kernel with --kernel, or ${help}`;
    const [only] = declared;
    return only === undefined
      ? `${command.name()} takes no ${excess}; ${help}`
      : `${command.name()} takes one ${only.name().toUpperCase()}, but got ${excess} too; ${help}`;
  }
  const [first = '', suggestion = ''] = message.replace(/^error: /, '').split(/\n\(Did you mean /);
  return `${first}; ${suggestion === '' ? help : `did you mean ${suggestion.replace(/\)$/, '')}`}`;
}
