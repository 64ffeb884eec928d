/** Reads tar archives piece by piece, only as far as needed. */
import { createTarDecoder } from 'modern-tar';
import { InputError } from '../../base/index.js';
import { collect, fromWebStream, toWebStream } from '../byte_streams.js';
import type { Pieces, WebStream } from '../byte_streams.js';

/** A regular file in an archive. */
export interface ArchiveFile {
  /** Has no leading `./` or `/`. */
  readonly path: string;
  readonly bytes: Uint8Array;
}

/** A member as the library returns it. */
interface TarEntry {
  readonly header: { readonly name: string; readonly type?: string; readonly size: number };
  readonly body: WebStream<Uint8Array>;
}

function tarEntries(pieces: Pieces): AsyncGenerator<TarEntry, void, undefined> {
  const decoder = createTarDecoder({ strict: true }) as object;
  return fromWebStream(toWebStream(pieces).pipeThrough<TarEntry>(decoder));
}

/**
 * Reads a member's content and drops it. Cancelling the stream would be shorter. But modern-tar 0.8 may already be at
 * the next member and would cancel that one instead, whose content would then never end.
 */
async function passOver(body: WebStream<Uint8Array>): Promise<void> {
  const pieces = fromWebStream(body);
  while ((await pieces.next()).done !== true);
}

/** Converts an error from reading `what` to an InputError. */
function asInputError(error: unknown, what: string): InputError {
  if (error instanceof InputError) return error;
  const why = error instanceof Error ? error.message.split('\n')[0] : String(error);
  return new InputError(`${what} is damaged: its tar archive cannot be read (${why})`, { cause: error });
}

/**
 * The regular files of a tar archive that satisfy `wanted`, in the archive's order. If the consumer stops, reading
 * stops. Throws {@link InputError} if the archive is damaged or a wanted file exceeds `limit` bytes; `what` names the
 * archive.
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
