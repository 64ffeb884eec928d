/**
 * guest_init: the first process of a guest that runs one command: a static program, made anew for each command, that mounts
 * the usual file systems, runs the command, reports its wait status to the host, and powers the guest off.
 */
export { commandLimits, initProgram } from './init_program.js';
export type { InitCommand } from './init_program.js';
export { commandEndOf, stackSearchBytes } from './reported_status.js';
export type { CommandEnd } from './reported_status.js';
