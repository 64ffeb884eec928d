/** Files that the user names. */
import { open, stat } from 'node:fs/promises';
import { InputError } from '../base/index.js';

/** A size that no kernel or initramfs reaches, and the maximum of a guest's memory. */
const sizeLimit = 3072 * 2 ** 20;

/** Number of bytes per read. */
const chunkBytes = 1 << 20;

const reasons: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  EACCES: 'it may not be read',
  ENOTDIR: 'a part of its path is not a directory',
  ERR_INVALID_ARG_VALUE: 'its name has a character that no file name has',
  ELOOP: 'its path has a loop of symbolic links',
  ENAMETOOLONG: 'its path is too long',
};

/** Throws InputError for a file that may have no end, such as a device, or that is too large. */
async function checkKind(file: string, what: string, limit: number): Promise<void> {
  const found = await stat(file);
  const refuse = (why: string): never => {
    throw new InputError(`the ${what} ${file} cannot be read: ${why}`);
  };
  if (found.isDirectory()) refuse('it is a directory');
  if (!found.isFile() && !found.isFIFO()) refuse('it is neither a file nor a pipe');
  if (found.size > limit) throw tooLarge(file, what, limit);
}

function tooLarge(file: string, what: string, limit: number): InputError {
  return new InputError(`the ${what} ${file} is larger than ${Math.floor(limit / 2 ** 20)} MiB`);
}

/** All bytes up to the end of `file`, which may have more than its size says, such as a pipe. */
async function readWhole(file: string, what: string, limit: number): Promise<Uint8Array> {
  const chunks: Buffer[] = [];
  let length = 0;
  // The file is closed with the stream, even after an error.
  const stream = (await open(file)).createReadStream({ highWaterMark: chunkBytes }) as AsyncIterable<Buffer>;
  for await (const chunk of stream) {
    length += chunk.length;
    if (length > limit) throw tooLarge(file, what, limit);
    chunks.push(chunk);
  }
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
}

/**
 * The bytes of `file`, a regular file or a pipe, at most `limit` bytes. Throws {@link InputError} with one line if
 * it cannot be read; `what` names its purpose.
 */
export async function readInputFile(file: string, what: string, limit = sizeLimit): Promise<Uint8Array> {
  try {
    await checkKind(file, what, limit);
    return await readWhole(file, what, limit);
  } catch (error) {
    if (error instanceof InputError || !(error instanceof Error)) throw error;
    const { code = error.message } = error as { code?: string };
    throw new InputError(`the ${what} ${file} cannot be read: ${reasons[code] ?? code}`, {
      cause: error,
    });
  }
}
