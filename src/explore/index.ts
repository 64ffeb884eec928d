/**
 * explore: model guests that perform what Linux performs, step by step, against the real hypervisor core; the
 * stories told with them and the matrix over all of them.
 */
export type * from './scenario.js';
