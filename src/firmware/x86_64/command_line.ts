/** A kernel's command line in guest memory. */
import { InputError } from '../../base/index.js';

/** The command line as bytes with a NUL. Throws {@link InputError} on a character that is no byte. */
export function commandLineBytes(text: string): Uint8Array {
  if (!Array.from(text).every((character) => character > '\0' && character <= '\u00ff')) {
    throw new InputError('the command line contains a character that a kernel cannot read');
  }
  return Uint8Array.from([...Array.from(text, (character) => character.charCodeAt(0)), 0]);
}
