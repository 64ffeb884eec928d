/**
 * audit: what a guest did, held against the truth. It reads the trace of a run and the platform's facts; it never
 * imports what builds guests, firmware or domains, else it would confirm itself. Each rule has a name, a reason and
 * a source; what became of the guest is told beside them and judges nothing.
 */
export type * from './finding.js';
export type * from './trace.js';
export { audit, firstBroken } from './audit.js';
export { judgeCalls, notJudgedCalls } from './judge.js';
export { isNeutral, isRead } from './relevance.js';
export { endOf, reachesGoal } from './outcome.js';
export { rules } from './rules.js';
