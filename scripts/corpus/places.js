// Paths of the corpora: the data in this folder, and built files in the user's cache folder.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { debianSettings } from '../../dist/src/kernel_source/index.js';

/** The repository's folder. */
export const root = fileURLToPath(new URL('../../', import.meta.url));

/** The compiled command. */
export const command = path.join(root, 'dist/src/cli/main.js');

const { cacheFolder, cacheNote } = debianSettings(process.env, 0, () => undefined);
if (cacheFolder === null) {
  console.error(cacheNote);
  process.exit(2);
}

/** The folder for kernels, initial file systems and reports of failures. */
export const corpusFolder = path.join(cacheFolder, 'corpus');

/** The path of the Image of a wrong kernel, once it is built. */
export const imageOf = (name) => path.join(corpusFolder, 'wrong/images', `${name}.Image`);

/** The text of one of this folder's files. */
export const ownText = (name) => readFileSync(new URL(name, import.meta.url), 'utf8');

/** A data file of this folder. */
export const ownJson = (name) => JSON.parse(ownText(name));
