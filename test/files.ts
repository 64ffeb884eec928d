/** File access for the checks of the repository. */
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

/** The repository's directory. This file runs from dist/test/. */
export const root = fileURLToPath(new URL('../../', import.meta.url));

const notOurs = new Set(['.git', 'node_modules', 'dist', '.cache']);

function walk(folder: string): string[] {
  return readdirSync(path.join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const name = folder === '' ? entry.name : `${folder}/${entry.name}`;
    if (notOurs.has(entry.name) || name === 'docs/api') return [];
    if (entry.isDirectory()) return walk(name);
    return entry.isFile() && !name.endsWith('.tsbuildinfo') ? [name] : [];
  });
}

/**
 * Every file of the repository, except built and installed files. Paths are relative to its directory, with slashes.
 */
export function repositoryFiles(folder = ''): string[] {
  return walk(folder).sort();
}

export function readText(name: string): string {
  return readFileSync(path.join(root, name), 'utf8');
}
