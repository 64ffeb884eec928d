/** Who sits at the terminal: what they type goes to the guest, and they can end the run. */
import type { GuestRun } from '../../library/index.js';
import type { BootArguments } from './arguments.js';
import { interrupted } from './stop_request.js';
import type { StopRequest } from './stop_request.js';

/** ^], as telnet and xl console have it. Everything else, ^C too, is the guest's. */
const escapeByte = 0x1d;

export class Terminal {
  /**
   * Whether what is typed goes to the guest: where there are a keyboard and a screen, and a user space of the user's own
   * that may read it. Else the keyboard is left alone, and ^C ends the run.
   */
  readonly isInteractive: boolean;
  readonly #stop: StopRequest;
  #run: GuestRun | null = null;

  constructor(stop: StopRequest, args: BootArguments) {
    const { initrd, quiet = false, json = false, command, script } = args;
    this.#stop = stop;
    const hasBoth = process.stdin.isTTY && process.stdout.isTTY;
    // The input of a command is empty, at a terminal as in CI.
    const hasCommand = command !== undefined || script !== undefined;
    this.isInteractive = hasBoth && initrd !== undefined && !hasCommand && !quiet && !json;
  }

  /** From now on the keyboard and what ends a boot from outside are for `run`. */
  attach(run: GuestRun): void {
    this.#run = run;
    this.#stop.onRequest((why) => run.stop(why));
    if (!this.isInteractive) return;
    process.stderr.write('What you type goes to the guest; ^] ends the run.\n');
    process.stdin.setRawMode(true);
    process.stdin.on('data', this.#take);
  }

  detach(): void {
    this.#run = null;
    this.#stop.onRequest(null);
    if (!this.isInteractive) return;
    process.stdin.off('data', this.#take);
    process.stdin.setRawMode(false);
    // A keyboard that is listened to keeps the process alive.
    process.stdin.pause();
  }

  readonly #take = (bytes: Buffer): void => {
    const escape = bytes.indexOf(escapeByte);
    this.#run?.type(escape < 0 ? bytes : bytes.subarray(0, escape));
    if (escape >= 0) this.#stop.request(interrupted);
  };
}
