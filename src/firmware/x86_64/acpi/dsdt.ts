/** The DSDT of a PVH guest: the processors alone. */
import type { Aml } from './aml.js';
import * as aml from './aml.js';
import { acpiInfoAt } from '../memory_map.js';
import { processorEvent, processorScope } from './processors.js';

/** Size of the page's part that is declared (struct acpi_info). */
export const infoBytes = 0x28;

/** The fields of the page that the firmware fills in for this code; `info` in ./tables.ts has the same offsets. */
function info(): Aml {
  return aml.scope(
    '_SB_',
    aml.operationRegion('BIOS', aml.space.memory, aml.integer(Number(acpiInfoAt)), aml.integer(infoBytes)),
    aml.field('BIOS', [null, 16], ['NCPU', 16], [null, 64], ['MSUA', 32], ['MAPA', 32]),
  );
}

/** The AML of the DSDT, without its header. */
export function dsdtCode(): Uint8Array {
  return Uint8Array.from([...info(), ...processorScope(), ...processorEvent()]);
}
