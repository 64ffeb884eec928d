/**
 * Layout of the engine's WebAssembly memory. Each vCPU has a block, to which `cpu` points, and several TLB sets, one of
 * which is current. Decoded instructions are records of 16 bytes; each code page has one page of records per decode
 * variant.
 */
import { registerFile, statePlace, statePlaces } from '../isa/index.js';

const stateStart = 1024;

/** Byte offsets in a vCPU's block. */
export const cpuOffsets = {
  /** The register file, 64 bits per register. */
  registers: 0,
  pc: registerFile.places * 8,
  /** The four flag sources; see FlagSources in isa/micro_ops.ts. */
  n: registerFile.places * 8 + 8,
  z: registerFile.places * 8 + 16,
  v: registerFile.places * 8 + 24,
  c: registerFile.places * 8 + 32,
  /** Remaining instructions; negative when the last branch exceeded the budget. */
  budget: registerFile.places * 8 + 40,
  /**
   * Valid during a host call: the current record, and the record at which the budget is used up
   * (interpreter_function.ts).
   */
  record: registerFile.places * 8 + 44,
  limit: 332,
  /**
   * Byte offsets of the current TLB sets: for accesses with the rights of the current level, and for accesses with
   * EL0's rights.
   */
  tlb: 320,
  unprivilegedTlb: 324,
  /** 16 bytes that hold the data of an access that is not plain memory. */
  scratch: 336,
  /** The host's answer to a call, 64 bits. */
  answer: 352,
  /** Where the interpreter saves one of its locals during a call. */
  pcBase: 360,
  /** V0 to V31, 16 bytes each. */
  vectors: 512,
  /** State other than registers, 64 bits per slot (see isa/arm64/system_registers.ts). */
  state: stateStart,
  /** FPCR and FPSR: the low 32 bits of their slots. */
  fpcr: stateStart + 8 * statePlace('FPCR'),
  fpsr: stateStart + 8 * statePlace('FPSR'),
  size: stateStart + Math.ceil((8 * statePlaces) / 1024) * 1024,
} as const;

export const codeTlbEntries = 1024;
export const dataTlbEntries = 1024;

/** Byte offsets in a TLB set: tables for code, reads and writes. Each has one entry per page number modulo its size. */
export const tlbOffsets = {
  code: 0,
  read: codeTlbEntries * 16,
  write: (codeTlbEntries + dataTlbEntries) * 16,
  size: (codeTlbEntries + 2 * dataTlbEntries) * 16,
} as const;

/**
 * A TLB entry: the page address (always a page of 4 KiB, whatever the guest's granule is). For code, the byte offset of
 * the page's records. For data, the difference between byte offset and address, and whether unaligned accesses must
 * miss. In an empty entry all bits are 1, so its tag matches no page.
 */
export const tlbEntry = { tag: 0, place: 8, alignedOnly: 12, bytes: 16 } as const;

/** How a TLB miss is described to the host: the number of bytes (16 at most), and the rights of the access. */
export const accessFlags = { bytes: 31, unprivileged: 32, clearBlock: 64 } as const;
/** Results of the host other than a byte offset: the access faulted; the store was done. */
export const accessResults = { faulted: -1, done: -2 } as const;

/** Budgets must be below this: 16 times a budget must fit the range of byte offsets. */
export const budgetLimit = 2 ** 26;

/** Size of a record: handler (16 bits), six bytes of registers and small numbers, 8 bytes of larger numbers. */
export const recordBytes = 16;
export const recordOperands = 2;
export const recordNumbers = 8;
export const instructionsPerPage = 1024;
/** One extra record after the last instruction leads to the next page. */
export const pageRecords = instructionsPerPage + 1;

/** Reasons why the interpreter returned. */
export const exits = {
  /** The budget is used up. Execution continues at pc. */
  budget: 0,
  /** The host stopped the run, for an exception or on request of the machine. The host knows which. */
  host: 1,
} as const;
