/**
 * Another command for the guest of a checkpoint. The first process of a guest with a command is a program of our own (guest_init), and
 * one with another command has the same size. So the other one takes its place wherever its file is in memory: in the initramfs
 * that is not unpacked yet, or in the kernel's page cache, from where it runs. That must be before the command begins.
 */
import { frameBytes, InputError, present } from '../base/index.js';
import type { SavedBoot, SavedFrame } from '../boot/index.js';
import { begunOffset } from '../guest_init/index.js';
import type { InitArchitecture } from '../guest_init/index.js';
import { commandPrograms } from './guest_command.js';
import type { RunCommand } from './guest_command.js';

/** Enough of a page to tell it from nearly all others. Pages of a command that repeats its text may begin alike. */
const headBytes = 64;

function headOf(page: Uint8Array): string {
  return Buffer.from(page.buffer, page.byteOffset, headBytes).toString('latin1');
}

function isEqual(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}

/** Frames that lie one behind the other. */
function neighbours(frames: readonly SavedFrame[]): SavedFrame[][] {
  const runs: SavedFrame[][] = [];
  let last: SavedFrame | null = null;
  for (const frame of frames) {
    if (last !== null && frame.number === last.number + 1) runs.at(-1)?.push(frame);
    else runs.push([frame]);
    last = frame;
  }
  return runs;
}

/** Where a file lies in one piece, as byte addresses. */
function wholeCopies(frames: readonly SavedFrame[], file: Uint8Array): number[] {
  return neighbours(frames)
    .filter((run) => run.length * frameBytes >= file.length)
    .flatMap((run) => {
      const bytes = Buffer.concat(run.map((frame) => frame.bytes));
      const start = (run[0]?.number ?? 0) * frameBytes;
      const found: number[] = [];
      for (let at = bytes.indexOf(file); at >= 0; at = bytes.indexOf(file, at + file.length))
        found.push(start + at);
      return found;
    });
}

function pagesOf(file: Uint8Array): Uint8Array[] {
  return Array.from({ length: file.length / frameBytes }, (_, i) =>
    file.subarray(i * frameBytes, (i + 1) * frameBytes),
  );
}

/** A page of a file, and where it lies by itself. */
interface PageCopies {
  readonly page: Uint8Array;
  /** Where it is in the file. In more than one place, nothing tells which of its frames is which. */
  readonly indexes: number[];
  /** The numbers of the frames that are equal to it. */
  readonly frames: number[];
}

/** The different pages of a file, by how they begin. */
function pagesByHead(file: Uint8Array): ReadonlyMap<string, readonly PageCopies[]> {
  const byHead = new Map<string, PageCopies[]>();
  for (const [index, page] of pagesOf(file).entries()) {
    const head = headOf(page);
    const alike = byHead.get(head) ?? [];
    byHead.set(head, alike);
    const same = alike.find((other) => isEqual(other.page, page));
    if (same === undefined) alike.push({ page, indexes: [index], frames: [] });
    else same.indexes.push(index);
  }
  return byHead;
}

/** Where the pages of a file lie by themselves. */
interface FileCopies {
  readonly pages: readonly PageCopies[];
  /** Whether a frame begins as a page and goes on otherwise. */
  readonly hasParts: boolean;
  /** Whether a frame is the page `marked`. */
  readonly hasBegun: boolean;
}

function fileCopies(
  frames: readonly SavedFrame[],
  file: Uint8Array,
  marked: Uint8Array,
  isElsewhere: (frame: number) => boolean,
): FileCopies {
  const byHead = pagesByHead(file);
  let [hasParts, hasBegun] = [false, false];
  for (const { number, bytes } of frames) {
    const alike = isElsewhere(number) ? undefined : byHead.get(headOf(bytes));
    if (alike === undefined) continue;
    const same = alike.find(({ page }) => isEqual(bytes, page));
    if (same !== undefined) same.frames.push(number);
    else if (isEqual(bytes, marked)) hasBegun = true;
    else hasParts = true;
  }
  return { pages: [...byHead.values()].flat(), hasParts, hasBegun };
}

/** Puts `bytes` at a byte address. */
function put(frames: Map<number, Uint8Array>, address: number, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length;) {
    const number = Math.floor((address + done) / frameBytes);
    const from = (address + done) % frameBytes;
    const part = bytes.subarray(done, done + frameBytes - from);
    const frame = (frames.get(number) ?? new Uint8Array(frameBytes)).slice();
    frame.set(part, from);
    frames.set(number, frame);
    done += part.length;
  }
}

/** What there is of a first process: what it takes to put another one in each of its places, or why that would be in vain. */
type Change = { readonly frames: SavedFrame[] } | keyof typeof whyNot | 'is not there';

/** That of a program that is all there comes first: of the one that is not there, pages that both have are. */
const whyNot = {
  'has begun':
    'the command of the checkpoint’s guest has begun, and no other can take its place; write the checkpoint earlier (userspace)',
  'has pages that are alike':
    'the command of the checkpoint’s guest repeats its text over whole pages, which cannot be told apart in its memory; boot the guest with another command, such as -- true',
  'is being unpacked':
    'the guest of the checkpoint is unpacking its initramfs, and takes no other command just then; write the checkpoint a little later',
} as const;

function changed(
  saved: readonly SavedFrame[],
  program: Uint8Array,
  other: Uint8Array,
  begun: number,
): Change {
  const begunPage = Math.floor(begun / frameBytes) * frameBytes;
  const marked = program.slice(begunPage, begunPage + frameBytes);
  marked[begun - begunPage] = 1;
  const whole = wholeCopies(saved, program);
  const { pages, hasParts, hasBegun } = fileCopies(saved, program, marked, (frame) =>
    whole.some((at) => frame * frameBytes >= at && (frame + 1) * frameBytes <= at + program.length),
  );
  if (hasBegun) return 'has begun';
  const isThere = pages.some((page) => page.frames.length > 0);
  if (!isThere && whole.length === 0) return 'is not there';
  const isComplete = !isThere || pages.every(({ indexes, frames }) => frames.length >= indexes.length);
  if (hasParts || !isComplete) return 'is being unpacked';
  const frames = new Map(saved.map(({ number, bytes }) => [number, bytes]));
  for (const at of whole) put(frames, at, other);
  const others = pagesOf(other);
  for (const { indexes, frames: numbers } of isThere ? pages : []) {
    const [page, ...more] = indexes.map((index) => present(others[index], 'a page'));
    if (page === undefined || more.some((another) => !isEqual(another, page)))
      return 'has pages that are alike';
    for (const number of numbers) put(frames, number * frameBytes, page);
  }
  return { frames: saved.map(({ number, bytes }) => ({ number, bytes: frames.get(number) ?? bytes })) };
}

/** A guest that was saved, and its initrd if that is needed again. */
export interface SavedGuest {
  readonly saved: SavedBoot;
  readonly initrd: Uint8Array | null;
}

/** The initrd with the other one of each pair of programs in its place. */
function otherInitrd(initrd: Uint8Array, programs: ReturnType<typeof commandPrograms>): Uint8Array {
  const changed = Buffer.from(initrd);
  for (const { program, other } of programs)
    for (let at = changed.indexOf(program); at >= 0; at = changed.indexOf(program, at + program.length))
      changed.set(other, at);
  return new Uint8Array(changed.buffer, changed.byteOffset, changed.length);
}

/**
 * The guest that runs `next` instead of `first`, with which it was booted. Throws InputError if it was booted without a command
 * (null), if that has begun, or if `next` is too long.
 */
export function withCommand(
  { saved, initrd }: SavedGuest,
  first: RunCommand | null,
  next: RunCommand,
  architecture: InitArchitecture,
): SavedGuest {
  if (first === null)
    throw new InputError(
      'the guest of the checkpoint was booted without a command, and its own init takes none; write a checkpoint of a boot with any command, such as -- true, before that begins (userspace)',
    );
  const programs = commandPrograms(first, next, architecture);
  if (programs.some(({ program, other }) => other.length > program.length))
    throw new InputError(
      `the ${next.script === null ? 'command' : 'script'} is too long to take the place of the command with which the guest was booted; boot the guest with one as long`,
    );
  const begun = begunOffset(architecture);
  // Those of a file are unpacked whenever they are asked for.
  const frames = saved.machine.frames.map(({ number, bytes }) => ({ number, bytes }));
  const changes = programs.map(({ program, other }) => changed(frames, program, other, begun));
  // One of the two programs is there. The pages of padding are the same in both.
  const change = changes.find((one) => typeof one !== 'string');
  if (change !== undefined) {
    const guest = { ...saved, machine: { ...saved.machine, frames: change.frames } };
    return { saved: guest, initrd: initrd === null ? null : otherInitrd(initrd, programs) };
  }
  for (const why of Object.keys(whyNot) as (keyof typeof whyNot)[])
    if (changes.includes(why)) throw new InputError(whyNot[why]);
  throw new InputError('the command with which the guest was booted is not in its memory; give no other');
}
