/**
 * console_io(cmd, count, buffer): Xen's own console. A release build of Xen denies it to a domU, except to one that Xen
 * built itself from the host's device tree.
 */
import {
  __HYPERVISOR_console_io,
  CONSOLEIO_read,
  CONSOLEIO_write,
  XEN_E2BIG,
  XEN_EFAULT,
  XEN_ENOSYS,
  XEN_EPERM,
} from '../../abi/index.js';
import type { Domain } from '../domain.js';
import { plainOperation } from '../hypercall.js';
import type { HypercallContext, ErrorRow, HypercallFamily } from '../hypercall.js';
import { copyFromGuest } from '../physmap.js';

const source = 'Xen 4.17 drivers/char/console.c, do_console_io; include/xsm/dummy.h, xsm_console_io';

function mayRead({ state }: Domain): boolean {
  return state.config.consoleIo === 'allowed';
}

function mayWrite(domain: Domain): boolean {
  return mayRead(domain) || domain.state.config.consoleIo === 'write';
}

/** The second argument, a count of bytes: 32 bits, unsigned. */
function countOf({ args }: HypercallContext): number {
  return Number(BigInt.asUintN(32, args[1] ?? 0n));
}

/** Xen copies the text in pieces of at most this size; each piece ends at its first newline. */
const pieceBytes = 127;
/** Size of Xen's buffer for an incomplete line; one less is used (DOMAIN_PBUF_SIZE). */
const lineBytes = 199;
/** Maximum number of characters kept for a host that does not read them. */
const logBytes = 16384;
/** The number of bytes after which the call is interrupted and repeated for the rest; Xen does so when other work is due. */
const interruptBytes = 8192;

/** Xen's isprint, for its own character table: Latin-1 (xen/common/ctype.c). */
function isPrintable(byte: number): boolean {
  return (byte >= 0x20 && byte <= 0x7e) || byte >= 0xa0;
}

/**
 * Adds a piece to the domain's line; a newline or the maximum length ends it. Returns the number of bytes used
 * (guest_console_write).
 */
function writePiece({ state }: Domain, piece: Uint8Array): number {
  const newline = piece.indexOf(0x0a);
  const text = newline < 0 ? piece : piece.subarray(0, newline);
  const kept = Array.from(text).filter((byte) => isPrintable(byte) || byte === 0x09);
  const console = state.xenConsole;
  const line = console.line + String.fromCharCode(...kept);
  if (newline < 0 && line.length < lineBytes) console.line = line;
  else endLine(state.xenConsole, line);
  return newline < 0 ? piece.length : newline + 1;
}

function endLine(console: Domain['state']['xenConsole'], line: string): void {
  console.line = '';
  console.lines.push(line);
  let length = console.lines.reduce((sum, each) => sum + each.length + 1, 0);
  while (length > logBytes) length -= (console.lines.shift()?.length ?? 0) + 1;
}

/** Adds text to the domain's line on Xen's console, whoever may write to it by console_io. */
export function writeXenConsole(domain: Domain, text: Uint8Array): void {
  for (let done = 0; done < text.length;) {
    done += writePiece(domain, text.subarray(done, done + pieceBytes));
  }
}

/** Takes the lines that the guest has written to Xen's console, without newlines; each character is one byte. */
export function takeXenConsole({ state }: Domain): string[] {
  const { lines } = state.xenConsole;
  state.xenConsole.lines = [];
  return lines;
}

const mayNot: ErrorRow = {
  error: 'XEN_EPERM',
  when: 'the domain is unprivileged, unless DomainConfig.consoleIo says otherwise',
};

const write = plainOperation({
  name: 'CONSOLEIO_write',
  command: CONSOLEIO_write,
  source,
  errors: [mayNot, { error: 'XEN_EFAULT', when: 'the text cannot be read; what came before is written' }],
  body: (context) => {
    const { domain, cpu, caller, args } = context;
    if (!mayWrite(domain)) return -XEN_EPERM;
    const count = countOf(context);
    const detail = { count };
    let done = 0;
    while (done < count && done < interruptBytes) {
      const address = BigInt.asUintN(64, (args[2] ?? 0n) + BigInt(done));
      const piece = copyFromGuest(domain, cpu, caller.id, address, Math.min(count - done, pieceBytes));
      if (piece === null) return { returned: -XEN_EFAULT, detail };
      done += writePiece(domain, piece);
    }
    if (done === count) return { returned: 0, detail };
    const rest = [BigInt(CONSOLEIO_write), BigInt(count - done), (args[2] ?? 0n) + BigInt(done)];
    return { returned: 0, detail, again: rest.map((value) => BigInt.asUintN(64, value)) };
  },
});

/** Input at Xen's console goes only to the hardware domain or to an emulated UART, so there is never any. */
const read = plainOperation({
  name: 'CONSOLEIO_read',
  command: CONSOLEIO_read,
  source,
  errors: [
    {
      error: 'XEN_EPERM',
      when: 'the domain is unprivileged, unless DomainConfig.consoleIo is `allowed`',
    },
    { error: 'XEN_E2BIG', when: 'the count is 2^31 or more' },
  ],
  body: (context) => {
    if (!mayRead(context.domain)) return -XEN_EPERM;
    return countOf(context) > 0x7fff_ffff ? -XEN_E2BIG : 0;
  },
});

export const console_io: HypercallFamily = {
  name: 'console_io',
  number: __HYPERVISOR_console_io,
  argumentRegister: 2,
  operations: [write, read],
  unknown: ({ domain }) => (mayRead(domain) ? -XEN_ENOSYS : -XEN_EPERM),
};
