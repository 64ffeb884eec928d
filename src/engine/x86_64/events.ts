/** Vectors of exceptions, and exceptions that the host's own code raises (Intel SDM, volume 3, 6.3). */
import type { Event } from './vcpu.js';

export const vectors = {
  divideError: 0,
  debug: 1,
  nmi: 2,
  breakpoint: 3,
  overflow: 4,
  boundRange: 5,
  invalidOpcode: 6,
  deviceNotAvailable: 7,
  doubleFault: 8,
  invalidTask: 10,
  notPresent: 11,
  stackFault: 12,
  generalProtection: 13,
  pageFault: 14,
  floatingPoint: 16,
  simdFloat: 19,
} as const;

export function exception(
  vector: number,
  errorCode: number | null = null,
  address: bigint | null = null,
): Event {
  return { vector, errorCode, address, origin: 'exception' };
}

export const invalidOpcode = (): Event => exception(vectors.invalidOpcode);
export const generalProtection = (errorCode = 0): Event => exception(vectors.generalProtection, errorCode);

/** Ends the work of a host call for an instruction that raises an exception. */
export class Raised extends Error {
  readonly event: Event;

  constructor(event: Event) {
    super('an exception of the guest');
    this.event = event;
  }
}

/** Raises an exception for a selector: the error code is the selector without its RPL. */
export function raiseForSelector(vector: number, selector: number, isExternal = false): never {
  throw new Raised(exception(vector, (selector & 0xfffc) | (isExternal ? 1 : 0)));
}

export function raise(event: Event): never {
  throw new Raised(event);
}
