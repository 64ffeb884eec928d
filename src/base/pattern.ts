/**
 * Whether a regular expression can be used at all. V8 compiles one when it is first used, for texts with and without characters
 * above U+00FF separately, and refuses one that is too large only then.
 */
export function isUsable(pattern: RegExp): boolean {
  try {
    for (const text of ['', '\u0100']) text.search(pattern);
    return true;
  } catch {
    return false;
  }
}
