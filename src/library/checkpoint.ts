/**
 * Checkpoints: a boot between two turns, with everything that it needs to go on, its kernel's image included. The initrd is not
 * needed: what is left of it is in the guest's memory.
 */
import { cloneValue, domulatorVersion, frameBytes, InputError } from '../base/index.js';
import { Boot, KernelImage, loadArchitecture } from '../boot/index.js';
import type {
  BootKernel,
  BootOptions,
  BootWatcher,
  CrashOptions,
  KernelOrigin,
  SavedBoot,
  Until,
} from '../boot/index.js';
import { loadInitArchitecture } from '../guest_init/index.js';
import { readInputFile } from '../kernel_source/index.js';
import { decodeCheckpoint, encodeCheckpoint } from './checkpoint_format.js';
import type { SavedFrame } from '../boot/index.js';
import { memoryMiB, vcpuCount } from './limits.js';
import { withCommand } from './other_command.js';
import { limitsOf, seedOf } from './request.js';
import type { BootRequest, Settled } from './request.js';
import { originOf } from './sources.js';

/** The software whose files can be read: a checkpoint holds the state of its very classes. */
const software = `domulator ${domulatorVersion}`;

/**
 * Frames from this number on hold the kernel's image as in its file, each as its difference (exclusive or) from the frame of memory
 * into which it was loaded. Most of them are nearly all zero: a kernel changes little of its image. A guest has no frames with
 * such numbers (Xen's own begin at 2^28).
 */
const imageFrame = 2 ** 31;

/** The images of kernels that followed the first one are part of the value, which cannot be endlessly large. */
const mostNextImageBytes = 160 << 20;

/** `until` without its regular expression, which is no plain value. */
type SavedUntil =
  | Exclude<Until, { readonly kind: 'line' }>
  | { readonly kind: 'line'; readonly source: string; readonly flags: string };

interface CheckpointValue {
  readonly options: Omit<Settled, 'until'> & { readonly until: SavedUntil };
  readonly kernel: Omit<BootKernel, 'image'> & { readonly imageBytes: number };
  readonly origin: KernelOrigin;
  readonly machine: SavedBoot['machine']['state'];
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
  readonly options: Omit<BootOptions, 'initrd'>;
  readonly origin: KernelOrigin;
}

/** Frames of memory, with their numbers counted from the place where the kernel was loaded. */
function loadedFrames({ machine, boot }: SavedBoot): ReadonlyMap<number, SavedFrame> {
  const first = Number(boot.guest.kernelAt) / frameBytes;
  return new Map(machine.frames.map((frame) => [frame.number - first, frame]));
}

const frameWords = frameBytes / 4;

/** Sets `words` to their exclusive or with those of a frame of memory, if there is one. */
function addFrame(words: Uint32Array, memory: Uint8Array | undefined): void {
  if (memory === undefined) return;
  const { buffer, byteOffset } = memory.byteOffset % 4 === 0 ? memory : memory.slice();
  const other = new Uint32Array(buffer, byteOffset, frameWords);
  for (let i = 0; i < frameWords; i += 1) words[i] = (words[i] ?? 0) ^ (other[i] ?? 0);
}

/** A part of an image, exclusive or the memory where it was loaded, in a frame. */
function difference(image: Uint8Array, memory: Uint8Array | undefined): Uint8Array {
  const bytes = new Uint8Array(frameBytes);
  bytes.set(image);
  addFrame(new Uint32Array(bytes.buffer), memory);
  // The rest of the last frame is no part of the image.
  return bytes.fill(0, image.length);
}

/** The frames that hold `image`, for a machine with the frames `loaded`. Each is made when it is asked for, and not kept. */
function imageFrames({ bytes: image }: KernelImage, loaded: ReadonlyMap<number, SavedFrame>): SavedFrame[] {
  return Array.from({ length: Math.ceil(image.length / frameBytes) }, (_, i) => ({
    number: imageFrame + i,
    get bytes() {
      return difference(image.subarray(i * frameBytes, (i + 1) * frameBytes), loaded.get(i)?.bytes);
    },
  }));
}

/** The image that {@link imageFrames} holds. */
function imageOf(
  frames: readonly SavedFrame[],
  imageBytes: number,
  loaded: ReadonlyMap<number, SavedFrame>,
): Uint8Array {
  const differences = new Map(frames.map((frame) => [frame.number - imageFrame, frame]));
  const count = Math.ceil(imageBytes / frameBytes);
  const image = new Uint8Array(count * frameBytes);
  const words = new Uint32Array(image.buffer);
  for (let i = 0; i < count; i += 1) {
    const part = words.subarray(i * frameWords, (i + 1) * frameWords);
    addFrame(part, differences.get(i)?.bytes);
    addFrame(part, loaded.get(i)?.bytes);
  }
  return image.subarray(0, imageBytes);
}

function savedUntil(until: Until): SavedUntil {
  if (until.kind !== 'line') return until;
  return { kind: 'line', source: until.pattern.source, flags: until.pattern.flags };
}

function untilOf(saved: SavedUntil): Until {
  return saved.kind === 'line' ? { kind: 'line', pattern: new RegExp(saved.source, saved.flags) } : saved;
}

/** The checkpoint of a boot between two of its steps. Throws InputError if it has ended. */
export function checkpointOf(
  { boot, options, origin }: StartedBoot,
  crash: CrashFacts | null = null,
): Checkpoint {
  const { kernel, until, ...others } = options;
  if (options.onReboot === 'restart')
    throw new InputError(
      'a guest that is to restart after a reboot cannot be saved, because its initrd is not; let the run end at a reboot',
    );
  const { image: whole, ...kernelFacts } = kernel;
  const image = KernelImage.of(whole);
  const saved = boot.save();
  if (saved.boot.outcome.end !== null)
    throw new InputError('the run has ended; a checkpoint can be taken only before that');
  const images = saved.boot.kernels.reduce((sum, one) => sum + (one.image?.length ?? 0), 0);
  if (images > mostNextImageBytes)
    throw new InputError('the guest has gone on into too many other kernels to be saved');
  const value: CheckpointValue = {
    options: { ...others, until: savedUntil(until) },
    kernel: { ...kernelFacts, imageBytes: image.length },
    origin,
    machine: saved.machine.state,
    boot: saved.boot,
    ...(crash === null ? {} : { crash }),
  };
  const frames = [...saved.machine.frames, ...imageFrames(image, loadedFrames(saved))];
  return { value: cloneValue(value), frames };
}

/** The bytes of the file in which a checkpoint is kept. */
export function checkpointBytes(checkpoint: Checkpoint): Uint8Array {
  return encodeCheckpoint(software, checkpoint);
}

/** Requests that were settled when the guest was booted. */
const settledBefore = [
  'kernel',
  'arch',
  'type',
  'initrd',
  'commandLine',
  'vcpus',
  'memoryMiB',
  'xen',
  'xenstore',
  'onReboot',
  'whatIf',
  'entryVcpu',
  'script',
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

function goalOf({ options, machine }: CheckpointValue, { until: asked, command }: BootRequest): Until {
  if (command !== undefined) return { kind: 'poweroff' };
  if (options.command !== null && asked !== undefined && asked !== 'poweroff')
    throw new InputError('a run with a command ends with that command; leave out the goal (until)');
  if (asked instanceof RegExp) return { kind: 'line', pattern: asked };
  const goal: Until = asked === undefined ? untilOf(options.until) : { kind: asked };
  if (goal.kind === 'userspace' && machine.clock.userSpaceNs !== null)
    throw new InputError('the guest of the checkpoint already runs user space; give another goal (until)');
  return goal;
}

function optionsOf(value: CheckpointValue, image: KernelImage, request: BootRequest): StartedBoot['options'] {
  const { seed, limits, command } = request;
  const { name, version, sha256, memoryBytes, placement } = value.kernel;
  return {
    ...value.options,
    seed: seed === undefined ? value.options.seed : seedOf(seed),
    until: goalOf(value, request),
    ...(command === undefined ? {} : { command: { argv: command, script: null } }),
    limits: limits === undefined ? value.options.limits : limitsOf(limits, value.options.limits),
    kernel: { name, version, sha256, image, memoryBytes, placement },
  };
}

/** Throws InputError if a size is none that a guest may have: memory is allocated by these. */
function checkSizes({ options, kernel, machine }: CheckpointValue): void {
  const isWithin = (size: number, least: number, most: number): boolean =>
    Number.isInteger(size) && size >= least && size <= most;
  const { hardwareIds, ram, xenFrames } = machine.options.config;
  const guestFrames = (options.memoryMiB * 2 ** 20) / frameBytes;
  const ranges = [...ram, xenFrames];
  const fits =
    isWithin(options.vcpus, vcpuCount.least, vcpuCount.most) &&
    isWithin(options.memoryMiB, memoryMiB.least, memoryMiB.most) &&
    isWithin(kernel.imageBytes, 1, mostImageBytes) &&
    hardwareIds.length === options.vcpus &&
    ranges.every(({ start, count }) => isWithin(start, 0, imageFrame) && isWithin(count, 0, imageFrame)) &&
    ranges.reduce((sum, { count }) => sum + count, 0) <= guestFrames + mostOtherFrames;
  if (!fits) throw new InputError('its sizes are none that a guest may have');
}

/** What a checkpoint holds, apart from what `request` may change. */
interface Contents {
  readonly value: CheckpointValue;
  readonly saved: SavedBoot;
  readonly image: KernelImage;
}

function contentsOf(checkpoint: Checkpoint): Contents {
  const value = checkpoint.value as CheckpointValue;
  checkSizes(value);
  const frames = checkpoint.frames.filter(({ number }) => number < imageFrame);
  const saved: SavedBoot = { machine: { state: value.machine, frames }, boot: value.boot };
  const differences = checkpoint.frames.filter(({ number }) => number >= imageFrame);
  const { imageBytes } = value.kernel;
  const image = new KernelImage(imageBytes, () => imageOf(differences, imageBytes, loadedFrames(saved)));
  return { value, saved, image };
}

/** What {@link read} refuses, at once or when a part is read later. The message is complete. */
class UnusableCheckpoint extends InputError {}

/** A message continues this. */
const unusable = 'cannot be used as a checkpoint';

/** More frames than Xen and its toolstack keep beside the memory of any guest. */
const mostOtherFrames = 2 ** 16;

/** The largest kernel image. */
const mostImageBytes = 2 ** 29;

/** The largest file that is read. That of a guest with all its memory in use would be smaller. */
const mostFileBytes = 2 ** 31;

/** The start of a message that may quote the file's contents. */
function shortened(message: string): string {
  const [line = ''] = message.split('\n');
  return line.length > 150 ? `${line.slice(0, 150)}...` : line;
}

/** What `from` is called in messages. */
export function checkpointName(from: NonNullable<BootRequest['from']>): string {
  return typeof from === 'string' ? from : 'what was given';
}

async function read(from: NonNullable<BootRequest['from']>): Promise<Checkpoint> {
  if (!(from instanceof Uint8Array) && typeof from !== 'string') return from;
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
  const { value, saved, image } = fitting(from, () => contentsOf(checkpoint));
  const options = fitting(from, () => optionsOf(value, image, request), isOfRequest);
  const architecture = fitting(from, () => options.kernel.placement.architecture);
  await loadArchitecture(architecture);
  const { command } = request;
  const init = await loadInitArchitecture(architecture);
  const asked =
    command === undefined
      ? saved
      : fitting(from, () => withCommand(saved, value.options.command, command, init), isOfRequest);
  return fitting(from, () => ({
    boot: Boot.restore(options, asked, watcher),
    options,
    origin: originOf(value.origin),
  }));
}

/** A checkpoint that was read: what its boot was made from, and the boot. */
export interface OpenedCheckpoint {
  readonly options: StartedBoot['options'];
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
  const { value, saved, image } = fitting(from, () => contentsOf(checkpoint));
  const asked = {
    ...(seed === undefined ? {} : { seed }),
    ...(limits === undefined ? {} : { limits }),
  };
  const options = fitting(from, () => optionsOf(value, image, asked), isOfRequest);
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
  const isFile = typeof from === 'string' || from instanceof Uint8Array;
  if (!isFile || error instanceof InputError || !(error instanceof Error)) return error;
  const why = shortened(`${error.name}: ${error.message}`);
  return new InputError(
    `${checkpointName(from)} ${unusable}: the run from it failed (${why}); if domulator wrote it so, please report this`,
    { cause: error },
  );
}
