/** What a checkpoint can hold at most: memory is allocated by the sizes in it. */
import { frameBytes } from '../base/index.js';
import { memoryMiB } from './limits.js';

/** The largest kernel image, bytes. */
export const mostImageBytes = 2 ** 29;

/** The images of kernels that followed the first one are read at once, and so cannot be endlessly large: all of them, bytes. */
export const mostNextImageBytes = 160 << 20;

/** More frames than Xen and its toolstack keep beside the memory of any guest. */
export const mostOtherFrames = 2 ** 16;

const mostGuestBytes = memoryMiB.most * 2 ** 20;

/** More frames than any checkpoint has: those of the largest guest, of Xen, and of its files. An initrd fits its guest. */
export const mostFrames =
  (2 * mostGuestBytes + mostImageBytes + mostNextImageBytes) / frameBytes + mostOtherFrames;
