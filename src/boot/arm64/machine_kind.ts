/** What a report says of the machine of an arm64 guest. */
export const machineKind = { arch: 'arm64', interruptController: 'GICv3' } as const;
