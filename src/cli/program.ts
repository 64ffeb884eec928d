/** Reads the arguments, runs one command, and turns every failure into one line. */
import { Command, CommanderError } from 'commander';
import { domulatorVersion, InputError } from '../base/index.js';
import {
  cpuModels,
  crashMemory,
  crashMemoryMiB,
  debianGrammar,
  defaultCpuModel,
  defaultKernel,
  defaultXenRelease,
  engineKinds,
  kexecSyscalls,
  memoryMiB,
  seeds,
  unpackingInstructions,
  usualLimits,
  vcpuCount,
  xenReleases,
} from '../library/index.js';
import type { Range } from '../library/index.js';
import { explore, thread } from './commands.js';
import type { ExploreOptions, ThreadOptions } from './commands.js';
import type { BootArguments } from './boot/arguments.js';
import { boot } from './boot/command.js';
import type { CrashArguments } from './crash/arguments.js';
import { crash } from './crash/command.js';
import type { StopRequest } from './boot/stop_request.js';
import { bisectStatus, complain, exitStatus, watchOutput } from './host.js';
import { addKernelsCommand } from './kernels/command.js';
import { usageLine } from './usage.js';

const examples = `
Examples:
  domulator boot                          boot Debian's arm64 kernel and audit it
  domulator boot --quiet                  the same without the guest's console
  domulator boot --help                   other kernels, and all options
  domulator crash                         crash it on each vCPU, and audit what follows
  domulator kernels                       list the kernels of Debian that can be booted
  domulator thread                        replay the 2016 thread, story by story
  domulator thread --story 3              one story by number ...
  domulator thread --story arm-mend-fifo  ... or by name
  domulator thread --html thread.html     the same as a self-contained page
  domulator thread --json | less          everything the runs produced, as JSON
  domulator explore --matrix              which strategy holds on which platform

Colours appear on a terminal only. NO_COLOR=1 turns them off, FORCE_COLOR=1 on.

Exit status:
   0  success; boot: every rule holds, and the guest reached its goal
   1  boot: a rule is broken
   2  bad arguments or input, no network, or a file that cannot be written
   3  boot: the guest panicked, hung or ended early, and no rule is broken
   4  boot: as 3, and the guest asked for something that domulator lacks
   5  boot: every rule holds, but the guest's command failed
  70  an internal error in domulator
  74  the output could not be written, or its reader went away before a boot's end
 129  boot: stopped by SIGHUP, as when its terminal closes
 130  boot: stopped by ^C (SIGINT)
 143  boot: stopped by SIGTERM`;

const threadExamples = `
Examples:
  domulator thread                      replay the whole thread
  domulator thread --story 1            the first story only
  domulator thread --story arm-mend-fifo
                                        a story by the name in its heading
  domulator thread --html thread.html   one file that needs no network
  domulator thread --json | jq '.stories[].run.outcome'
                                        the outcome of each guest

In the JSON, times (system time in ns) and addresses are strings of digits.`;

const exploreExamples = `
Examples:
  domulator explore --matrix          strategy x platform x scenario: pass, or
                                      the first broken rule
  domulator explore --matrix --json   the same for programs`;

/** `3,000` for 3,000 million. (Formatting by locale would load the host's tables, which takes longer than all else here.) */
function millions(count: number): string {
  return String(count / 1e6).replace(/\B(?=(\d{3})+$)/g, ',');
}

const bootExamples = `
Examples:
  domulator boot                          Debian's stock kernel with four vCPUs
  domulator boot --quiet --report r.json  no console; a JSON report
  domulator boot --what-if as-tested      the regression of 2016 on that kernel
  domulator boot --entry-vcpu 2           enter the kernel as a crash kernel is
  domulator boot --kernel Image --bisect  for git bisect run
  domulator boot -- dmesg -l err          run a command in the guest
  domulator boot --script test.sh         run a script in the guest
  domulator boot --checkpoint vm --checkpoint-at userspace
  domulator boot --from vm --seed 2       go on from there, in another order

Default kernel: ${defaultKernel}, fetched from the mirror in this machine's apt
sources and kept in the user's cache directory. If it cannot be fetched, the
built-in guest boots instead.

Default limits: ${millions(usualLimits.instructions)} million instructions plus ${millions(usualLimits.perVcpu)} million per vCPU, and as many
nanoseconds of guest time plus ${usualLimits.idleSeconds} s.

A command after '--' runs in the user space as root, with an empty standard
input, and gets its arguments as given; then the guest powers off. With --initrd
it runs in that file system, started by /domulator-init instead of the file
system's own init. How it ended is in the report and, if it failed, on standard error.

A checkpoint holds all that its guest needs, and is read by the same build of
domulator only. With --from, only --seed, --engine, --until, --limit, a command, --script and
what is written or shown can be given; the rest was settled when the guest was
booted. Limits count from the start of that boot, and --trace begins at the
checkpoint. A guest that was booted with a command takes another one, or a script,
until its own begins:
  domulator boot --checkpoint vm --checkpoint-at userspace -- true
  domulator boot --from vm -- dmesg -l err

With --initrd on a terminal, your input goes to the guest and ^] ends the run.
Such a run has no limits and lasts until the guest powers off.

Exit status:
    0  every rule holds, and the guest reached its goal
    1  a rule is broken, even if the guest then panicked or hung
    2  bad arguments or input, no network, or a file that cannot be written
    3  the guest panicked, hung or ended early, and no rule is broken
    4  as 3, and the guest asked for something that Xen has and domulator lacks
    5  every rule holds, but the command or script failed
   70  an error in domulator itself
   74  standard output cannot be written
  129  stopped by SIGHUP, as when its terminal closes
  130  stopped by ^C (SIGINT), or by ^] at the console
  143  stopped by SIGTERM
A boot that a signal stops still writes the files it was asked for, whenever the
signal comes. A second ^C only skips what would be printed.
With --bisect: 0 good, 1 bad, 125 (skip) for 3 and 4, 128 or more for the rest.
A command counts there as in git bisect run: 125 skips, 126 and 127 (it could not
be run) stop the bisection, any other failure is bad.`;

const crashExamples = `
Examples:
  domulator crash                         crash Debian's kernel on each of four vCPUs
  domulator crash --crash-on 2 --verbose  on vCPU 2 only, with all that is known
  domulator crash --crash-by kexec        leave it in order instead
  domulator crash --toolstack ideal       if the domain were reset at the jump
  domulator crash --checkpoint vm --crash-on 0
  domulator crash --from vm --crash-on 1  from the same boot, on another vCPU
  domulator crash --arch amd64 --type hvm --kernel debian:bookworm/cloud

The guest loads the crash kernel with kexec-tools of its Debian release, which is
fetched like the kernel. It needs crashkernel= on its command line. The guest boots
once; for each vCPU a copy of it goes on, crashes there and runs on in the crash
kernel, which powers off if it gets so far. Each run is judged by itself, and the
exit status is that of the worst, as for 'domulator boot'.

A command after '--', or a script, runs in the crash kernel, with makedumpfile beside
busybox's commands, and each run then ends with it:
  domulator crash --verbose -- \\
    sh -c 'makedumpfile --dump-dmesg /proc/vmcore /log && cat /log'

An amd64 crash kernel unpacks itself. So the default limits are those of 'domulator
boot' and on amd64 ${millions(unpackingInstructions)} million instructions more. A PVH guest is destroyed at the
jump, as xl does; --type hvm is reset.`;

/** Commands throw errors; they neither end the process nor print the error. */
function quiet(command: Command): Command {
  return command
    .exitOverride()
    .configureOutput({ writeErr: () => undefined })
    .allowExcessArguments(false);
}

/** The commands that take a guest's command after `--`. */
const takingCommands: readonly (string | undefined)[] = ['boot', 'crash'];

/** The arguments of such a command before `--`, and the guest's command after it; null without `--`. */
function splitAtCommand(
  args: readonly string[],
): [own: readonly string[], command: readonly string[] | null] {
  const at = takingCommands.includes(args[0]) ? args.indexOf('--') : -1;
  return at < 0 ? [args, null] : [args.slice(0, at), args.slice(at + 1)];
}

function createProgram(stop: StopRequest, command: readonly string[] | null): Command {
  const program = quiet(new Command('domulator'))
    .description(
      'Boots arm64 and amd64 kernels as SMP Xen guests on emulated CPUs, with no Xen, and audits every vCPU id in every hypercall.',
    )
    .version(domulatorVersion, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .helpCommand('help [command]', "print a command's help")
    .addHelpText('after', examples);
  addBootCommand(program, stop, command);
  addCrashCommand(program, stop, command);
  addKernelsCommand(quiet(program.command('kernels')));
  quiet(program.command('thread'))
    .description('replay the 2016 thread about vCPU ids with model guests')
    .option('--story <number|name>', 'replay this story only')
    .option('--json', 'print everything the runs produced as JSON')
    .option('--html <file>', 'write an HTML page to this file instead of printing')
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

/** The status of a command that has more than one successful status. */
let commandStatus: number = exitStatus.ok;

/** `1-128 (default: 4)`. */
function rangeText({ least, most, usual }: Range): string {
  return `${least}-${most} (default: ${usual})`;
}

const cpuOption = [
  '--cpu <MODEL>',
  `CPUs of an amd64 guest: ${cpuModels.join(' or ')}, the level x86-64-v2 and more (default: ${defaultCpuModel})`,
] as const;

/** The options of what is written of a report. */
function addReportOptions(command: Command): Command {
  return command
    .option('--report <FILE>', 'write the JSON report to this file')
    .option('--junit <FILE>', 'write JUnit XML to this file: a test for each rule')
    .option('--sarif <FILE>', 'write the findings to this file as SARIF 2.1.0')
    .option('--json', 'print only the JSON report');
}

const runsTraceOption = [
  '--trace <FILE>',
  'write every event of all runs to this file, one JSON object per line, with the number of its run (null: before the first)',
] as const;

const kexecSyscallOption = [
  '--kexec-syscall <NAME>',
  `system call by which it is loaded: ${kexecSyscalls.join(' or ')}, which Debian's arm64 kernels lack (default: kexec_load)`,
] as const;

const softResetOption = [
  '--on-soft-reset <WHAT>',
  'when an amd64 guest asks for a soft reset: soft-reset, which xl does for hvm only, or destroy (default: soft-reset)',
] as const;

const unpackOption = [
  '--unpack <WHO>',
  'who unpacks the bzImage of an hvm guest: the host, or the guest, which may move its kernel (default: host)',
] as const;

function addBootCommand(program: Command, stop: StopRequest, command: readonly string[] | null): void {
  const options = quiet(program.command('boot'))
    .description('boot an arm64 or amd64 kernel as a Xen guest on emulated CPUs, and audit every vCPU id')
    .option(
      '--kernel <KERNEL>',
      `${debianGrammar}, an Image, bzImage or package file, or builtin (default: ${defaultKernel})`,
    )
    .option('--arch <ARCH>', 'arm64 or amd64 (default: that of the --kernel file, else arm64)')
    .option('--type <TYPE>', 'kind of an amd64 guest: pvh or hvm (default: pvh)')
    .option(...cpuOption)
    .option('--initrd <FILE>', 'initial file system (default: a busybox that shows its CPUs and powers off)')
    .option('--cmdline <TEXT>', 'kernel command line (default: console=ttyAMA0; on amd64 console=hvc0)')
    .option('--vcpus <N>', `number of vCPUs, ${rangeText(vcpuCount)}`)
    .option('--memory <MiB>', `guest memory in MiB, ${rangeText(memoryMiB)}`)
    .option(
      '--xen <RELEASE>',
      `Xen release to emulate: ${xenReleases.join(' or ')} (default: ${defaultXenRelease})`,
    )
    .option('--seed <N>', `seed of the vCPU schedule (default: ${seeds.usual})`)
    .option(
      '--engine <NAME>',
      `what runs the guest's instructions: ${engineKinds.join(' or ')} (default: interpreter); the run is the same, and the compiler is for arm64`,
    )
    .option('--no-xenstore', 'no xenstore and no PV console, like a guest that Xen builds itself')
    .option(
      '--on-reboot <WHAT>',
      'when the guest asks for a reboot: end the run, or restart it in a new domain as xl does (default: end)',
    )
    .option(...softResetOption)
    .option(...unpackOption)
    .option(
      '--what-if <WHAT>',
      "fill the kernel's vCPU id records as the 2016 patch did (as-posted, as-tested; arm64), or otherwise (amd64): with CPU numbers (before-the-patch), APIC ids (apic-id) or their halves (apic-id-half)",
    )
    .option('--entry-vcpu <K>', 'vCPU on which to enter the kernel, as a crash kernel is (default: 0)')
    .option(
      '--until <GOAL>',
      'goal of the run: userspace, poweroff or line:REGEX (default: poweroff; userspace with --initrd)',
    )
    .option('--limit <SECONDS[,INSTRUCTIONS]>', 'stop after SECONDS of guest time or INSTRUCTIONS')
    .option(
      '--mirror <URL>',
      "Debian mirror (default: DOMULATOR_MIRROR, else the one in this machine's apt sources)",
    )
    .option('--script <FILE>', "script to run in the guest, like a command after '--'")
    .option('--checkpoint <FILE>', 'write the running guest to this file, and go on')
    .option('--checkpoint-at <PLACE>', 'where to write it: userspace, line:REGEX or time:SECONDS')
    .option('--from <FILE>', 'go on from a checkpoint instead of booting a kernel')
    .option('--trace <FILE>', 'write every event of the trace to this file, one JSON object per line');
  addReportOptions(options)
    .option('--quiet', "hide the guest's console, and with it the output of a command")
    .option('--bisect', 'exit status for git bisect run: 0 good, 1 bad, 125 skip, 128 or more to stop')
    .helpOption('-h, --help', 'print this help')
    .addHelpText('after', bootExamples)
    .action(async (args: BootArguments) => {
      commandStatus = await boot(command === null ? args : { ...args, command }, stop);
    });
}

function addCrashCommand(program: Command, stop: StopRequest, command: readonly string[] | null): void {
  const options = quiet(program.command('crash'))
    .description('crash a guest on each vCPU, follow it into its crash kernel, and audit both')
    .option(
      '--kernel <KERNEL>',
      `${debianGrammar}, or an Image, bzImage or package file (default: ${defaultKernel})`,
    )
    .option('--arch <ARCH>', 'arm64 or amd64 (default: arm64)')
    .option('--type <TYPE>', 'kind of an amd64 guest: pvh or hvm (default: pvh)')
    .option(...cpuOption)
    .option(
      '--cmdline <TEXT>',
      `kernel command line (default: console=ttyAMA0, on amd64 console=hvc0, and crashkernel=${crashMemory})`,
    )
    .option('--vcpus <N>', `number of vCPUs, ${rangeText(vcpuCount)}`)
    .option('--memory <MiB>', `guest memory in MiB, ${rangeText({ ...memoryMiB, usual: crashMemoryMiB })}`)
    .option(
      '--xen <RELEASE>',
      `Xen release to emulate: ${xenReleases.join(' or ')} (default: ${defaultXenRelease})`,
    )
    .option('--crash-on <K[,K...]|all>', 'vCPUs to crash on, each in a run of its own (default: all)')
    .option(
      '--crash-by <WAY>',
      'sysrq (a panic), oops, nmi (sent by the toolstack; amd64), or kexec (in order, one run) (default: sysrq)',
    )
    .option('--crash-kernel <FILE>', 'kernel to go on in (default: the same kernel)')
    .option('--crash-cmdline <TEXT>', 'its command line (default: that of the first, without crashkernel=)')
    .option(...kexecSyscallOption)
    .option(
      '--toolstack <NAME>',
      'xl, or ideal, which resets the domain at the jump as no toolstack does on Arm and for PVH (default: xl)',
    )
    .option(...softResetOption)
    .option(...unpackOption)
    .option(
      '--what-if <WHAT>',
      'fill the records of both kernels otherwise (amd64): before-the-patch, with CPU numbers; apic-id; apic-id-half',
    )
    .option('--jobs <N>', 'crashes that run side by side (default: as many as cores and memory allow)')
    .option('--seed <N>', `seed of the vCPU schedule (default: ${seeds.usual})`)
    .option('--no-xenstore', 'no xenstore and no PV console, like a guest that Xen builds itself')
    .option('--limit <SECONDS[,INSTRUCTIONS]>', 'stop each run after SECONDS of guest time or INSTRUCTIONS')
    .option(
      '--mirror <URL>',
      "Debian mirror (default: DOMULATOR_MIRROR, else the one in this machine's apt sources)",
    )
    .option('--script <FILE>', "script to run in the crash kernel, like a command after '--'")
    .option('--checkpoint <FILE>', 'write the guest to this file when its crash kernel is loaded')
    .option('--from <FILE>', 'go on from such a file instead of booting a kernel')
    .option(...runsTraceOption);
  addReportOptions(options)
    .option('--verbose', "print the guest's console, and all of the report")
    .option('--quiet', "hide the guest's console")
    .helpOption('-h, --help', 'print this help')
    .addHelpText('after', crashExamples)
    .action(async (args: CrashArguments) => {
      commandStatus = await crash(command === null ? args : { ...args, command }, stop);
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
    `internal error: ${what}; please report it with the command that you gave (DOMULATOR_DEBUG=1 adds a stack trace)`,
  );
  if (process.env['DOMULATOR_DEBUG'] === '1' && error instanceof Error)
    process.stderr.write(`${error.stack ?? ''}\n`);
  return exitStatus.internalError;
}

async function statusOfCommand(
  args: readonly string[],
  guestCommand: readonly string[] | null,
  stop: StopRequest,
): Promise<number> {
  if (args.length === 0) {
    complain("no command given; try 'domulator boot', or 'domulator --help'");
    return exitStatus.badInput;
  }
  const program = createProgram(stop, guestCommand);
  try {
    await program.parseAsync(args, { from: 'user' });
    return commandStatus;
  } catch (error) {
    return statusOf(error, program, args);
  }
}

/** `git bisect run` treats every status below 128 as a verdict on the kernel; any other failure must stop it. */
const verdictStatuses: readonly number[] = [exitStatus.ok, exitStatus.ruleBroken, bisectStatus.untold];

function forBisection(status: number): number {
  return status < bisectStatus.stop && !verdictStatuses.includes(status) ? bisectStatus.stop : status;
}

/** Runs the command that `given` names and sets the exit status of the process. `stop` can end a boot early. */
export async function main(given: readonly string[], stop: StopRequest): Promise<void> {
  const [args, guestCommand] = splitAtCommand(given);
  const isBoot = args[0] === 'boot' || args[0] === 'crash';
  const final = args.includes('--bisect') ? forBisection : (status: number): number => status;
  watchOutput((why, isUnread) => {
    if (!isBoot) process.exit(isUnread ? exitStatus.ok : exitStatus.outputFailed);
    // A boot whose output was not read to its end must not count as good.
    process.exitCode = final(exitStatus.outputFailed);
    stop.outputFailed(why, exitStatus.outputFailed);
  });
  const status = await statusOfCommand(args, guestCommand, stop);
  process.exitCode = final(stop.outputStatus ?? status);
  if (stop.reason === null) return;
  // The boot may still wait for a mirror, which would keep the process alive.
  stop.releaseSignals();
  process.exit();
}
