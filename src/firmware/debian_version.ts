/** Debian version numbers and how they are ordered (Debian Policy 5.6.12). */

interface DebianVersion {
  readonly epoch: number;
  readonly upstream: string;
  readonly revision: string;
}

/** A version in its parts. What the policy does not allow is taken as it comes; no text is refused. */
function parse(version: string): DebianVersion {
  const [, epoch = '', rest = ''] = /^(?:(\d+):)?(.*)$/s.exec(version.trim()) ?? [];
  const dash = rest.lastIndexOf('-');
  return {
    epoch: Number(epoch),
    upstream: dash < 0 ? rest : rest.slice(0, dash),
    revision: dash < 0 ? '' : rest.slice(dash + 1),
  };
}

/** The order of characters that are no digits: `~`, the end, letters, all others. */
function rank(character: string): number {
  if (character === '~') return -1;
  if (character === '') return 0;
  const code = character.charCodeAt(0);
  return /[A-Za-z]/.test(character) ? code : code + 0x1_0000;
}

/** Compares what comes before the first digits. */
function compareText(a: string, b: string): number {
  for (let i = 0; i < Math.max(a.length, b.length); i += 1) {
    const difference = rank(a.charAt(i)) - rank(b.charAt(i));
    if (difference !== 0) return Math.sign(difference);
  }
  return 0;
}

/** Compares runs of digits as numbers of any length. */
function compareDigits(a: string, b: string): number {
  const [x, y] = [a.replace(/^0+/, ''), b.replace(/^0+/, '')];
  if (x.length !== y.length) return x.length < y.length ? -1 : 1;
  return x < y ? -1 : x > y ? 1 : 0;
}

/** Compares two parts: by turns what is no digit, and what is. */
function comparePart(a: string, b: string): number {
  const split = (text: string): string[] => text.match(/\D+|\d+/g) ?? [];
  const [x, y] = [split(a), split(b)];
  // A part that begins with a digit has an empty text before it.
  if (/^\d/.test(a)) x.unshift('');
  if (/^\d/.test(b)) y.unshift('');
  for (let i = 0; i < Math.max(x.length, y.length); i += 1) {
    const compare = i % 2 === 0 ? compareText : compareDigits;
    const difference = compare(x[i] ?? '', y[i] ?? '');
    if (difference !== 0) return difference;
  }
  return 0;
}

/** Below 0 when version `a` is older than `b`, above 0 when it is newer, 0 when they are the same. */
export function compareVersions(a: string, b: string): number {
  const [x, y] = [parse(a), parse(b)];
  if (x.epoch !== y.epoch) return x.epoch < y.epoch ? -1 : 1;
  const upstream = comparePart(x.upstream, y.upstream);
  return upstream !== 0 ? upstream : comparePart(x.revision, y.revision);
}
