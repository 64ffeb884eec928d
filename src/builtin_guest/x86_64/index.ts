/**
 * The kernel for x86-64: an ELF file with a PVH entry and one as PVHVM guests have, whose CPUs call each other by interrupts of their local APICs and by both
 * event ABIs.
 */
import { assemble, x86 } from '../../isa/x86_64/index.js';
import { kernelOf } from '../index.js';
import type { BuiltinKernel } from '../index.js';
import { cpus } from './cpus.js';
import { entryCode, header, unloaded } from './entry.js';
import { choosing } from './errors.js';
import { events } from './events.js';
import { exceptions } from './exceptions.js';
import { exportTable } from './exports.js';
import { fuzzing } from './fuzz.js';
import { interrupts } from './interrupts.js';
import { entry64Offset, entryOffset, loadAt } from './layout.js';
import { main, texts } from './main.js';
import { printing } from './print.js';
import { rounds } from './rounds.js';
import { services } from './services.js';
import { starting } from './starting.js';

/** The complete source text of the kernel, for the assembler. */
export function builtinSource(): string {
  const parts = [
    header,
    entryCode,
    printing,
    interrupts,
    events,
    cpus,
    starting,
    choosing,
    rounds,
    services,
    main,
    fuzzing,
    exportTable,
    exceptions,
    texts,
    unloaded,
  ];
  return parts.join('\n');
}

/** Assembles the source text for its place in memory. */
export function assembleBuiltin(): ReturnType<typeof assemble> {
  return assemble(x86, builtinSource(), loadAt, 64);
}

/** The builtin kernel, assembled unless its image was prepared. */
export function builtinKernel(): BuiltinKernel<{
  readonly architecture: 'amd64';
  readonly loadAt: number;
  readonly entry: number;
  readonly entry64: number;
}> {
  const entries = { entry: loadAt + entryOffset, entry64: loadAt + entry64Offset };
  const placement = { architecture: 'amd64', loadAt, ...entries } as const;
  return kernelOf(placement, assembleBuiltin);
}
