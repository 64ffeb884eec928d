/** Regular expressions from files that anyone may have written. */

const mostCharacters = 200;

/** An escape sequence, or a class of characters. */
const oneCharacter = /\\.|\[(?:\\.|[^\]\\])*\]/gs;
const quantifier = /[*+?]\??/g;

/**
 * Whether a regular expression from a file may be used: V8 tries all ways in which a text can match, which for one like `(a+)+$` are so
 * many that the search never ends, and nothing else runs meanwhile. With one quantifier and no group, the time grows with the square
 * of the text's length at most.
 */
export function isPlainPattern(source: string, flags: string): boolean {
  if (source.length > mostCharacters || !['', 'i'].includes(flags)) return false;
  const others = source.replace(oneCharacter, '.');
  return !/[(){}]/.test(others) && (others.match(quantifier) ?? []).length <= 1;
}
