/** Tells builds of one version of this software apart. */
import { readFileSync } from 'node:fs';

/** What scripts/bundle.js made of the contents of the whole software; null where that was not run. In the bundle it stands itself. */
export const buildId: string | null = readId();

function readId(): string | null {
  try {
    return readFileSync(new URL('../../command/build_id', import.meta.url), 'latin1').trim();
  } catch {
    return null;
  }
}
