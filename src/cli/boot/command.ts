/** `domulator boot`: boots a kernel, shows its console while it runs, and reports. */
import { InputError } from '../../base/index.js';
import { Boot } from '../../boot/index.js';
import type { BootKernel, BootOptions } from '../../boot/index.js';
import { defaultInitramfs } from '../../firmware/index.js';
import {
  debianFiles,
  debianSettings,
  loadDebianKernel,
  loadKernelFile,
  parseKernelSpec,
  readInputFile,
} from '../../kernel_source/index.js';
import type { LoadedKernel } from '../../kernel_source/index.js';
import { complain, exitStatus, print, terminalStyle, writeUserFile } from '../host.js';
import { jsonText } from '../json.js';
import { bootRequest } from './arguments.js';
import type { BootArguments } from './arguments.js';
import { bootReport, verdictOf } from './report.js';
import type { Verdict } from './report.js';
import { reportText } from './report_text.js';
import { StatusLine } from './status_line.js';

/** The release whose busybox makes the default initramfs of a kernel that comes from no archive. */
const usualRelease = 'bookworm';
/** Instructions between two looks at what was asked: some tenths of a second. */
const slice = 20_000_000;

const statuses: Readonly<Record<Verdict, number>> = {
  pass: exitStatus.ok,
  fail: exitStatus.ruleBroken,
  incomplete: exitStatus.incomplete,
};

type Settings = Parameters<typeof loadDebianKernel>[1];

function archiveSettings(given: BootArguments): Settings {
  const now = Math.floor(Date.now() / 1000);
  return debianSettings(
    process.env,
    now,
    complain,
    given.mirror === undefined ? {} : { mirror: given.mirror },
  );
}

async function loadKernel(given: BootArguments, settings: Settings): Promise<LoadedKernel> {
  const spec = parseKernelSpec(given.kernel);
  if (spec.kind === 'builtin')
    throw new InputError('there is no builtin kernel yet; give debian:RELEASE or a file');
  return spec.kind === 'file'
    ? await loadKernelFile(spec.file)
    : await loadDebianKernel(spec.release, settings);
}

async function loadInitrd(given: BootArguments, settings: Settings): Promise<Uint8Array> {
  if (given.initrd !== undefined) return await readInputFile(given.initrd, 'initrd');
  const spec = parseKernelSpec(given.kernel);
  const release = spec.kind === 'debian' ? spec.release : usualRelease;
  const { busybox } = await debianFiles(release, ['busybox'], settings);
  return defaultInitramfs(busybox.bytes);
}

function kernelOf({ name, version, sha256, image }: LoadedKernel): BootKernel {
  const { bytes, textOffset, memoryBytes } = image;
  return { name, version, sha256, image: bytes, textOffset, memoryBytes };
}

/** Lets what waits be done (the console be written, a signal be taken). */
async function breathe(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}

async function runBoot(options: BootOptions, quiet: boolean): Promise<Boot> {
  const status = new StatusLine(!quiet);
  const boot = new Boot(options, {
    console: (bytes) => {
      if (!quiet) status.print(bytes);
    },
  });
  const started = Date.now();
  while (boot.step(slice) === 'running') {
    status.show(boot.machine.instructions, boot.machine.nowNs, Date.now() - started);
    await breathe();
  }
  status.clear();
  return boot;
}

/** `git bisect run` takes 0 for good, 1 for bad, 125 for untestable, and stops at 128 and above. */
function bisectStatus(verdict: Verdict): number {
  return verdict === 'incomplete' ? 125 : statuses[verdict];
}

/** Boots as asked; the exit status. Throws InputError on bad input. */
export async function boot(given: BootArguments): Promise<number> {
  const { json = false, quiet = false, bisect = false } = given;
  const request = bootRequest(given);
  const settings = archiveSettings(given);
  const kernel = kernelOf(await loadKernel(given, settings));
  const initrd = await loadInitrd(given, settings);
  const until = request.until ?? { kind: given.initrd === undefined ? 'poweroff' : 'userspace' };
  const options: BootOptions = { ...request, kernel, initrd, until };
  const started = Date.now();
  const result = (await runBoot(options, quiet || json)).result();
  const report = bootReport(options, result, { wallMs: Date.now() - started, node: process.version });
  if (given.report !== undefined) writeUserFile(given.report, `${jsonText(report)}\n`);
  print(json ? jsonText(report) : reportText(report, terminalStyle()));
  const verdict = verdictOf(result);
  return bisect ? bisectStatus(verdict) : statuses[verdict];
}
