/** Which of a guest's consoles is the one that people mean: a guest with xenstore has two, and Linux may write to both. */
import type { GuestConsole } from '../machine/index.js';

/**
 * The console that the kernel makes /dev/console: the last that its command line names (Linux
 * Documentation/admin-guide/serial-console.rst). The UART where it names none.
 */
export function mainConsoleOf(commandLine: string): GuestConsole {
  const names = [...commandLine.matchAll(/(?:^|\s)console=(\w+)/g)].map(([, name]) => name);
  return names.at(-1)?.startsWith('hvc') === true ? 'pvConsole' : 'uart';
}
