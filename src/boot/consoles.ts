/** Selects the main console of a guest: a guest with xenstore has two, and Linux may write to both. */
import type { GuestConsole } from '../machine/index.js';

/**
 * The console that becomes /dev/console: the last one that the command line names (Linux
 * Documentation/admin-guide/serial-console.rst), or the UART if it names none.
 */
export function mainConsoleOf(commandLine: string): GuestConsole {
  const names = [...commandLine.matchAll(/(?:^|\s)console=(\w+)/g)].map(([, name]) => name);
  return names.at(-1)?.startsWith('hvc') === true ? 'pvConsole' : 'uart';
}
