/**
 * guest_init: builds the first process of a guest that runs one command. It is a static program, built separately for
 * each command. It mounts the usual file systems, runs the command, reports its wait status to the host, and powers the
 * guest off.
 */
export { loadInitArchitecture } from './architecture.js';
export type { InitArchitecture } from './architecture.js';
export { begunOffset, checkArguments, commandLimits, initProgram } from './init_program.js';
export type { InitCommand } from './init_program.js';
export { commandEndOf, stackSearchBytes } from './reported_status.js';
export type { CommandEnd } from './reported_status.js';
