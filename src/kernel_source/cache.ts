/**
 * The user's cache: files by their SHA-256, and a record for each release of what was taken from it. A file appears
 * whole or not at all, and is hashed whenever it is read.
 */
import { createHash, randomUUID } from 'node:crypto';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';

export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** Where the cache is: within XDG_CACHE_HOME, which counts when it is absolute (XDG Base Directory Specification). */
export function cacheFolder(env: Readonly<Record<string, string | undefined>>): string {
  const set = env['XDG_CACHE_HOME'] ?? '';
  return path.join(path.isAbsolute(set) ? set : path.join(os.homedir(), '.cache'), 'domulator');
}

/** Writes `bytes` to `file`, so that nobody ever finds a part of them there. */
async function writeWhole(file: string, bytes: Uint8Array): Promise<void> {
  await mkdir(path.dirname(file), { recursive: true });
  const partial = `${file}.${randomUUID()}.partial`;
  try {
    await writeFile(partial, bytes);
    await rename(partial, file);
  } catch (error) {
    await rm(partial, { force: true });
    throw error;
  }
}

async function readWhole(file: string): Promise<Uint8Array | null> {
  try {
    return new Uint8Array(await readFile(file));
  } catch {
    return null;
  }
}

/** What {@link Cache.object} found. */
export type CachedObject =
  | { readonly state: 'there'; readonly bytes: Uint8Array }
  | { readonly state: 'missing' }
  | { readonly state: 'damaged' };

export class Cache {
  readonly folder: string;

  constructor(folder: string) {
    this.folder = folder;
  }

  #objectPath(hash: string): string {
    return path.join(this.folder, 'sha256', hash);
  }

  #recordPath(name: string): string {
    return path.join(this.folder, 'debian', `${name}.json`);
  }

  /** The file with this hash; one that has another by now is taken away. */
  async object(hash: string): Promise<CachedObject> {
    const bytes = await readWhole(this.#objectPath(hash));
    if (bytes === null) return { state: 'missing' };
    if (sha256(bytes) === hash) return { state: 'there', bytes };
    await rm(this.#objectPath(hash), { force: true }).catch(() => undefined);
    return { state: 'damaged' };
  }

  /** Keeps `bytes`; answers their hash. Throws what the file system says. */
  async keep(bytes: Uint8Array): Promise<string> {
    const hash = sha256(bytes);
    await writeWhole(this.#objectPath(hash), bytes);
    return hash;
  }

  /** The record `name` as it was parsed from JSON; null when there is none or it is no JSON. */
  async record(name: string): Promise<unknown> {
    const bytes = await readWhole(this.#recordPath(name));
    try {
      return bytes === null ? null : (JSON.parse(Buffer.from(bytes).toString('utf8')) as unknown);
    } catch {
      return null;
    }
  }

  /** Writes the record `name`. Throws what the file system says. */
  async writeRecord(name: string, record: object): Promise<void> {
    await writeWhole(this.#recordPath(name), Buffer.from(`${JSON.stringify(record, null, 2)}\n`));
  }
}
