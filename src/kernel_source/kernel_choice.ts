/** Selects the kernels of an archive that match a specification, or explains why there is none. */
import { InputError } from '../base/index.js';
import { flavoursOf, kernelOffers, offersFor } from '../firmware/index.js';
import type { Architecture, KernelOffer, PackageEntry } from '../firmware/index.js';
import { debianSpecText } from './kernel_spec.js';
import type { DebianSpec } from './kernel_spec.js';

/** Maximum number of versions to list in the message about a missing version. */
const namedVersions = 6;

function abisOf(offers: readonly KernelOffer[]): string[] {
  return [...new Set(offers.map(({ abi }) => abi))];
}

/** How many characters at their beginnings are the same. */
function commonLength(a: string, b: string): number {
  let length = 0;
  while (length < a.length && a[length] === b[length]) length += 1;
  return length;
}

/** The versions that begin most like `wanted` come first, otherwise in their own order. */
function nearestFirst(abis: readonly string[], wanted: string): string[] {
  return abis.toSorted((a, b) => commonLength(b, wanted) - commonLength(a, wanted));
}

/** One line that says why `offers` contain none for `spec`, and what they contain. */
function missing(offers: readonly KernelOffer[], spec: DebianSpec, architecture: Architecture): InputError {
  const { release, flavour, version } = spec;
  const ofFlavour = offers.filter((offer) => offer.flavour === flavour);
  const list = `see 'domulator kernels ${release}'`;
  if (offers.length === 0) return new InputError(`debian:${release} has no kernel for ${architecture}`);
  if (ofFlavour.length === 0) {
    const flavours = flavoursOf(offers).join(', ');
    return new InputError(`debian:${release} has no flavour '${flavour}'; it has ${flavours}`);
  }
  const abis = nearestFirst(abisOf(ofFlavour), version ?? '');
  const rest = abis.length > namedVersions ? ` and ${abis.length - namedVersions} others; ${list}` : '';
  const without = debianSpecText({ ...spec, version: null });
  return new InputError(
    `${without} has no version '${version ?? ''}'; it has ${abis.slice(0, namedVersions).join(', ')}${rest}`,
  );
}

/** The kernels that match a specification, the best first. Throws {@link InputError} with one line if there are none. */
export function offeredKernels<Entry extends PackageEntry>(
  packages: readonly Entry[],
  spec: DebianSpec,
  architecture: Architecture,
): KernelOffer<Entry>[] {
  const offers = kernelOffers(packages, architecture);
  const found = offersFor(offers, spec.flavour, spec.version);
  if (found.length > 0) return found;
  throw missing(offers, spec, architecture);
}
