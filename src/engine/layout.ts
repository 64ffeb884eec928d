/**
 * Layout of the engine's WebAssembly memory. Each vCPU has a block, to which `cpu` points, and several TLB sets, one of
 * which is current. Decoded instructions are records of 16 bytes.
 */
import { alignUp } from '../base/index.js';
import { floatState } from '../isa/index.js';

/** Capacity of a vCPU's block, for every architecture: registers, flags, vector registers and state slots. */
export const blockRoom = { registers: 40, flags: 8, vectors: 32, state: 128 } as const;

/** The fields of a vCPU's block in order, with their sizes in bytes. A field is aligned to its size, up to 16. */
const blockFields = {
  /** The register file, 64 bits per register. */
  registers: 8 * blockRoom.registers,
  pc: 8,
  /** The flag sources, 8 bytes each (flags.ts). */
  flags: 8 * blockRoom.flags,
  /** Remaining instructions; negative when the last branch exceeded the budget. */
  budget: 4,
  /**
   * Valid during a host call: the current record, and the record at which the budget is used up
   * (interpreter_function.ts).
   */
  record: 4,
  limit: 4,
  /** While a vCPU runs: the instructions that were executed since the time slice began, and the rest of the budget, together. */
  granted: 4,
  /**
   * Byte offsets of the current TLB sets: for accesses with the rights of the current level, and for accesses with
   * those of user code.
   */
  tlb: 4,
  unprivilegedTlb: 4,
  /** 16 bytes that hold the data of an access that is not plain memory. */
  scratch: 16,
  /** The host's answer to a call, 64 bits. */
  answer: 8,
  /** Where the interpreter saves its local `base` during a call (run_state.ts). */
  base: 8,
  /** The vector registers, 16 bytes each. */
  vectors: 16 * blockRoom.vectors,
  /** State other than registers, 64 bits per slot (see isa, statePlace). */
  state: 8 * blockRoom.state,
} as const;

type BlockField = keyof typeof blockFields;

function layOutBlock(): Readonly<Record<BlockField, number>> & { readonly end: number } {
  let end = 0;
  const entries = Object.entries(blockFields).map(([name, bytes]): [string, number] => {
    const offset = alignUp(end, Math.min(bytes, 16));
    end = offset + bytes;
    return [name, offset];
  });
  return { ...(Object.fromEntries(entries) as Record<BlockField, number>), end };
}

const block = layOutBlock();

/** Byte offsets in a vCPU's block. */
export const cpuOffsets = {
  ...block,
  /** Floating-point control and status: the low 32 bits of their state slots. */
  floatControl: block.state + 8 * floatState.control,
  floatStatus: block.state + 8 * floatState.status,
  size: alignUp(block.end, 1024),
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
 * A TLB entry: the page address (always a page of 4 KiB, whatever the guest's granule is). For code, a byte offset that
 * the code layout uses (code_layout.ts). For data, the difference between byte offset and address, and whether unaligned accesses must
 * miss. In an empty entry all bits are 1, so its tag matches no page.
 */
export const tlbEntry = { tag: 0, value: 8, alignedOnly: 12, bytes: 16 } as const;

/**
 * How a TLB miss is described to the host: the number of bytes (16 at most), the rights of the access, and whether it is a load from
 * where a store follows.
 */
export const accessFlags = { bytes: 31, unprivileged: 32, clearBlock: 64, modify: 128 } as const;
/** Results of the host other than a byte offset: the access faulted; the store was done. */
export const accessResults = { faulted: -1, done: -2 } as const;

/** Budgets must be below this: a record for each instruction of a budget must fit the range of byte offsets. */
export const budgetLimit = 2 ** 26;

/** Size of a record: handler (16 bits), six bytes of registers and small numbers, 8 bytes of larger numbers. */
export const recordBytes = 16;
export const recordShift = 4;
export const recordOperands = 2;
export const recordNumbers = 8;

/** Reasons why the interpreter returned. */
export const exits = {
  /** The budget is used up. Execution continues at pc. */
  budget: 0,
  /** The host stopped the run, for an exception or on request of the machine. The host knows which. */
  host: 1,
} as const;
