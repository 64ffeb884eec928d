/**
 * user_cache: where this user's cache is. What is kept there, and when it is read, its callers decide: kernels of an archive
 * (kernel_source), and the code of the command (cli).
 */
import os from 'node:os';
import path from 'node:path';

/** The place of the cache, and a note for the user. */
export interface CachePlace {
  /** Null if there is none. */
  readonly folder: string | null;
  /** Why it is not where the environment says, or why there is none; null if all is normal. */
  readonly note: string | null;
}

/** The home folder from the environment or the system's user database; empty if neither has one. */
function homeFolder(env: Readonly<Record<string, string | undefined>>): string {
  const home = env['HOME'] ?? '';
  if (path.isAbsolute(home)) return home;
  try {
    const { homedir } = os.userInfo();
    return path.isAbsolute(homedir) ? homedir : '';
  } catch {
    return '';
  }
}

/**
 * The cache is in XDG_CACHE_HOME or, if that is not set, in ~/.cache. A path that is not absolute is ignored, as the XDG
 * Base Directory Specification requires.
 */
export function cachePlace(env: Readonly<Record<string, string | undefined>>): CachePlace {
  const set = env['XDG_CACHE_HOME'] ?? '';
  if (path.isAbsolute(set)) return { folder: path.join(set, 'domulator'), note: null };
  const home = homeFolder(env);
  const folder = home === '' ? null : path.join(home, '.cache', 'domulator');
  const where =
    folder === null ? 'there is no home directory either, so nothing is cached' : `the cache is ${folder}`;
  if (set !== '') {
    return {
      folder,
      note: `XDG_CACHE_HOME is ignored, because ${JSON.stringify(set)} is not an absolute path; ${where}`,
    };
  }
  if (folder !== null) return { folder, note: null };
  return { folder, note: 'nothing is cached: neither XDG_CACHE_HOME nor HOME names a directory' };
}
