/** Files that the user names. */
import { readFile, stat } from 'node:fs/promises';
import { InputError } from '../base/index.js';

/** More bytes than any kernel or initramfs has. */
const sizeLimit = 1 << 30;

const reasons: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  EACCES: 'it may not be read',
  EISDIR: 'it is a folder',
  ENOTDIR: 'a part of its path is no folder',
};

/** The bytes of `file`. Throws {@link InputError} with one line when it cannot be read; `what` says what it is for. */
export async function readInputFile(file: string, what: string): Promise<Uint8Array> {
  try {
    const { size } = await stat(file);
    if (size > sizeLimit) throw new InputError(`the ${what} ${file} has more than ${sizeLimit >> 20} MiB`);
    return new Uint8Array(await readFile(file));
  } catch (error) {
    if (error instanceof InputError || !(error instanceof Error)) throw error;
    const { code = error.message } = error as { code?: string };
    throw new InputError(`the ${what} ${file} cannot be read: ${reasons[code] ?? code}`, {
      cause: error,
    });
  }
}
