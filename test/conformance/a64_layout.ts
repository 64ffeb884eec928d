/** Layout of the data that a64_runner.c reads and writes. It must match the structs there. */

export const memoryStart = 0x20000000n;
export const memoryBytes = 0x40000;
export const slotsStart = 0x6000000n;
export const slotBytes = 64;
/** Each slot starts with one instruction; the word under test follows. */
export const wordOffset = 4;

/** `struct state`, which starts with X0 to X30. */
export const stateOffsets = { sp: 248, nzcv: 256, fpcr: 264, fpsr: 272, v: 288 } as const;
export const stateBytes = 800;

export const testBytes = 16;

/** `struct outcome`. It starts like the state, with pc in the unused space of the state. */
export const outcomeOffsets = { pc: 280, signal: 800, first: 804, last: 808, changed: 816 } as const;
export const changedBytes = 96;
export const outcomeBytes = 912;

/** The memory's content before a test. */
export function memoryPattern(): Uint8Array {
  const bytes = new Uint8Array(memoryBytes);
  const view = new DataView(bytes.buffer);
  for (let index = 0; index < memoryBytes / 8; index += 1) {
    view.setBigUint64(8 * index, BigInt.asUintN(64, BigInt(index + 1) * 0x9e3779b97f4a7c15n), true);
  }
  return bytes;
}
