import { oneLine } from './one_line.js';

/** Thrown for a bug in this program. Never thrown for anything that a guest or a user can do. */
export class InvariantError extends Error {
  override readonly name = 'InvariantError';
}

/** Bad input from outside (a file, an argument). The message is one line with what was wrong and what to do. */
export class InputError extends Error {
  override readonly name = 'InputError';

  /** `message` may quote what the user gave; line ends and control characters in it become spaces. */
  constructor(message: string, options?: ErrorOptions) {
    super(oneLine(message), options);
  }
}

/** What `make` gives; null if it throws {@link InputError}. */
export function unlessInvalid<T>(make: () => T): T | null {
  try {
    return make();
  } catch (error) {
    if (error instanceof InputError) return null;
    throw error;
  }
}

/** Asserts that `condition` holds by construction. Throws {@link InvariantError} with `message` if it does not. */
export function invariant(condition: boolean, message: string): asserts condition {
  if (!condition) throw new InvariantError(message);
}

/** Asserts that `value` exists by construction. Throws {@link InvariantError} if it is null or undefined. */
export function present<T>(value: T | null | undefined, what: string): T {
  if (value === null || value === undefined) throw new InvariantError(`${what} is missing`);
  return value;
}
