/** Reading tar archives piece by piece, only as far as somebody wants their files. */
import { createTarDecoder } from 'modern-tar';
import { InputError } from '../base/index.js';
import { collect, fromWebStream, toWebStream } from './byte_streams.js';
import type { Pieces, WebStream } from './byte_streams.js';

/** A regular file of an archive. */
export interface ArchiveFile {
  /** Without a leading `./` or `/`. */
  readonly path: string;
  readonly bytes: Uint8Array;
}

/** What the library gives for each member. */
interface TarEntry {
  readonly header: { readonly name: string; readonly type?: string; readonly size: number };
  readonly body: WebStream<Uint8Array>;
}

function tarEntries(pieces: Pieces): AsyncGenerator<TarEntry, void, undefined> {
  const decoder = createTarDecoder({ strict: true }) as object;
  return fromWebStream(toWebStream(pieces).pipeThrough<TarEntry>(decoder));
}

/**
 * Reads a member's content and lets it go. To cancel it would be shorter, but modern-tar 0.8 may have gone on to the next member
 * by then, and takes the cancelling for that one's: whose content never ends then.
 */
async function passOver(body: WebStream<Uint8Array>): Promise<void> {
  const pieces = fromWebStream(body);
  while ((await pieces.next()).done !== true);
}

/** An error that reading `what` ended with, as one of ours. */
function asInputError(error: unknown, what: string): InputError {
  if (error instanceof InputError) return error;
  const why = error instanceof Error ? error.message.split('\n')[0] : String(error);
  return new InputError(`${what} is damaged: its tar archive cannot be read (${why})`, { cause: error });
}

/**
 * The regular files of a tar archive for which `wanted` says yes, in the archive's order; whoever stops to read, reads
 * no further. Throws {@link InputError} when the archive is damaged or a wanted file has more than `limit` bytes; `what`
 * names the archive.
 */
export async function* tarFiles(
  pieces: Pieces,
  wanted: (path: string) => boolean,
  limit: number,
  what: string,
): AsyncGenerator<ArchiveFile, void, undefined> {
  try {
    for await (const { header, body } of tarEntries(pieces)) {
      const path = header.name.replace(/^(\.?\/+)+/, '');
      if ((header.type ?? 'file') !== 'file' || !wanted(path)) await passOver(body);
      else yield { path, bytes: await collect(fromWebStream(body), limit, `${path} of ${what}`) };
    }
  } catch (error) {
    throw asInputError(error, what);
  }
}
