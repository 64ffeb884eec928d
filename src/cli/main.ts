#!/usr/bin/env node
/**
 * The `domulator` command. It catches signals before the rest of the program loads, which takes a fraction of a second. So
 * even a boot that is interrupted then writes its report.
 */
import { StopRequest } from './boot/stop_request.js';

const args = process.argv.slice(2);
const stop = new StopRequest();
if (args[0] === 'boot') stop.catchSignals();
const { main } = await import('./program.js');
await main(args, stop);
