/** The state slots that every architecture has, in addition to its own. */

/** Indexes of the slots for floating-point control and status. Each architecture numbers its own slots after these. */
export const floatState = { control: 0, status: 1 } as const;
