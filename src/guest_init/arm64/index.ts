/** The first process of an arm64 guest. */
import type { InitArchitecture } from '../architecture.js';
import { assembledCode, powerOffNumber } from './code.js';
import { savedRegisters } from './saved_registers.js';

export const arm64: InitArchitecture = { elfMachine: 183, assembledCode, powerOffNumber, savedRegisters };
