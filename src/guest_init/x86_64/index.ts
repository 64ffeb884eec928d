/** The first process of an amd64 guest. */
import type { InitArchitecture } from '../architecture.js';
import { assembledCode, powerOffNumber } from './code.js';
import { savedRegisters } from './saved_registers.js';

export const x86_64: InitArchitecture = { elfMachine: 62, assembledCode, powerOffNumber, savedRegisters };
