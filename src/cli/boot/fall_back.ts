/** What to boot if the default kernel is not available, and advice for the user. */
import { defaultKernel, UnavailableError } from '../../library/index.js';
import type { BootRequest } from '../../library/index.js';
import { warn } from '../host.js';
import type { BootArguments } from './arguments.js';
import { commandText } from './command_text.js';

/**
 * A request for a kernel, a mirror or an initrd must not fall back to another kernel, and neither must a bisection, or a checkpoint
 * from which other runs go on.
 */
function wantsThatKernel({ bisect = false, ...args }: BootArguments): boolean {
  const { kernel, initrd, mirror, command, script, from, checkpoint } = args;
  return (
    bisect || [kernel, initrd, mirror, command, script, from, checkpoint].some((value) => value !== undefined)
  );
}

/**
 * If `error` says that the default kernel is not available: prints a notice and returns a request for the builtin guest. Else
 * throws `error`.
 */
export function fallBack(request: BootRequest, args: BootArguments, error: unknown): BootRequest {
  if (!(error instanceof UnavailableError) || wantsThatKernel(args)) throw error;
  warn(`${error.reason}; booting the builtin guest instead`);
  return { ...request, kernel: { kind: 'builtin' } };
}

/** The options for a machine with a network, or with a reachable mirror. */
export function helpWithKernel(args: BootArguments): string[] {
  const again = { ...args, kernel: defaultKernel };
  return [
    `This was not a Linux kernel: ${defaultKernel} was not available. With a network connection, or with a Debian mirror`,
    'that this machine can reach, boot it with',
    `  ${commandText(again)}`,
    `  ${commandText({ ...again, mirror: 'http://MIRROR/debian' })}`,
  ];
}
