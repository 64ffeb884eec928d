/** What is booted where the default kernel cannot be had, and what would help. */
import { defaultKernel, UnavailableError } from '../../library/index.js';
import type { BootRequest } from '../../library/index.js';
import { warn } from '../host.js';
import type { BootArguments } from './arguments.js';
import { commandText } from './command_text.js';

/** Whoever asked for a kernel, a mirror or an initrd wants that one; and a bisection must not take another kernel's word. */
function wantsThatKernel({ bisect = false, ...args }: BootArguments): boolean {
  const { kernel, initrd, mirror, command, script } = args;
  return bisect || [kernel, initrd, mirror, command, script].some((value) => value !== undefined);
}

/** The request for the builtin guest, after saying so, where `error` is that the default kernel cannot be had; else throws it. */
export function fallBack(request: BootRequest, args: BootArguments, error: unknown): BootRequest {
  if (!(error instanceof UnavailableError) || wantsThatKernel(args)) throw error;
  warn(`${error.reason}; booting the builtin guest instead`);
  return { ...request, kernel: 'builtin' };
}

/** What to give where there is a network, or a mirror that can be reached. */
export function helpWithKernel(args: BootArguments): string[] {
  const again = { ...args, kernel: defaultKernel };
  return [
    `This was not a Linux kernel: ${defaultKernel} was not available. With a network connection, or with a Debian mirror`,
    'that this machine can reach, boot it with',
    `  ${commandText(again)}`,
    `  ${commandText({ ...again, mirror: 'http://MIRROR/debian' })}`,
  ];
}
