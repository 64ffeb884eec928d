#!/usr/bin/env node
/** The `domulator` command: reads the arguments, runs one command, and turns every failure into one line. */
import { Command, CommanderError } from 'commander';
import { InputError } from '../base/index.js';
import { memoryMiB } from '../library/index.js';
import { explore, thread } from './commands.js';
import type { ExploreOptions, ThreadOptions } from './commands.js';
import type { BootArguments } from './boot/arguments.js';
import { boot } from './boot/command.js';
import { bisectStatus, complain, exitStatus, version, watchOutput } from './host.js';
import { usageLine } from './usage.js';

const examples = `
Examples:
  domulator boot                          boot Debian's arm64 kernel, and audit it
  domulator boot --quiet                  the same without its console
  domulator boot --help                   what else can be booted, and how
  domulator thread                        tell the thread of 2016, story by story
  domulator thread --story 3              one story by its number ...
  domulator thread --story arm-mend-fifo  ... or by its name
  domulator thread --html thread.html     the same as a page, to open from disk
  domulator thread --json | less          all that the runs gave, for programs
  domulator explore --matrix              which strategy holds on which platform?

Colours are used on a terminal only. NO_COLOR=1 turns them off, FORCE_COLOR=1 on.

Exit status:
   0  done; boot: every rule holds, and the guest got where it was asked to
   1  boot: a rule is broken
   2  bad arguments or input, no network, or a file that cannot be written
   3  boot: the guest panicked, hung or ended early, and no rule is broken
   4  boot: the same, and the guest had asked for something that is not here
  70  an error in domulator itself
  74  the output cannot be written, or nobody read a boot's to its end
 130  boot: interrupted`;

const threadExamples = `
Examples:
  domulator thread                      tell the whole thread
  domulator thread --story 1            the first story alone
  domulator thread --story arm-mend-fifo
                                        a story by the name in its heading
  domulator thread --html thread.html   one file; it needs no network
  domulator thread --json | jq '.stories[].run.outcome'
                                        what became of each guest

In the JSON, times (ns of system time) and addresses are strings of digits.`;

const exploreExamples = `
Examples:
  domulator explore --matrix          strategy x platform x scenario: pass, or
                                      the first rule that is broken
  domulator explore --matrix --json   the same for programs`;

const bootExamples = `
Examples:
  domulator boot                          Debian's stock kernel as a guest with four vCPUs
  domulator boot --quiet --report r.json  without its console; a report for programs
  domulator boot --what-if as-tested      the regression of 2016 on that kernel
  domulator boot --entry-vcpu 2           as a crash kernel is entered
  domulator boot --kernel Image --bisect  for git bisect run

Without --kernel, debian:bookworm is booted, fetched through the mirror that this
machine's apt sources name, and kept in the user's cache folder; where it cannot
be had, the builtin guest is. Unless said otherwise, a run is given up after
3,000 million instructions and 500 million more a vCPU, or after as many ns
of guest time and 30 s.

With --initrd and a terminal, what you type goes to the guest, and ^] ends the
run; then there are no limits, and the run goes on until the guest powers off.

Exit status:
    0  every rule holds, and the guest got where it was asked to
    1  a rule is broken; this outranks a panic or hang that may follow from it
    2  bad arguments or input, or no network
    3  the guest panicked, hung or ended early, and no rule is broken
    4  the same, after it asked for something that Xen has and domulator lacks
  130  interrupted (^C, or ^] at the console); the report says how far it was
With --bisect: 0 good, 1 bad, 125 for 3 and 4, 128 or more for anything else.`;

/** Every command throws rather than ends the process, and prints no error of its own. */
function quiet(command: Command): Command {
  return command
    .exitOverride()
    .configureOutput({ writeErr: () => undefined })
    .allowExcessArguments(false);
}

function createProgram(): Command {
  const program = quiet(new Command('domulator'))
    .description(
      'Boots arm64 kernels as Xen guests on emulated CPUs, with no Xen, and audits every vCPU id in every hypercall.',
    )
    .version(version(), '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .helpCommand('help [command]', "print a command's help")
    .addHelpText('after', examples);
  addBootCommand(program);
  quiet(program.command('thread'))
    .description('tell the 2016 thread about vCPU ids, each story run anew')
    .option('--story <number|name>', 'only this story')
    .option('--json', 'print all that the runs gave as JSON')
    .option('--html <file>', 'write a page to this file instead of printing')
    .helpOption('-h, --help', 'print this help')
    .addHelpText('after', threadExamples)
    .action((options: ThreadOptions) => {
      thread(options);
    });
  quiet(program.command('explore'))
    .description('run every strategy on every platform')
    .option('--matrix', 'print which strategy holds where')
    .option('--json', 'print it as JSON')
    .helpOption('-h, --help', 'print this help')
    .addHelpText('after', exploreExamples)
    .action((options: ExploreOptions) => {
      explore(options);
    });
  return program;
}

/** The status of a command that can end well in several ways. */
let commandStatus: number = exitStatus.ok;

function addBootCommand(program: Command): void {
  const { least, most, usual } = memoryMiB;
  quiet(program.command('boot'))
    .description('boot an arm64 kernel as a Xen guest on emulated CPUs, and audit every vCPU id')
    .option(
      '--kernel <debian:RELEASE|FILE|builtin>',
      "a Debian release's kernel, an Image or a package, or our own small guest",
    )
    .option(
      '--initrd <FILE>',
      'the initial file system; one that looks at its CPUs and powers off if not given',
    )
    .option('--cmdline <TEXT>', "the kernel's command line; console=ttyAMA0 if not given")
    .option('--vcpus <N>', 'how many vCPUs, 1 to 128; 4 if not given')
    .option('--memory <MiB>', `guest memory, ${least} to ${most} MiB; ${usual} if not given`)
    .option('--xen <RELEASE>', 'whose answers: 4.17, which it is if not given, or 4.18')
    .option('--seed <N>', 'decides the order in which vCPUs take turns; 1 if not given')
    .option('--no-xenstore', 'neither xenstore nor PV console, as in a guest that Xen builds itself')
    .option('--what-if <WHEN>', 'fill the records as the patch of 2016 did: as-posted or as-tested')
    .option('--entry-vcpu <K>', 'enter the kernel on vCPU K, as a crash kernel is; 0 if not given')
    .option('--until <GOAL>', 'userspace, poweroff or line:REGEX; poweroff, with --initrd userspace')
    .option('--limit <SECONDS[,INSTRUCTIONS]>', 'give up after so much guest time, or so many instructions')
    .option('--mirror <URL>', "the Debian mirror, if not the machine's own (or DOMULATOR_MIRROR)")
    .option(
      '--trace <FILE>',
      'write calls, starts, records, CPUs that come up and the end to this file, each a line of JSON',
    )
    .option('--report <FILE>', 'write the JSON report to this file')
    .option('--json', 'print the JSON report and nothing else')
    .option('--quiet', "do not show the guest's console")
    .option('--bisect', 'exit status for git bisect run: 0 good, 1 bad, 125 neither, 128 bad input')
    .helpOption('-h, --help', 'print this help')
    .addHelpText('after', bootExamples)
    .action(async (options: BootArguments) => {
      commandStatus = await boot(options);
    });
}

function statusOf(error: unknown, program: Command, args: readonly string[]): number {
  if (error instanceof CommanderError && error.exitCode === 0) return exitStatus.ok;
  if (error instanceof CommanderError) {
    complain(usageLine(error, program, args));
    return exitStatus.badInput;
  }
  if (error instanceof InputError) {
    complain(error.message);
    return exitStatus.badInput;
  }
  const what = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  complain(
    `internal error: ${what}; please report it with the command that you gave (DOMULATOR_DEBUG=1 adds where)`,
  );
  if (process.env['DOMULATOR_DEBUG'] === '1' && error instanceof Error)
    process.stderr.write(`${error.stack ?? ''}\n`);
  return exitStatus.internalError;
}

async function statusOfCommand(args: readonly string[]): Promise<number> {
  if (args.length === 0) {
    complain("no command given; try 'domulator boot', or 'domulator --help'");
    return exitStatus.badInput;
  }
  const program = createProgram();
  try {
    await program.parseAsync(args, { from: 'user' });
    return commandStatus;
  } catch (error) {
    return statusOf(error, program, args);
  }
}

/** A bisection takes every status below 128 for a word on the kernel; what went wrong with us must stop it. */
const saysOfKernel: readonly number[] = [exitStatus.ok, exitStatus.ruleBroken, bisectStatus.untold];

const given = process.argv.slice(2);
const isBisection = given.includes('--bisect');
// Nobody may take a boot for good whose end was not seen.
const unread = given[0] === 'boot' ? exitStatus.outputFailed : exitStatus.ok;
if (isBisection) watchOutput(bisectStatus.stop, bisectStatus.stop);
else watchOutput(unread, exitStatus.outputFailed);
const status = await statusOfCommand(given);
process.exitCode =
  isBisection && status < bisectStatus.stop && !saysOfKernel.includes(status) ? bisectStatus.stop : status;
