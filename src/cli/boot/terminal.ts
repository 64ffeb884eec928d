/** The user at the terminal: input goes to the guest, and ^] ends the run. */
import type { GuestRun } from '../../library/index.js';
import type { BootArguments } from './arguments.js';
import { interrupted } from './stop_request.js';
import type { StopRequest } from './stop_request.js';

/** ^], as in telnet and `xl console`. All other input, including ^C, goes to the guest. */
const escapeByte = 0x1d;

export class Terminal {
  /**
   * Whether input goes to the guest: if there are a keyboard and a screen, and the user's own user space may read the
   * input. Otherwise the keyboard is not read, and ^C ends the run.
   */
  readonly isInteractive: boolean;
  readonly #stop: StopRequest;
  #run: GuestRun | null = null;

  constructor(stop: StopRequest, args: BootArguments) {
    const { initrd, quiet = false, json = false, command, script } = args;
    this.#stop = stop;
    const hasBoth = process.stdin.isTTY && process.stdout.isTTY;
    // The input of a command is empty, both at a terminal and in CI.
    const hasCommand = command !== undefined || script !== undefined;
    this.isInteractive = hasBoth && initrd !== undefined && !hasCommand && !quiet && !json;
  }

  /** From now on, the keyboard and requests to stop control `run`. */
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
    // Reading the keyboard would keep the process alive.
    process.stdin.pause();
  }

  readonly #take = (bytes: Buffer): void => {
    const escape = bytes.indexOf(escapeByte);
    this.#run?.type(escape < 0 ? bytes : bytes.subarray(0, escape));
    if (escape >= 0) this.#stop.request(interrupted);
  };
}
