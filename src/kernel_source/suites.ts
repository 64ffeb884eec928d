/** Which suites of which archives a Debian release is looked for in. */
import { InputError } from '../base/index.js';
import type { AptSource } from './apt_sources.js';

export interface Suite {
  /** The archive's root, without a slash at its end. */
  readonly base: string;
  readonly suite: string;
  /** Keyrings that the machine's own settings name for it. */
  readonly keyrings: readonly string[];
}

/** Suites of which the first is needed and the others are welcome. */
export interface SuiteChoice {
  readonly main: Suite;
  readonly others: readonly Suite[];
}

/** What comes with a release: its updates, and its security updates under their names of before and since 2021. */
const companions = ['-updates', '-security', '/updates'] as const;

function trimmed(url: string): string {
  return url.replace(/\/+$/, '');
}

/** Where a mirror's security archive is if it has one: within it or, as most have it, beside it. */
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

/** Throws {@link InputError} when `mirror` is not an address that can be asked. */
export function checkMirror(mirror: string): void {
  if (URL.canParse(mirror) && /^https?:\/\//i.test(mirror)) return;
  throw new InputError(`the mirror ${JSON.stringify(mirror)} is not an http or https address`);
}

/** What the sources name of the release itself; null when they do not name it. */
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
 * Where to look for `release`, the likeliest first: at `mirror` if there is one; else where the machine's sources name
 * it; else on each archive that they name at all. Throws {@link InputError} when there is nowhere to look.
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
