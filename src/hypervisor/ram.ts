/**
 * Which of the domain's RAM frames are in use. A domain starts with all of config.ram at guest frames of the same
 * numbers; ballooning returns frames and takes them again, at the same or at other guest frames.
 */
import type { Domain } from './domain.js';
import { clearFrame } from './physmap.js';

/** The domain's RAM in frames: its initial size, which is also its maximum. */
export function ramFrames({ state }: Domain): number {
  return state.config.ram.reduce((sum, { count }) => sum + count, 0);
}

function isRam({ state }: Domain, frame: number): boolean {
  return state.config.ram.some(({ start, count }) => frame >= start && frame < start + count);
}

/** Frames that Xen or a daemon keeps mapped, so that they stay allocated when the guest loses them. */
function heldFrames({ state }: Domain): Set<number> {
  const held = new Set(state.events.arrayMfns);
  for (const daemon of [state.xenstore, state.pvConsole]) if (daemon !== null) held.add(daemon.mfn);
  for (const { vcpuInfo, runstateArea, timeArea, fifo } of state.vcpus) {
    for (const location of [vcpuInfo, runstateArea.location, timeArea.location]) {
      if (location !== null) held.add(location.mfn);
    }
    if (fifo !== null) held.add(fifo.controlMfn);
  }
  return held;
}

/** RAM frames that the domain does not use, ascending. Only frames whose own guest frame maps something else can be unused. */
export function freeRam(domain: Domain): Set<number> {
  const { physmap } = domain.state;
  const shown = new Set(Object.values(physmap));
  const held = heldFrames(domain);
  const free = Object.keys(physmap)
    .map(Number)
    .filter((frame) => isRam(domain, frame) && !shown.has(frame) && !held.has(frame));
  return new Set(free.sort((a, b) => a - b));
}

/** The current number of the domain's frames (Xen's domain_tot_pages, only guest RAM). */
export function populatedFrames(domain: Domain): number {
  return ramFrames(domain) - freeRam(domain).size;
}

/**
 * Allocates `count` zeroed frames; frames numbered `wanted` and above are used first. If there are too few, allocates
 * nothing and returns null.
 */
export function takeRam(domain: Domain, free: Set<number>, count: number, wanted: number): number[] | null {
  if (free.size < count) return null;
  const own = Array.from({ length: count }, (_, i) => wanted + i).filter((frame) => free.has(frame));
  for (const mfn of own) free.delete(mfn);
  const missing = count - own.length;
  const others = missing === 0 ? [] : [...free].slice(0, missing);
  for (const mfn of others) free.delete(mfn);
  for (const mfn of [...own, ...others]) clearFrame(domain, mfn);
  return [...own, ...others];
}

/** The same as {@link takeRam}, but with contiguous frames, the first at a multiple of `count`. */
export function takeContiguousRam(domain: Domain, free: Set<number>, count: number): number[] | null {
  for (const first of free) {
    const run = Array.from({ length: count }, (_, i) => first + i);
    if (first % count === 0 && run.every((frame) => free.has(frame)))
      return takeRam(domain, free, count, first);
  }
  return null;
}

/** The highest guest frame number that is mapped. */
export function maximumGfn({ state }: Domain): number {
  const lastRam = state.config.ram.reduce((last, { start, count }) => Math.max(last, start + count - 1), 0);
  return Object.entries(state.physmap).reduce(
    (last, [gfn, mfn]) => (mfn === null ? last : Math.max(last, Number(gfn))),
    lastRam,
  );
}
