/**
 * Where things are in the engine's one WebAssembly memory. Each vCPU has a block of its own, to which `cpu` points, and
 * sets of translations that were made (TLBs), one of which is in use; decoded instructions are records of 16 bytes, one
 * page of them for each page of code.
 */
import { registerFile, statePlace, statePlaces } from '../isa/index.js';

const stateStart = 1024;

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
  /** Instructions that may still run; negative when the last branch went beyond it. */
  budget: registerFile.places * 8 + 40,
  /** Where the host is called: the present record, and that at which the budget would be used up (interpreter.ts). */
  record: registerFile.places * 8 + 44,
  limit: 332,
  /** The places of the TLB sets: for accesses with the rights of the present level, and with EL0's. */
  tlb: 320,
  unprivilegedTlb: 324,
  /** 16 bytes through which an access goes that is not plain memory. */
  scratch: 336,
  /** What the host answers to a call, 64 bits. */
  answer: 352,
  /** Where the interpreter keeps a local of its own while it calls. */
  pcBase: 360,
  /** V0 to V31, 16 bytes each. */
  vectors: 512,
  /** The places of the state beyond registers, 64 bits each (see isa/arm64/system_registers.ts). */
  state: stateStart,
  /** Floating-point control and status: 32 bits of their places. */
  fpcr: stateStart + 8 * statePlace('FPCR'),
  fpsr: stateStart + 8 * statePlace('FPSR'),
  size: stateStart + Math.ceil((8 * statePlaces) / 1024) * 1024,
} as const;

export const codeTlbEntries = 1024;
export const dataTlbEntries = 1024;

/** Byte offsets in a TLB set: tables for code, reading and writing, one entry for each page number modulo their size. */
export const tlbOffsets = {
  code: 0,
  read: codeTlbEntries * 16,
  write: (codeTlbEntries + dataTlbEntries) * 16,
  size: (codeTlbEntries + 2 * dataTlbEntries) * 16,
} as const;

/**
 * A TLB entry: the page's address (a page of 4 KiB, whatever the guest's are); for code the place of its records, for
 * data what must be added to an address to get its place; and, for data, whether unaligned accesses must not go this way.
 * All bits of an entry that holds nothing are 1: its tag is no page's address.
 */
export const tlbEntry = { tag: 0, place: 8, alignedOnly: 12, bytes: 16 } as const;

/** How an access that missed the TLB is told to the host: its bytes (16 at most), and with whose rights it is done. */
export const accessFlags = { bytes: 31, unprivileged: 32, clearBlock: 64 } as const;
/** What the host answers instead of a place: the access faulted; the store was done. */
export const accessResults = { faulted: -1, done: -2 } as const;

/** Budgets are below this: 16 times one must be a place. */
export const budgetLimit = 2 ** 26;

/** A record: handler (16 bits), six bytes of places and small numbers, 8 bytes of larger ones. */
export const recordBytes = 16;
export const recordOperands = 2;
export const recordNumbers = 8;
export const instructionsPerPage = 1024;
/** One record behind the last leads on to the next page. */
export const pageRecords = instructionsPerPage + 1;

/** Why the interpreter came back. */
export const exits = {
  /** The budget is used up; pc says where to go on. */
  budget: 0,
  /** The host stopped it (an exception to take, a machine to stop); the host knows. */
  host: 1,
} as const;
