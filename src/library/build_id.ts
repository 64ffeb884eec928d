/** Tells builds of one version of this software apart. */
import { InputError } from '../base/index.js';
import { readInputFile } from '../kernel_source/index.js';

/** What scripts/bundle.js made of the contents of the whole software; null where that was not run. In the bundle it stands itself. */
export const buildId: string | null = await readId();

async function readId(): Promise<string | null> {
  try {
    const file = `${import.meta.dirname}/../../command/build_id`;
    return new TextDecoder().decode(await readInputFile(file, 'id of this build')).trim();
  } catch (error) {
    if (error instanceof InputError) return null;
    throw error;
  }
}
