/** Checks what kind of value each field of a request has. A program in JavaScript, or JSON, may hold anything. */
import { InputError, isUsable } from '../base/index.js';
import {
  architectureNames,
  cpuModels,
  engineKinds,
  guestTypes,
  onReboots,
  onSoftResets,
  unpacks,
  whatIfs,
  xenReleases,
} from './limits.js';
import type { BootRequest } from './request.js';

interface Kind {
  /** What the value must be. */
  readonly called: string;
  readonly includes: (value: unknown) => boolean;
}

function oneOf(choices: readonly string[]): Kind {
  return { called: choices.join(' or '), includes: (value) => choices.some((choice) => choice === value) };
}

function typed(type: 'string' | 'boolean' | 'function' | 'number', called: string): Kind {
  return { called, includes: (value) => typeof value === type };
}

function isObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null;
}

function isText(value: unknown): boolean {
  return typeof value === 'string';
}

const fileOrBytes: Kind = {
  called: 'the path of a file or a Uint8Array',
  includes: (value) => isText(value) || value instanceof Uint8Array,
};
const toggle = typed('boolean', 'true or false');
const listener = typed('function', 'a function');
const number = typed('number', 'a number');

/** What each field must be. Whoever reads a number or the text of a field checks its limits. */
const kinds: { readonly [name in keyof Required<BootRequest>]: Kind } = {
  from: {
    called: 'a checkpoint, the path of a file with one, or its bytes',
    includes: (value) => isText(value) || isObject(value),
  },
  kernel: {
    called: 'text, the bytes of a file, or what parseKernelSpec gives',
    includes: (value) => isText(value) || isObject(value),
  },
  arch: oneOf(Object.keys(architectureNames)),
  type: oneOf(guestTypes),
  cpu: oneOf(cpuModels),
  initrd: fileOrBytes,
  commandLine: typed('string', 'a string'),
  vcpus: number,
  memoryMiB: number,
  xen: oneOf(xenReleases),
  engine: oneOf(engineKinds),
  seed: number,
  xenstore: toggle,
  onReboot: oneOf(onReboots),
  onSoftReset: oneOf(onSoftResets),
  unpack: oneOf(unpacks),
  whatIf: oneOf(whatIfs),
  entryVcpu: number,
  until: {
    called: 'userspace, poweroff or a RegExp that is not too large',
    includes: (value) =>
      value === 'userspace' || value === 'poweroff' || (value instanceof RegExp && isUsable(value)),
  },
  command: {
    called: 'an array of strings',
    includes: (value) => Array.isArray(value) && value.every(isText),
  },
  script: fileOrBytes,
  limits: {
    called: 'an object with the numbers guestSeconds and instructions, or one of them',
    includes: (value) =>
      isObject(value) &&
      Object.values(value as object).every((limit) => limit === undefined || typeof limit === 'number'),
  },
  mirror: typed('string', 'a URL'),
  realTime: toggle,
  console: listener,
  event: listener,
  warn: listener,
};

const fields = Object.keys(kinds) as readonly (keyof BootRequest)[];

/** `value` for a message, in a few words. */
export function shownValue(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value);
  if (value === null || typeof value === 'boolean') return String(value);
  if (typeof value === 'number') return `the number ${value}`;
  if (Array.isArray(value)) return 'another array';
  return isObject(value) ? 'another object' : `a value of type ${typeof value}`;
}

/** Throws InputError with one line if a field of `request` has a value of another kind than its type says. */
export function checkKinds(request: BootRequest): void {
  for (const name of fields) {
    const value: unknown = request[name];
    if (value === undefined || kinds[name].includes(value)) continue;
    throw new InputError(`${name} must be ${kinds[name].called}, not ${shownValue(value)}`);
  }
}

function owned(value: unknown): unknown {
  // A slice of a Buffer would share its bytes.
  if (value instanceof Uint8Array) return new Uint8Array(value);
  if (Array.isArray(value)) return (value as unknown[]).map(owned);
  if (!isObject(value) || Object.getPrototypeOf(value) !== Object.prototype) return value;
  return Object.fromEntries(Object.entries(value as object).map(([name, each]) => [name, owned(each)]));
}

/**
 * A copy of the request that stays as it is when the caller changes its objects or bytes later; a checkpoint is never changed, and
 * not copied. Throws InputError if it is no request, or has a field that is none.
 */
export function ownRequest(request: BootRequest): BootRequest {
  if (!isObject(request)) throw new InputError(`a request must be an object, not ${shownValue(request)}`);
  const other = Object.keys(request).find((name) => !Object.hasOwn(kinds, name));
  if (other !== undefined) throw new InputError(`${JSON.stringify(other)} is no option of a boot`);
  const copies = fields
    .filter((name) => request[name] !== undefined)
    .map((name): [string, unknown] => [name, name === 'from' ? request.from : owned(request[name])]);
  return Object.fromEntries(copies);
}
