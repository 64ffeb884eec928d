/** Lists Debian's kernels for programs. */
import { InputError } from '../base/index.js';
import { listKernels } from '../kernel_source/index.js';
import type { KernelList } from '../kernel_source/index.js';
import type { BootRequest } from './request.js';
import { shownValue } from './request_types.js';
import { archiveSettings } from './sources.js';

/** Which kernels to list. */
export interface KernelsRequest {
  /** A release such as `bookworm`, `stable` or `trixie-backports` (default: Debian 11, bullseye, to sid, and the releases in the cache). */
  readonly release?: string;
  /** Architecture of the kernels (default: arm64). */
  readonly arch?: NonNullable<BootRequest['arch']>;
  /** Address of the Debian mirror to ask (default: DOMULATOR_MIRROR, or the mirrors in this machine's apt sources). */
  readonly mirror?: string;
  /** Called with a line about anything unusual in an archive or the cache. */
  readonly warn?: (line: string) => void;
}

/**
 * The kernels that can be booted as `debian:RELEASE[/FLAVOUR][=VERSION]`: those that the archives list now, and those in the
 * cache; without a network only those in the cache. Throws InputError with one line when there is nothing to list.
 */
export async function kernels(request: KernelsRequest = {}): Promise<KernelList> {
  if (typeof (request as unknown) !== 'object' || (request as unknown) === null)
    throw new InputError(`a request must be an object, not ${shownValue(request)}`);
  return await listKernels(request.release ?? null, archiveSettings(request));
}
