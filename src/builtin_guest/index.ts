/**
 * builtin_guest: a small arm64 kernel, assembled from the instruction definitions. It brings its vCPUs up, knows the
 * vCPU id of each CPU, and has each CPU call every other by every means that Xen offers on Arm. It is an ordinary arm64
 * Image.
 */
import { hashBytes } from '../base/index.js';
import { a64, assemble } from '../isa/index.js';
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

/** A kernel that needs no file. */
export interface BuiltinKernel {
  readonly name: 'builtin';
  readonly version: string;
  readonly sha256: string;
  /** An arm64 Image. */
  readonly image: Uint8Array;
  /** The size in memory. */
  readonly memoryBytes: number;
  readonly placement: { readonly architecture: 'arm64'; readonly textOffset: number };
}

const version = '1.0';

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
export function builtinKernel(): BuiltinKernel {
  const { bytes, memoryBytes } = assemble(a64, builtinSource());
  const sha256 = hashBytes(bytes);
  const placement = { architecture: 'arm64', textOffset: 0 } as const;
  return { name: 'builtin', version, sha256, image: bytes, memoryBytes, placement };
}
