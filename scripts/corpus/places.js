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

/** The folder in which the wrong kernels of an architecture are built. */
export const wrongFolder = ({ name }) => path.join(corpusFolder, `wrong-${name}`);

/** The path of a wrong kernel, once it is built. */
export const imageOf = (architecture, name) => path.join(wrongFolder(architecture), 'images', name);

/** The text of one of this folder's files. */
export const ownText = (name) => readFileSync(new URL(name, import.meta.url), 'utf8');
