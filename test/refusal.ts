/** How a request is refused. */
import assert from 'node:assert/strict';
import { InputError } from '../src/base/index.js';

/** The one-line error of a failed attempt. */
export async function refusal(attempt: Promise<unknown>): Promise<string> {
  const error: unknown = await attempt.then(
    () => null,
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof InputError, String(error));
  assert.ok(!error.message.includes('\n'));
  return error.message;
}
