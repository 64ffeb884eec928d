/** Checks of values that were parsed from JSON. */

export type Check = (value: unknown) => boolean;

export const isText: Check = (value) => typeof value === 'string';

/** A SHA-256 as 64 hexadecimal digits. */
export const isHash: Check = (value) => typeof value === 'string' && /^[0-9a-f]{64}$/.test(value);

/** Whether a value is a list whose entries all pass. */
export function listOf(check: Check): Check {
  return (value) => Array.isArray(value) && value.every(check);
}

/** Whether a value is an object whose fields pass; other fields may be anything. */
export function hasFields(fields: Readonly<Record<string, Check>>): Check {
  return (value) =>
    typeof value === 'object' &&
    value !== null &&
    Object.entries(fields).every(([name, check]) => check((value as Record<string, unknown>)[name]));
}
