/**
 * audit: compares what a guest did with the truth. It reads the trace of a run and the facts about the platform. It never
 * imports the modules that build guests, firmware or domains; otherwise it would confirm itself. Each rule has a name, a reason
 * and a source. The outcome of the guest is reported separately and does not affect the judgement.
 */
export type * from './finding.js';
export type * from './trace.js';
export { audit, firstBroken } from './audit.js';
export { judgeCalls, notJudgedCalls } from './judge.js';
export { isNeutral, isRead } from './relevance.js';
export { endOf, reachesGoal } from './outcome.js';
export { rules } from './rules.js';
export { patienceNs } from './rules/events.js';
