/**
 * Where things are in the engine's one WebAssembly memory. Each vCPU has a block of its own, to which `cpu` points;
 * decoded instructions are records of 16 bytes, one page of them for each page of code.
 */
import { registerFile } from '../isa/index.js';

/** Byte offsets in a vCPU's block. */
export const cpuOffsets = {
  /** 64-bit places of the register file. */
  registers: 0,
  pc: registerFile.places * 8,
  /** The four flag sources; see FlagSources in isa/micro_ops.ts. */
  n: registerFile.places * 8 + 8,
  z: registerFile.places * 8 + 16,
  v: registerFile.places * 8 + 24,
  c: registerFile.places * 8 + 32,
  /** Instructions that may still run, then those that did (counted down). */
  budget: registerFile.places * 8 + 40,
  /** 16 bytes through which an access goes that is not plain memory. */
  scratch: 336,
  /** Floating-point control and status (FPCR, FPSR), 32 bits each. */
  fpcr: 352,
  fpsr: 356,
  /** V0 to V31, 16 bytes each. */
  vectors: 512,
  codeTlb: 1024,
  readTlb: 1024 + 256 * 16,
  writeTlb: 1024 + 256 * 16 + 1024 * 16,
  size: 1024 + 256 * 16 + 2 * 1024 * 16,
} as const;

/** Entries are 16 bytes: the page's address as tag (or `noPage`), then a 32-bit place or distance. */
export const codeTlbEntries = 256;
export const dataTlbEntries = 1024;
/** A tag that no access has: tags are page addresses. */
export const noPage = 1n;

/** A record: handler (16 bits), six bytes of places and small numbers, 8 bytes of larger ones. */
export const recordBytes = 16;
export const recordOperands = 2;
export const recordNumbers = 8;
export const instructionsPerPage = 1024;
/** One record behind the last leads on to the next page. */
export const pageRecords = instructionsPerPage + 1;

/** Why `run` came back. */
export const exits = {
  /** The budget is used up; pc says where to go on. */
  budget: 0,
  /** The host stopped it (an exception to take, a machine to stop); the host knows. */
  host: 1,
} as const;
