/** Unpacking gzip, xz and Zstandard data piece by piece. The formats are the libraries' affair; the errors are ours. */
import { Decompress as ZstdDecompress } from 'fzstd';
import { Inflate } from 'pako';
import * as xz from 'xz-decompress';
import { InputError } from '../base/index.js';
import { fromWebStream, piecesOf, toWebStream } from './byte_streams.js';
import type { Pieces, WebStream } from './byte_streams.js';

export type Compression = 'none' | 'gzip' | 'xz' | 'zstd';

const magics: readonly (readonly [Exclude<Compression, 'none'>, readonly number[]])[] = [
  ['gzip', [0x1f, 0x8b]],
  ['xz', [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]],
  ['zstd', [0x28, 0xb5, 0x2f, 0xfd]],
];

/** What `bytes` begin like; `none` when like none of them. */
export function compressionOf(bytes: Uint8Array): Compression {
  const found = magics.find(([, magic]) => magic.every((byte, i) => bytes[i] === byte));
  return found?.[0] ?? 'none';
}

async function* gunzip(bytes: Uint8Array): Pieces {
  const inflate = new Inflate({ chunkSize: 1 << 18 });
  let ready: Uint8Array[] = [];
  inflate.onData = (piece: Uint8Array) => {
    ready.push(piece);
  };
  for await (const piece of piecesOf(bytes)) {
    inflate.push(piece);
    yield* ready;
    ready = [];
    if (inflate.err !== 0) throw new Error(inflate.msg);
  }
  if (!inflate.ended) throw new Error('they end too early');
}

async function* unzstd(bytes: Uint8Array): Pieces {
  let ready: Uint8Array[] = [];
  const state = { ended: false };
  const zstd = new ZstdDecompress((piece, final) => {
    // The library goes on using its buffer.
    ready.push(piece.slice());
    state.ended ||= final === true;
  });
  for await (const piece of piecesOf(bytes)) {
    zstd.push(piece);
    yield* ready;
    ready = [];
  }
  if (bytes.length > 0) zstd.push(new Uint8Array(), true);
  yield* ready;
  if (!state.ended) throw new Error('they end too early');
}

type XzStreamConstructor = new (compressed: WebStream<Uint8Array>) => WebStream<Uint8Array>;

/** The library is a CommonJS module, whose exports stand in different places in Node and in a bundle. */
const xzModule = xz as unknown as {
  readonly XzReadableStream?: XzStreamConstructor;
  readonly default?: { readonly XzReadableStream: XzStreamConstructor };
};

/** What the library's error codes mean (XZ Embedded, enum xz_ret). */
const xzErrors: Readonly<Record<string, string>> = {
  5: 'they are not xz data',
  6: 'they use what is not supported here',
  7: 'they are corrupt',
  8: 'they end too early',
};

async function* unxz(bytes: Uint8Array): Pieces {
  const Stream = xzModule.XzReadableStream ?? xzModule.default?.XzReadableStream;
  if (Stream === undefined) throw new Error('the xz library is not there');
  try {
    yield* fromWebStream(new Stream(toWebStream(piecesOf(bytes))));
  } catch (error) {
    const code = error instanceof Error ? /error code (\d+)$/.exec(error.message)?.[1] : undefined;
    throw new Error(xzErrors[code ?? ''] ?? String(error), { cause: error });
  }
}

const unpackers = { none: piecesOf, gzip: gunzip, xz: unxz, zstd: unzstd } as const;

/** The next piece, or the library's complaint as ours. */
async function nextOf(pieces: Pieces, complaint: string): Promise<IteratorResult<Uint8Array, void>> {
  try {
    return await pieces.next();
  } catch (error) {
    throw new InputError(`${complaint} (${error instanceof Error ? error.message : String(error)})`, {
      cause: error,
    });
  }
}

/**
 * The content of `bytes`, which are compressed as said. Throws {@link InputError} when they are not or are cut short;
 * `what` says in the message whose they are. gzip and xz data carry checksums, which are checked; of Zstandard's the
 * library checks none.
 */
export async function* decompress(bytes: Uint8Array, compression: Compression, what: string): Pieces {
  const pieces = unpackers[compression](bytes);
  const complaint = `${what} is damaged: its ${compression} data cannot be unpacked`;
  try {
    for (;;) {
      const next = await nextOf(pieces, complaint);
      if (next.done === true) return;
      yield next.value;
    }
  } finally {
    await pieces.return();
  }
}
