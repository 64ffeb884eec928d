/** What a report says of the machine of an amd64 guest. The rest of this folder is loaded only for such a guest. */
export const machineKind = { arch: 'amd64', interruptController: 'local APIC' } as const;
