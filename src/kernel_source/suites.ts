/** The suites and archives in which to look for a Debian release. */
import { InputError } from '../base/index.js';
import type { AptSource } from './apt_sources.js';

export interface Suite {
  /** The archive's root, without a slash at its end. */
  readonly base: string;
  readonly suite: string;
  /** Keyrings that the machine's own configuration names for it. */
  readonly keyrings: readonly string[];
}

/** Suites, of which the first is required and the others are optional. */
export interface SuiteChoice {
  readonly main: Suite;
  readonly others: readonly Suite[];
}

/** The additional suites of a release: updates, and security updates under their names before and since 2021. */
const companions = ['-updates', '-security', '/updates'] as const;

function trimmed(url: string): string {
  return url.replace(/\/+$/, '');
}

/** The possible places of a mirror's security archive: in a folder of the mirror or, usually, next to it. */
function aroundMirror(base: string, release: string): SuiteChoice {
  const suite = (root: string, name: string): Suite => ({ base: root, suite: name, keyrings: [] });
  return {
    main: suite(base, release),
    others: [
      suite(base, `${release}-updates`),
      suite(base, `${release}-security`),
      suite(`${base}-security`, `${release}-security`),
    ],
  };
}

/** Throws {@link InputError} if `mirror` is not a supported URL. */
export function checkMirror(mirror: string): void {
  if (URL.canParse(mirror) && /^https?:\/\//i.test(mirror)) return;
  throw new InputError(`the mirror ${JSON.stringify(mirror)} is not an http or https address`);
}

/** The entries of the release in the sources; null if they do not name it. */
function named(sources: readonly AptSource[], release: string): SuiteChoice | null {
  const ofRelease = sources.filter(
    ({ suite, components }) =>
      components.includes('main') && [release, ...companions.map((end) => release + end)].includes(suite),
  );
  const suites = ofRelease.map(({ uri, suite, keyrings }) => ({ base: uri, suite, keyrings }));
  const [main, ...rest] = suites.filter(({ suite }) => suite === release);
  if (main === undefined) return null;
  return { main, others: [...rest, ...suites.filter(({ suite }) => suite !== release)] };
}

/**
 * Where to look for `release`, the likeliest first: on `mirror` if there is one; else where the machine's sources name
 * it; else on each archive that they name. Throws {@link InputError} if there is no archive.
 */
export function suiteChoices(
  release: string,
  sources: readonly AptSource[],
  mirror: string | null,
): SuiteChoice[] {
  if (mirror !== null) {
    checkMirror(mirror);
    return [aroundMirror(trimmed(mirror), release)];
  }
  const own = named(sources, release);
  if (own !== null) return [own];
  const bases = [
    ...new Set(sources.filter(({ components }) => components.includes('main')).map(({ uri }) => uri)),
  ];
  if (bases.length === 0) {
    throw new InputError(
      "this machine's apt sources name no Debian mirror; give one with --mirror URL or DOMULATOR_MIRROR, or a kernel with --kernel FILE",
    );
  }
  return bases.map((base) => aroundMirror(base, release));
}
