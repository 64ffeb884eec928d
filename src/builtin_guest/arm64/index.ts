/** The kernel for arm64: an ordinary Image, whose CPUs call each other by SGIs and by both event ABIs. */
import { a64, assemble } from '../../isa/index.js';
import { cpus } from './cpus.js';
import { entryCode, header, unloaded } from './entry.js';
import { events } from './events.js';
import { exceptions } from './exceptions.js';
import { exportTable } from './exports.js';
import { fuzzing } from './fuzz.js';
import { interrupts } from './interrupts.js';
import { main, texts } from './main.js';
import { printing } from './print.js';
import { rounds } from './rounds.js';
import { services } from './services.js';
import { kernelOf } from '../index.js';
import type { BuiltinKernel } from '../index.js';

/** The complete source text of the kernel, for the assembler. */
export function builtinSource(): string {
  const parts = [
    header,
    entryCode,
    printing,
    interrupts,
    events,
    cpus,
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

/** Assembles the builtin kernel. */
export function builtinKernel(): BuiltinKernel<{
  readonly architecture: 'arm64';
  readonly textOffset: number;
}> {
  return kernelOf({ architecture: 'arm64', textOffset: 0 }, () => assemble(a64(), builtinSource()));
}
