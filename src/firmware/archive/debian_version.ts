/** Debian version numbers and their order (Debian Policy 5.6.12). */

interface DebianVersion {
  readonly epoch: number;
  readonly upstream: string;
  readonly revision: string;
}

/** The parts of a version. Accepts any text, even if the policy does not allow it. */
function parse(version: string): DebianVersion {
  const [, epoch = '', rest = ''] = /^(?:(\d+):)?(.*)$/s.exec(version.trim()) ?? [];
  const dash = rest.lastIndexOf('-');
  return {
    epoch: Number(epoch),
    upstream: dash < 0 ? rest : rest.slice(0, dash),
    revision: dash < 0 ? '' : rest.slice(dash + 1),
  };
}

/** The order of characters that are not digits: `~`, the end, letters, all others. */
function rank(character: string): number {
  if (character === '~') return -1;
  if (character === '') return 0;
  const code = character.charCodeAt(0);
  return /[A-Za-z]/.test(character) ? code : code + 0x1_0000;
}

/** Compares the text before the first digits. */
function compareText(a: string, b: string): number {
  for (let i = 0; i < Math.max(a.length, b.length); i += 1) {
    const difference = rank(a.charAt(i)) - rank(b.charAt(i));
    if (difference !== 0) return Math.sign(difference);
  }
  return 0;
}

/** Compares sequences of digits as numbers of any length. */
function compareDigits(a: string, b: string): number {
  const [x, y] = [a.replace(/^0+/, ''), b.replace(/^0+/, '')];
  if (x.length !== y.length) return x.length < y.length ? -1 : 1;
  return x < y ? -1 : x > y ? 1 : 0;
}

/** Compares two parts: alternately text without digits, and digits. */
function comparePart(a: string, b: string): number {
  const split = (text: string): string[] => text.match(/\D+|\d+/g) ?? [];
  const [x, y] = [split(a), split(b)];
  // A part that starts with a digit has an empty text before it.
  if (/^\d/.test(a)) x.unshift('');
  if (/^\d/.test(b)) y.unshift('');
  for (let i = 0; i < Math.max(x.length, y.length); i += 1) {
    const compare = i % 2 === 0 ? compareText : compareDigits;
    const difference = compare(x[i] ?? '', y[i] ?? '');
    if (difference !== 0) return difference;
  }
  return 0;
}

/** Negative if version `a` is older than `b`, positive if it is newer, 0 if they are equal. */
export function compareVersions(a: string, b: string): number {
  const [x, y] = [parse(a), parse(b)];
  if (x.epoch !== y.epoch) return x.epoch < y.epoch ? -1 : 1;
  const upstream = comparePart(x.upstream, y.upstream);
  return upstream !== 0 ? upstream : comparePart(x.revision, y.revision);
}
