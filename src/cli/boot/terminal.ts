/** Who sits at the terminal: what they type goes to the guest, and they can end the run. */
import type { GuestRun } from '../../library/index.js';
import { exitStatus } from '../host.js';
import type { BootArguments } from './arguments.js';

/** ^], as telnet and xl console have it. Everything else, ^C too, is the guest's. */
const escapeByte = 0x1d;

export class Terminal {
  /**
   * Whether what is typed goes to the guest: where there are a keyboard and a screen, and a user space of the user's own
   * that may read it. Else the keyboard is left alone, and ^C ends the run.
   */
  readonly isInteractive: boolean;
  #wasInterrupted = false;
  #run: GuestRun | null = null;

  constructor({ initrd, quiet = false, json = false }: BootArguments) {
    const hasBoth = process.stdin.isTTY && process.stdout.isTTY;
    this.isInteractive = hasBoth && initrd !== undefined && !quiet && !json;
  }

  /** Whether the run was ended from here, before it ended by itself. */
  get wasInterrupted(): boolean {
    return this.#wasInterrupted;
  }

  /** From now on the keyboard and SIGINT are for `run`. */
  attach(run: GuestRun): void {
    this.#run = run;
    process.on('SIGINT', this.#interrupt);
    if (!this.isInteractive) return;
    process.stderr.write('What you type goes to the guest; ^] ends the run.\n');
    process.stdin.setRawMode(true);
    process.stdin.on('data', this.#take);
  }

  detach(): void {
    this.#run = null;
    process.off('SIGINT', this.#interrupt);
    if (!this.isInteractive) return;
    process.stdin.off('data', this.#take);
    process.stdin.setRawMode(false);
    // A keyboard that is listened to keeps the process alive.
    process.stdin.pause();
  }

  /** The second time, or when nothing runs yet, there is nothing to be reported. */
  readonly #interrupt = (): void => {
    const { phase } = this.#run?.progress ?? { phase: 'loading' };
    if (this.#wasInterrupted || phase === 'loading') process.exit(exitStatus.interrupted);
    this.#wasInterrupted = true;
    this.#run?.stop('it was interrupted');
  };

  readonly #take = (bytes: Buffer): void => {
    const escape = bytes.indexOf(escapeByte);
    this.#run?.type(escape < 0 ? bytes : bytes.subarray(0, escape));
    if (escape >= 0) this.#interrupt();
  };
}
