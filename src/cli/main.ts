#!/usr/bin/env node
/**
 * The `domulator` command. It catches signals before the rest of the program loads, which takes a fraction of a second. So
 * even a boot that is interrupted then writes its report.
 */
import { StopRequest } from './boot/stop_request.js';

const args = process.argv.slice(2);
const stop = new StopRequest();
if (args[0] === 'boot' || args[0] === 'crash') stop.catchSignals();
// Not awaited here: the bundle of the command is a script, which has no await at its top level.
void import('./program.js').then(async ({ main }) => await main(args, stop));
