/**
 * Checkpoints: a boot between two turns, with everything that it needs to go on, its kernel's image included. The initrd is needed
 * only for a guest that is to restart after a reboot: what is left of it is in the guest's memory.
 */
import { cloneValue, domulatorVersion, frameBytes, InputError } from '../base/index.js';
import { Boot, KernelImage, loadArchitecture } from '../boot/index.js';
import type {
  BegunOptions,
  BootKernel,
  BootWatcher,
  CrashOptions,
  KernelOrigin,
  SavedBoot,
  Until,
} from '../boot/index.js';
import { loadInitArchitecture } from '../guest_init/index.js';
import { readInputFile } from '../kernel_source/index.js';
import { buildId } from './build_id.js';
import {
  fileFrames,
  fileNumber,
  fileOf,
  fileRange,
  firstFileFrame,
  framesByNumber,
} from './checkpoint_files.js';
import { decodeCheckpoint, encodeCheckpoint, mostFileBytes } from './checkpoint_format.js';
import type { SavedFrame } from '../boot/index.js';
import { mostImageBytes, mostNextImageBytes, mostOtherFrames } from './checkpoint_sizes.js';
import { cpuModels, defaultCpuModel, memoryMiB, vcpuCount } from './limits.js';
import { withCommand } from './other_command.js';
import { hasCommand, otherCommandOf } from './guest_command.js';
import { checkEngine, limitsOf, seedOf } from './request.js';
import type { BootRequest, Settled } from './request.js';
import { shownValue } from './request_types.js';
import { isPlainPattern } from './saved_pattern.js';
import { originOf } from './sources.js';

/**
 * The software whose files can be read: a checkpoint holds the state of its very classes, which may differ between two builds of one
 * version.
 */
const software = `domulator ${domulatorVersion}${buildId === null ? '' : ` (build ${buildId})`}`;

/** `until` without its regular expression, which is no plain value. */
type SavedUntil =
  | Exclude<Until, { readonly kind: 'line' }>
  | { readonly kind: 'line'; readonly source: string; readonly flags: string };

interface CheckpointValue {
  readonly options: Omit<Settled, 'until'> & { readonly until: SavedUntil };
  readonly kernel: Omit<BootKernel, 'image'> & { readonly imageBytes: number };
  /** Bytes of the image of each kernel that was entered; null for one that has the first one's, and for that itself. */
  readonly nextImages: readonly (number | null)[];
  /** Of a guest that is to restart after a reboot and has an initrd: the bytes of that. */
  readonly initrdBytes: number | null;
  readonly origin: KernelOrigin;
  readonly machine: SavedBoot['machine']['state'];
  /** The script that the guest's first process has in itself; null for none. */
  readonly script: Uint8Array | null;
  /** Without the images of kernels. */
  readonly boot: SavedBoot['boot'];
  /** Of a guest whose crash kernel is loaded, and that waits to be told where to crash. */
  readonly crash?: CrashFacts;
}

/** What a guest that waits for its crash was given; its toolstack is among the options. */
export type CrashFacts = Omit<CrashOptions, 'toolstack'>;

/** A boot that was saved while it ran, by `run.checkpoint()`. `boot({ from })` goes on from it. */
export interface Checkpoint {
  /** A plain value: options, the kernel's origin, the machine, and what the boot knows of its guest. */
  readonly value: unknown;
  /** The guest's memory, Xen's frames, and the kernel's image; frames that are missing are all zero. */
  readonly frames: readonly SavedFrame[];
}

/** A boot with its options and the origin of its kernel. */
export interface StartedBoot {
  readonly boot: Boot;
  readonly options: BegunOptions;
  readonly origin: KernelOrigin;
  /** The script that the guest's first process has in itself; null for none. */
  readonly script: Uint8Array | null;
}

function savedUntil(until: Until): SavedUntil {
  if (until.kind !== 'line') return until;
  return { kind: 'line', source: until.pattern.source, flags: until.pattern.flags };
}

/** The saved goal. Throws InputError for a regular expression from a file with which a search could go on without end. */
function untilOf(saved: SavedUntil, isFile: boolean): Until {
  if (saved.kind !== 'line') return saved;
  const { source, flags } = saved;
  if (isFile && !isPlainPattern(source, flags))
    throw new InputError(
      `the goal of the checkpoint is a line whose regular expression, ${shortened(shownValue(source))}, is too intricate to be taken from a file; give the goal (until) again`,
    );
  return { kind: 'line', pattern: new RegExp(source, flags) };
}

/** The checkpoint of a boot that was `saved` between two of its steps, and shares its frames. Throws InputError if it has ended. */
export function checkpointOf(
  { options, origin, script }: Omit<StartedBoot, 'boot'>,
  saved: SavedBoot,
  crash: CrashFacts | null = null,
): Checkpoint {
  const { kernel, until, initrd = null, ...others } = options;
  const { image: whole, ...kernelFacts } = kernel;
  const image = KernelImage.of(whole);
  if (saved.boot.outcome.end !== null)
    throw new InputError('the run has ended; a checkpoint can be taken only before that');
  const images = saved.boot.kernels.map((one) => one.image);
  const value: CheckpointValue = {
    options: { ...others, until: savedUntil(until) },
    kernel: { ...kernelFacts, imageBytes: image.length },
    nextImages: images.map((bytes) => bytes?.length ?? null),
    initrdBytes: initrd?.length ?? null,
    origin,
    script,
    machine: saved.machine.state,
    boot: { ...saved.boot, kernels: saved.boot.kernels.map((one) => ({ ...one, image: null })) },
    ...(crash === null ? {} : { crash }),
  };
  if (!haveSizes(value)) throw new InputError('the guest has gone on into too large kernels to be saved');
  const memory = framesByNumber(saved.machine.frames);
  const frames = [
    ...saved.machine.frames,
    ...fileFrames(fileNumber.firstImage, image.bytes, memory, saved.boot.guest.kernelAt),
    ...images.flatMap((bytes, i) =>
      bytes === null ? [] : fileFrames(fileNumber.firstImage + i, bytes, memory, kernelAt(value, i)),
    ),
    ...(initrd === null ? [] : fileFrames(fileNumber.initrd, initrd, memory, null)),
  ];
  return { value: cloneValue(value), frames };
}

function kernelAt({ boot }: CheckpointValue, kernel: number): bigint | null {
  return boot.kernels[kernel]?.facts.kernelAt ?? null;
}

/** The bytes of the file in which a checkpoint is kept. */
export function checkpointBytes(checkpoint: Checkpoint): Uint8Array {
  return encodeCheckpoint(software, checkpoint);
}

/** More ranges than the memory of any guest has: each look for a frame goes through them. */
const mostRanges = 64;

/** Requests that were settled when the guest was booted. */
const settledBefore = [
  'kernel',
  'arch',
  'type',
  'cpu',
  'initrd',
  'commandLine',
  'vcpus',
  'memoryMiB',
  'xen',
  'xenstore',
  'onReboot',
  'onSoftReset',
  'unpack',
  'whatIf',
  'entryVcpu',
  'mirror',
] as const satisfies readonly (keyof BootRequest)[];

/** Throws InputError if `request` asks for something that a checkpoint has settled. */
export function checkFrom(request: BootRequest): void {
  const asked = settledBefore.find((name) => request[name] !== undefined);
  if (asked === undefined) return;
  throw new InputError(
    `a boot from a checkpoint takes no ${asked}: it was settled when the guest was booted`,
  );
}

function goalOf({ value: { options, machine }, isFile }: Contents, request: BootRequest): Until {
  const { until: asked } = request;
  if (hasCommand(request)) return { kind: 'poweroff' };
  if (options.command !== null && asked !== undefined && asked !== 'poweroff')
    throw new InputError('a run with a command ends with that command; leave out the goal (until)');
  if (asked instanceof RegExp) return { kind: 'line', pattern: asked };
  const goal: Until = asked === undefined ? untilOf(options.until, isFile) : { kind: asked };
  if (goal.kind === 'userspace' && machine.clock.userSpaceNs !== null)
    throw new InputError('the guest of the checkpoint already runs user space; give another goal (until)');
  return goal;
}

function optionsOf(contents: Contents, request: BootRequest): BegunOptions {
  const { value, image, initrd } = contents;
  const { seed, limits } = request;
  const { name, version, sha256, memoryBytes, placement } = value.kernel;
  return {
    ...value.options,
    seed: seed === undefined ? value.options.seed : seedOf(seed),
    until: goalOf(contents, request),
    limits: limits === undefined ? value.options.limits : limitsOf(limits, value.options.limits),
    kernel: { name, version, sha256, image, memoryBytes, placement },
    ...(initrd === null ? {} : { initrd }),
  };
}

/** Whether the CPUs have a model that there is, and the same one for all who ask. */
function haveModel({ options, machine }: CheckpointValue): boolean {
  const [model, own] = [options.cpu, machine.options.cpu].map((each) => each ?? defaultCpuModel);
  return model === own && cpuModels.some((each) => each === model);
}

/** Whether all sizes are those that a guest may have: memory is allocated by these. */
function haveSizes({ options, kernel, machine, nextImages, initrdBytes }: CheckpointValue): boolean {
  const isWithin = (size: number, least: number, most: number): boolean =>
    Number.isInteger(size) && size >= least && size <= most;
  const { hardwareIds, ram, xenFrames } = machine.options.config;
  const guestBytes = options.memoryMiB * 2 ** 20;
  const ranges = [...ram, xenFrames];
  const images = nextImages.filter((bytes) => bytes !== null);
  return (
    isWithin(options.vcpus, vcpuCount.least, vcpuCount.most) &&
    isWithin(options.memoryMiB, memoryMiB.least, memoryMiB.most) &&
    isWithin(kernel.imageBytes, 1, mostImageBytes) &&
    images.every((bytes) => isWithin(bytes, 1, mostNextImageBytes)) &&
    images.reduce((sum, bytes) => sum + bytes, 0) <= mostNextImageBytes &&
    (initrdBytes === null || isWithin(initrdBytes, 0, guestBytes)) &&
    hardwareIds.length === options.vcpus &&
    ram.length <= mostRanges &&
    ranges.every(
      ({ start, count }) => isWithin(start, 0, firstFileFrame) && isWithin(count, 0, firstFileFrame),
    ) &&
    ranges.reduce((sum, { count }) => sum + count, 0) <= guestBytes / frameBytes + mostOtherFrames
  );
}

/** What a checkpoint holds, apart from what `request` may change. */
interface Contents {
  readonly value: CheckpointValue;
  readonly saved: SavedBoot;
  readonly image: KernelImage;
  readonly initrd: Uint8Array | null;
  /** Whether it comes from a file, in which anything can stand, and not from this process. */
  readonly isFile: boolean;
}

/** Whether each frame is one that the guest or a file of it has, and none comes twice: memory is allocated for all of them. */
function haveNumbers(
  { kernel, machine, nextImages, initrdBytes }: CheckpointValue,
  frames: readonly SavedFrame[],
): boolean {
  const { ram, xenFrames } = machine.options.config;
  const images = [kernel.imageBytes, ...nextImages.slice(1)];
  const ranges = [
    ...ram,
    xenFrames,
    ...images.map((bytes, i) => fileRange(fileNumber.firstImage + i, bytes ?? 0)),
    fileRange(fileNumber.initrd, initrdBytes ?? 0),
  ].sort((a, b) => a.start - b.start);
  let [at, last] = [0, -1];
  return frames
    .map(({ number }) => number)
    .sort((a, b) => a - b)
    .every((number) => {
      const isNew = number > last;
      last = number;
      for (let range = ranges[at]; range !== undefined; range = ranges[++at])
        if (number < range.start + range.count) return isNew && number >= range.start;
      return false;
    });
}

function contentsOf(checkpoint: Checkpoint, isFile: boolean): Contents {
  const value = checkpoint.value as CheckpointValue;
  if (!haveSizes(value)) throw new InputError('its sizes are none that a guest may have');
  if (!haveModel(value)) throw new InputError('its CPUs are of no model that there is');
  if (!haveNumbers(value, checkpoint.frames))
    throw new InputError('a frame of it is none that its guest has');
  const frames = checkpoint.frames.filter(({ number }) => number < firstFileFrame);
  const memory = framesByNumber(frames);
  const files = framesByNumber(checkpoint.frames.filter(({ number }) => number >= firstFileFrame));
  const kernels = value.boot.kernels.map((kernel, i) => {
    const bytes = value.nextImages[i] ?? null;
    const number = fileNumber.firstImage + i;
    return bytes === null
      ? kernel
      : { ...kernel, image: fileOf(number, bytes, files, memory, kernelAt(value, i)) };
  });
  const { imageBytes } = value.kernel;
  const { kernelAt: at } = value.boot.guest;
  return {
    value,
    saved: { machine: { state: value.machine, frames }, boot: { ...value.boot, kernels } },
    image: new KernelImage(imageBytes, () => fileOf(fileNumber.firstImage, imageBytes, files, memory, at)),
    initrd:
      value.initrdBytes === null ? null : fileOf(fileNumber.initrd, value.initrdBytes, files, memory, null),
    isFile,
  };
}

/** What {@link read} refuses, at once or when a part is read later. The message is complete. */
class UnusableCheckpoint extends InputError {}

/** A message continues this. */
const unusable = 'cannot be used as a checkpoint';

/** The start of a message that may quote the file's contents. */
function shortened(message: string): string {
  const [line = ''] = message.split('\n');
  return line.length > 150 ? `${line.slice(0, 150)}...` : line;
}

function isFile(from: NonNullable<BootRequest['from']>): from is string | Uint8Array {
  return typeof from === 'string' || from instanceof Uint8Array;
}

/** What `from` is called in messages. */
export function checkpointName(from: NonNullable<BootRequest['from']>): string {
  return typeof from === 'string' ? from : 'what was given';
}

async function read(from: NonNullable<BootRequest['from']>): Promise<Checkpoint> {
  if (!isFile(from)) return from;
  const bytes = typeof from === 'string' ? await readInputFile(from, 'checkpoint', mostFileBytes) : from;
  return decodeCheckpoint(
    software,
    bytes,
    (why, cause) =>
      new UnusableCheckpoint(`${checkpointName(from)} ${unusable}: ${shortened(why)}`, { cause }),
  );
}

/** The boot of a request that goes on from a checkpoint. Throws InputError if it cannot be read, or cannot go on as asked. */
export async function resumeBoot(
  from: NonNullable<BootRequest['from']>,
  request: BootRequest,
  watcher: BootWatcher,
): Promise<StartedBoot> {
  const checkpoint = await read(from);
  // What the request asks for has messages of its own.
  const isOfRequest = (error: unknown): boolean => error instanceof InputError;
  const contents = fitting(from, () => contentsOf(checkpoint, isFile(from)));
  const { value, saved, initrd } = contents;
  const options = fitting(from, () => optionsOf(contents, request), isOfRequest);
  const architecture = fitting(from, () => options.kernel.placement.architecture);
  checkEngine(architecture, request);
  await loadArchitecture(architecture);
  const init = await loadInitArchitecture(architecture);
  const next = await otherCommandOf(request);
  if (next === null)
    return fitting(from, () => ({
      boot: Boot.restore(options, saved, watcher),
      options,
      origin: originOf(value.origin),
      script: value.script,
    }));
  const { command = null } = value.options;
  const first = command === null ? null : { command, script: value.script };
  const guest = fitting(from, () => withCommand({ saved, initrd }, first, next, init), isOfRequest);
  const others = {
    ...options,
    command: next.command,
    ...(guest.initrd === null ? {} : { initrd: guest.initrd }),
  };
  return fitting(from, () => ({
    boot: Boot.restore(others, guest.saved, watcher),
    options: others,
    origin: originOf(value.origin),
    script: next.script,
  }));
}

/** A checkpoint that was read: what its boot was made from, and the boot. */
export interface OpenedCheckpoint {
  readonly options: BegunOptions;
  readonly origin: KernelOrigin;
  readonly saved: SavedBoot;
  readonly crash: CrashFacts | null;
}

/** A checkpoint from which several boots may go on. Throws InputError as {@link resumeBoot} does. */
export async function openCheckpoint(
  from: NonNullable<BootRequest['from']>,
  { seed, limits }: Pick<BootRequest, 'seed' | 'limits'>,
): Promise<OpenedCheckpoint> {
  const checkpoint = await read(from);
  const isOfRequest = (error: unknown): boolean => error instanceof InputError;
  const contents = fitting(from, () => contentsOf(checkpoint, isFile(from)));
  const { value, saved } = contents;
  const asked = {
    ...(seed === undefined ? {} : { seed }),
    ...(limits === undefined ? {} : { limits }),
    // Whatever stands there: a guest that crashes goes on to its end.
    until: 'poweroff' as const,
  };
  const options = fitting(from, () => optionsOf(contents, asked), isOfRequest);
  return fitting(from, () => ({
    options,
    origin: originOf(value.origin),
    saved,
    crash: value.crash ?? null,
  }));
}

/** What `make` returns. Throws InputError if it throws anything: the value has its writer's hash, but not the form of a boot. */
function fitting<T>(
  from: NonNullable<BootRequest['from']>,
  make: () => T,
  isOther: (error: unknown) => boolean = () => false,
): T {
  try {
    return make();
  } catch (error) {
    if (error instanceof UnusableCheckpoint || isOther(error)) throw error;
    const why = error instanceof InputError ? shortened(error.message) : 'its parts do not fit together';
    throw new InputError(`${checkpointName(from)} ${unusable}: ${why}`, { cause: error });
  }
}

/**
 * The error of a run that went on from a checkpoint. In a file anything can stand, whatever its hash, and not all of it is looked at
 * before the run does: what fails then is said to be the file's. A checkpoint that is no file comes from this process.
 */
export function errorOfRun(from: BootRequest['from'], error: unknown): unknown {
  if (from === undefined || !isFile(from) || error instanceof InputError || !(error instanceof Error))
    return error;
  const why = shortened(`${error.name}: ${error.message}`);
  return new InputError(
    `${checkpointName(from)} ${unusable}: the run from it failed (${why}); if domulator wrote it so, please report this`,
    { cause: error },
  );
}
