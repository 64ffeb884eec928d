/** Thrown where this program contradicts itself. Never thrown for anything a guest or a user can do. */
export class InvariantError extends Error {
  override readonly name = 'InvariantError';
}

/** Bad input from outside (a file, an argument): one line that says what was wrong and what to do. */
export class InputError extends Error {
  override readonly name = 'InputError';
}

/** Says that `condition` holds by construction. Throws {@link InvariantError} with `message` when it does not. */
export function invariant(condition: boolean, message: string): asserts condition {
  if (!condition) throw new InvariantError(message);
}

/** `value`, which by construction is there. Throws {@link InvariantError} when it is null or undefined. */
export function present<T>(value: T | null | undefined, what: string): T {
  if (value === null || value === undefined) throw new InvariantError(`${what} is missing`);
  return value;
}
