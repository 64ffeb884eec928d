/**
 * The text that ACPICA's acpidump prints (source/tools/acpidump and acpixtract): for each table a line with its
 * signature and address, then lines of an offset, up to 16 bytes in hex and the same bytes as characters:
 *
 *     APIC @ 0x000000007FFE22BB
 *         0000: 41 50 49 43 90 00 00 00 01 2D 42 4F 43 48 53 20  APIC.....-BOCHS
 *
 * The text comes from anybody: reading it never throws anything but InputError.
 */
import { InputError } from '../../base/index.js';

/** A table of a dump. */
export interface DumpedTable {
  /** As its heading says: `APIC`, `SSDT`, `RSD PTR `. */
  readonly signature: string;
  readonly bytes: Uint8Array;
}

const heading = /^\s*(\S.{2,6}\S) {0,2}@ 0x[0-9A-Fa-f]{1,16}\s*$/;
const row = /^\s*([0-9A-Fa-f]{1,8}): ?((?:[0-9A-Fa-f]{2} ){0,15}[0-9A-Fa-f]{2})(?: {2,}.*| ?)$/;
/** How many bytes are looked at to tell text from a table: a dump may have lines before its first heading. */
const lookedAt = 4096;

function linesOf(bytes: Uint8Array): string[] {
  let text = '';
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text.split(/\r?\n/);
}

/** Whether `bytes` are such text, and no table: a heading stands near the beginning, and no byte there is zero. */
export function isAcpidump(bytes: Uint8Array): boolean {
  const start = bytes.subarray(0, lookedAt);
  return !start.includes(0) && linesOf(start).some((line) => heading.test(line));
}

function addRow(table: { bytes: number[] }, line: string, number: number): void {
  const [, offset = '', pairs] = row.exec(line) ?? [];
  if (pairs === undefined) {
    throw new InputError(`line ${number} of the acpidump text is no row of bytes, like "0010: 41 50 49 43"`);
  }
  const at = Number.parseInt(offset, 16);
  if (at !== table.bytes.length) {
    throw new InputError(
      `line ${number} of the acpidump text is for offset ${at}, but ${table.bytes.length} bytes come before it`,
    );
  }
  for (const pair of pairs.split(' ')) table.bytes.push(Number.parseInt(pair, 16));
}

/**
 * The tables in acpidump's text, in its order. A table ends at an empty line or at the next heading; lines outside of
 * tables are passed over. Throws {@link InputError} with one line on a row that is none, or that leaves bytes out.
 */
export function readAcpidump(bytes: Uint8Array): DumpedTable[] {
  const tables: { signature: string; bytes: number[] }[] = [];
  let open: { bytes: number[] } | undefined;
  for (const [index, line] of linesOf(bytes).entries()) {
    const signature = heading.exec(line)?.[1];
    if (signature !== undefined) {
      const table = { signature, bytes: [] };
      tables.push(table);
      open = table;
    } else if (line.trim() === '') open = undefined;
    else if (open !== undefined) addRow(open, line, index + 1);
  }
  return tables.map(({ signature, bytes: read }) => ({ signature, bytes: Uint8Array.from(read) }));
}
