/**
 * audit: what a guest did, held against the truth. It reads the trace of a run and the platform's facts; it never
 * imports what builds guests, firmware or domains, else it would confirm itself.
 */
export type * from './finding.js';
export type * from './trace.js';
