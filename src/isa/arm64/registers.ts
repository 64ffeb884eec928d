/** The modes of an A64 CPU, and the layout of its register file. */

/** Exception level and selected stack pointer (DDI 0487, PSTATE.M). They determine which instructions are allocated. */
export const modes = ['EL0t', 'EL1t', 'EL1h'] as const;
export type Mode = (typeof modes)[number];

/** The indexes of the register file after X0 to X30. */
export const registerFile = { zero: 31, sink: 32, stackPointer: 33, places: 34 } as const;
