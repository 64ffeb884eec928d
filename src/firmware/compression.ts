/**
 * Decompresses gzip, xz, Zstandard and (in the legacy format) lz4 data piece by piece. Libraries handle the formats but the last;
 * this module converts their errors.
 */
import { Decompress as ZstdDecompress, decompress as unzstdWhole } from 'fzstd';
import { Inflate } from 'pako';
import * as xz from 'xz-decompress';
import { InputError } from '../base/index.js';
import { collect, fromWebStream, piecesOf, toWebStream } from './byte_streams.js';
import type { Pieces, WebStream } from './byte_streams.js';
import { lz4Magic, unpackLz4 } from './lz4_blocks.js';
import { crc32, filteredBlocks, undoX86Filter, usesX86Filter } from './xz_blocks.js';

export type Compression = 'none' | 'gzip' | 'xz' | 'zstd' | 'lz4';

const magics: readonly (readonly [Exclude<Compression, 'none'>, readonly number[]])[] = [
  ['gzip', [0x1f, 0x8b]],
  ['xz', [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]],
  ['zstd', [0x28, 0xb5, 0x2f, 0xfd]],
  ['lz4', lz4Magic],
];

/** The compression that `bytes` start like; `none` if no signature matches. */
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

async function* unzstd(bytes: Uint8Array, size: number | null): Pieces {
  // Piece by piece, the library moves its whole window for each block: with one of 128 MiB it takes minutes.
  if (size !== null) {
    yield unzstdWhole(bytes, new Uint8Array(size));
    return;
  }
  let ready: Uint8Array[] = [];
  const state = { ended: false };
  const zstd = new ZstdDecompress((piece, final) => {
    // Copy the piece, because the library reuses its buffer.
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

/** The library is a CommonJS module. Its exports are in different places in Node and in a bundle. */
const xzModule = xz as unknown as {
  readonly XzReadableStream?: XzStreamConstructor;
  readonly default?: { readonly XzReadableStream: XzStreamConstructor };
};

/** Texts for the library's error codes (XZ Embedded, enum xz_ret). */
const xzErrors: Readonly<Record<string, string>> = {
  5: 'they are not xz data',
  6: 'they use what is not supported here',
  7: 'they are corrupt',
  8: 'they end too early',
};

/** Maximum unpacked size of a block that must be unpacked as a whole, in bytes. */
const blockLimit = 1 << 30;

async function* unxz(bytes: Uint8Array): Pieces {
  if (!usesX86Filter(bytes)) {
    yield* unxzPlain(bytes);
    return;
  }
  for (const block of filteredBlocks(bytes)) {
    const unpacked = await collect(unxzPlain(block.file), blockLimit, 'a block');
    undoX86Filter(unpacked);
    if (block.crc32 !== null && crc32(unpacked) !== block.crc32) throw new Error('they are corrupt');
    yield unpacked;
  }
}

async function* unxzPlain(bytes: Uint8Array): Pieces {
  const Stream = xzModule.XzReadableStream ?? xzModule.default?.XzReadableStream;
  if (Stream === undefined) throw new Error('the xz library is not there');
  try {
    yield* fromWebStream(new Stream(toWebStream(piecesOf(bytes))));
  } catch (error) {
    const code = error instanceof Error ? /error code (\d+)$/.exec(error.message)?.[1] : undefined;
    throw new Error(xzErrors[code ?? ''] ?? String(error), { cause: error });
  }
}

// eslint-disable-next-line @typescript-eslint/require-await -- as the others, which wait for their libraries
async function* unlz4(bytes: Uint8Array): Pieces {
  yield* unpackLz4(bytes);
}

const unpackers = {
  none: (bytes: Uint8Array) => piecesOf(bytes),
  gzip: gunzip,
  xz: unxz,
  zstd: unzstd,
  lz4: unlz4,
} as const;

/** The next piece. Converts an error of the library to an InputError. */
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
 * Decompresses `bytes` with the given method. Throws {@link InputError} if they are damaged or truncated; `what` names
 * the data in the message. The checksums of gzip and xz are verified; the library verifies none for Zstandard. `size` is their
 * size when unpacked, in bytes, if it is known; with it, Zstandard data are unpacked much faster.
 */
export async function* decompress(
  bytes: Uint8Array,
  compression: Compression,
  what: string,
  size: number | null = null,
): Pieces {
  const pieces = unpackers[compression](bytes, size);
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
