/**
 * The file in which V8's compiled code of the command is kept, so that the next run need not compile it. V8 itself compares only
 * versions and the source's length (`SerializedCodeData::SanityCheck`), and would run damaged code. So the file begins with a
 * hash of its contents and of everything that they depend on. A file that does not pass is not used.
 */
import { createHash } from 'node:crypto';
import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';

/** SHA-256 of the key and of the code. */
const hashBytes = 32;
/** More than any file has. */
const mostBytes = 1 << 26;

function hashOf(key: string, code: Uint8Array): Buffer {
  return createHash('sha256').update(`${key}\n`).update(code).digest();
}

/**
 * Whether a file can only have been written by this user. Whoever can write it decides what the command does. Where the system
 * knows no users (`uid` is null), whoever can write the user's folder can.
 */
function isOwn({ uid, mode }: { readonly uid: number; readonly mode: number }, user: number | null): boolean {
  return user === null || (uid === user && (mode & 0o022) === 0);
}

/**
 * The code in the file, if it was kept under the same `key` by the user with this id (null: the system has none); undefined if
 * there is no such file, if it is damaged, or if another user may have written it.
 */
export function keptCode(file: string, key: string, user: number | null): Buffer | undefined {
  let opened: number;
  try {
    // Without O_NONBLOCK, opening a pipe would wait for its writer.
    opened = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch {
    return undefined;
  }
  try {
    const status = fstatSync(opened);
    if (!status.isFile() || status.size > mostBytes || !isOwn(status, user)) return undefined;
    const bytes = readFileSync(opened);
    const code = bytes.subarray(hashBytes);
    return bytes.length > hashBytes && hashOf(key, code).equals(bytes.subarray(0, hashBytes))
      ? code
      : undefined;
  } catch {
    return undefined;
  } finally {
    closeSync(opened);
  }
}

/** Creates a folder and its parents. Node's recursive mkdir does not end in some folders of /proc. */
function makeFolder(folder: string): void {
  try {
    mkdirSync(folder, { mode: 0o700 });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST') return;
    const parent = path.dirname(folder);
    if (code !== 'ENOENT' || parent === folder) throw error;
    makeFolder(parent);
    mkdirSync(folder, { mode: 0o700 });
  }
}

/** So many files of code are kept, in one folder. */
const mostFiles = 4;

/** Removes the oldest files of code beside `file`, as far as there are too many: those of other programs, or of other releases of Node. */
function removeOldest(file: string): void {
  const folder = path.dirname(file);
  try {
    const others = readdirSync(folder)
      .filter((name) => /^v\d[\w.+-]*$/.test(name) && name !== path.basename(file))
      .map((name) => path.join(folder, name));
    const byAge = others
      .map((name) => ({ name, modified: lstatSync(name).mtimeMs }))
      .sort((a, b) => b.modified - a.modified);
    for (const { name } of byAge.slice(mostFiles - 1)) removeQuietly(name);
  } catch {
    // They stay. Another run may have removed one.
  }
}

/**
 * Keeps `code` under `key` in the file, atomically, and removes the oldest ones beside it. Does nothing if that is not possible: the
 * next run compiles again.
 */
export function keepCode(file: string, key: string, code: Uint8Array): void {
  const partial = `${file}.${process.pid}.partial`;
  try {
    makeFolder(path.dirname(file));
    // Not through a link that another user may have put there.
    const opened = openSync(partial, 'wx', 0o600);
    try {
      writeFileSync(opened, hashOf(key, code));
      writeFileSync(opened, code);
    } finally {
      closeSync(opened);
    }
    renameSync(partial, file);
    removeOldest(file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') removeQuietly(partial);
  }
}

function removeQuietly(file: string): void {
  try {
    rmSync(file, { force: true });
  } catch {
    // It stays. Nothing depends on it.
  }
}
