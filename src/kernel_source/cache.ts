/**
 * The user's cache: files by their SHA-256, and records of which file came from which package. Files are written atomically
 * and hashed whenever they are read.
 */
import { createHash, randomUUID } from 'node:crypto';
import { access, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';

export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/**
 * Creates `folder` and its parents. Node's own recursive mkdir loops endlessly if a folder exists but nothing can be
 * created in it and the system reports ENOENT, as in /proc.
 */
async function makeFolder(folder: string): Promise<void> {
  try {
    await mkdir(folder);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST') return;
    const parent = path.dirname(folder);
    if (code !== 'ENOENT' || parent === folder) throw error;
    await makeFolder(parent);
    await mkdir(folder).catch((again: unknown) => {
      if ((again as NodeJS.ErrnoException).code !== 'EEXIST') throw again;
    });
  }
}

/** Writes `bytes` to `file` atomically. */
async function writeWhole(file: string, bytes: Uint8Array): Promise<void> {
  await makeFolder(path.dirname(file));
  const partial = `${file}.${randomUUID()}.partial`;
  try {
    await writeFile(partial, bytes);
    await rename(partial, file);
  } catch (error) {
    await rm(partial, { force: true }).catch(() => undefined);
    throw error;
  }
}

const reasons: Readonly<Record<string, string>> = {
  EACCES: 'permission denied',
  EPERM: 'permission denied',
  EROFS: 'its file system is read-only',
  ENOSPC: 'the disk is full',
  EDQUOT: 'the disk quota is used up',
  ENOTDIR: 'part of its path is not a directory',
  EISDIR: 'it is a directory, not a file',
  ENOENT: 'nothing can be created there',
  ENAMETOOLONG: 'its path is too long',
  ELOOP: 'its path has a loop of symbolic links',
};

/** The file system's error, in a few words. */
export function cacheReason(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { code = error.message } = error as { code?: string };
  return reasons[code] ?? code;
}

async function readWhole(file: string): Promise<Uint8Array | null> {
  try {
    return new Uint8Array(await readFile(file));
  } catch {
    return null;
  }
}

/** The result of {@link Cache.object}. */
export type CachedObject =
  | { readonly state: 'there'; readonly bytes: Uint8Array }
  | { readonly state: 'missing' }
  | { readonly state: 'damaged' };

export class Cache {
  /** Null for a cache that stores nothing. */
  readonly folder: string | null;

  constructor(folder: string | null) {
    this.folder = folder;
  }

  #path(...names: readonly string[]): string {
    if (this.folder === null) throw new Error('there is no cache');
    return path.join(this.folder, ...names);
  }

  #objectPath(hash: string): string {
    return this.#path('sha256', hash);
  }

  #recordPath(name: string): string {
    return this.#path(`${name}.json`);
  }

  /** The file with this hash; a damaged file is removed. */
  async object(hash: string): Promise<CachedObject> {
    if (this.folder === null) return { state: 'missing' };
    const bytes = await readWhole(this.#objectPath(hash));
    if (bytes === null) return { state: 'missing' };
    if (sha256(bytes) === hash) return { state: 'there', bytes };
    await rm(this.#objectPath(hash), { force: true }).catch(() => undefined);
    return { state: 'damaged' };
  }

  /** Whether there is a file for this hash. The file is not read. */
  async hasObject(hash: string): Promise<boolean> {
    if (this.folder === null) return false;
    return await access(this.#objectPath(hash)).then(
      () => true,
      () => false,
    );
  }

  /** Stores `bytes` and returns their hash. Throws the file system's errors. */
  async keep(bytes: Uint8Array): Promise<string> {
    const hash = sha256(bytes);
    if (this.folder === null) return hash;
    await writeWhole(this.#objectPath(hash), bytes);
    return hash;
  }

  /** The contents of a folder of records, sorted: records by the last part of their names, and other folders. */
  async namesIn(folder: string): Promise<string[]> {
    if (this.folder === null) return [];
    const names = await readdir(this.#path(folder)).catch((): string[] => []);
    return [...new Set(names.map((name) => name.replace(/\.json$/, '')))].sort();
  }

  /** The record `name`, such as `debian/bookworm`, parsed from JSON; null if there is none or it is not JSON. */
  async record(name: string): Promise<unknown> {
    if (this.folder === null) return null;
    const bytes = await readWhole(this.#recordPath(name));
    try {
      return bytes === null ? null : (JSON.parse(Buffer.from(bytes).toString('utf8')) as unknown);
    } catch {
      return null;
    }
  }

  /** Writes the record `name`. Throws the file system's errors. */
  async writeRecord(name: string, record: object): Promise<void> {
    if (this.folder === null) return;
    await writeWhole(this.#recordPath(name), Buffer.from(`${JSON.stringify(record, null, 2)}\n`));
  }
}
