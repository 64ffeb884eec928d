/** The state slots that every architecture has, whatever else a vCPU keeps beside its registers. */

/** The slots, by index, of the control and the status of floating point. Each architecture numbers its state from these on. */
export const floatState = { control: 0, status: 1 } as const;
