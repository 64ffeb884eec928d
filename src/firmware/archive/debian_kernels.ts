/**
 * The kernels of a Debian archive: the names of their packages, the package that contains a kernel, and the list of
 * available kernels. Names are those of the source packages linux and linux-signed-ARCHITECTURE, from Debian 11 to sid.
 */
import type { Architecture } from '../architecture.js';
import { newestFirst, satisfies } from './debian_index.js';
import type { PackageEntry } from './debian_index.js';
import { compareVersions } from './debian_version.js';

/** The flavour of packages without a flavour in their names, such as `linux-image-arm64`. */
export const genericFlavour = 'generic';

/** The parts of a kernel package's name. */
export interface KernelPackageName {
  /**
   * `6.1.0-50` for `linux-image-6.1.0-50-cloud-arm64`; null for `linux-image-cloud-arm64`, which depends on the newest.
   */
  readonly abi: string | null;
  /** `cloud`, `rt`, `16k`, ...; {@link genericFlavour} if the name has none. */
  readonly flavour: string;
  /** ABI, flavour and architecture, as `uname -r` prints them in a guest with this kernel. */
  readonly release: string;
  /** False if the package's kernel is not signed for Secure Boot. Apart from the signature, it is the same kernel. */
  readonly isSigned: boolean;
}

/** Whether a package contains a kernel or leads to one by its dependencies. */
export function isKernelPackage(name: string): boolean {
  return /^linux-(image|binary)-/.test(name) && !/-(dbg(sym)?|signed-template)$/.test(name);
}

/** The number of leading words that belong to the ABI: numbers, and the words that experimental kernels add to them. */
function abiWords(words: readonly string[]): number {
  const end = words.findIndex((word, i) => !/^\d/.test(word) && (i === 0 || !/^(rc\d+|trunk)$/.test(word)));
  return end < 0 ? words.length : end;
}

/** Parses `name`; null if it is not the name of a kernel package for `architecture`. */
export function parseKernelPackageName(name: string, architecture: Architecture): KernelPackageName | null {
  const [, prefix = '', unsigned = '', release = '', suffix = ''] =
    /^(linux-(?:image|binary))(-unsigned)?-([a-z0-9+.~-]+?)(-unsigned)?$/.exec(name) ?? [];
  const words = release.split('-');
  const at = words.indexOf(architecture);
  if (prefix === '' || at < 0 || !isKernelPackage(name)) return null;
  const abi = abiWords(words.slice(0, at));
  const flavour = [...words.slice(abi, at), ...words.slice(at + 1)].join('-');
  return {
    abi: abi === 0 ? null : words.slice(0, abi).join('-'),
    flavour: flavour === '' ? genericFlavour : flavour,
    release,
    isSigned: unsigned === '' && suffix === '',
  };
}

/** The dependency of `entry` that may contain its kernel or lead to it; undefined if it is not in `entries`. */
function kernelDependency<Entry extends PackageEntry>(
  entry: Entry,
  entries: readonly Entry[],
): Entry | undefined {
  const wanted = entry.depends.flat().filter(({ name }) => isKernelPackage(name));
  for (const { name, constraint } of wanted) {
    const [found] = newestFirst(
      entries.filter((each) => each.name === name && satisfies(each.version, constraint)),
    );
    if (found !== undefined) return found;
  }
  return undefined;
}

/** The package that contains the kernel of `entry`: itself, or one that its dependencies lead to. */
function holderOf<Entry extends PackageEntry>(entry: Entry, entries: readonly Entry[]): Entry | undefined {
  let at = entry;
  // Debian needs two steps: linux-image-arm64, linux-image-VERSION-arm64, linux-binary-VERSION-arm64.
  for (let step = 0; step < 4; step += 1) {
    if (!at.depends.flat().some(({ name }) => isKernelPackage(name))) return at;
    const next = kernelDependency(at, entries);
    if (next === undefined) return undefined;
    at = next;
  }
  return undefined;
}

/** A kernel that an archive offers. */
export interface KernelOffer<Entry extends PackageEntry = PackageEntry> {
  readonly flavour: string;
  /** The ABI version, such as `6.1.0-50`. */
  readonly abi: string;
  /** The package that contains it. */
  readonly entry: Entry;
  /**
   * All texts that a user may give as its version: ABI, package version, `uname -r`, and series (`6.12`) if it has one.
   */
  readonly versions: readonly string[];
  /** Whether the flavour's metapackage, such as `linux-image-arm64`, leads to it. */
  readonly isNamed: boolean;
}

interface Lead<Entry extends PackageEntry> {
  readonly name: KernelPackageName;
  readonly entry: Entry;
  readonly holder: Entry;
  readonly holderName: KernelPackageName & { readonly abi: string };
}

/** Each package that leads to a kernel, with the package that contains the kernel. */
function leadsIn<Entry extends PackageEntry>(
  entries: readonly Entry[],
  architecture: Architecture,
): Lead<Entry>[] {
  return entries.flatMap((entry): Lead<Entry>[] => {
    const name = parseKernelPackageName(entry.name, architecture);
    const holder = name === null ? undefined : holderOf(entry, entries);
    if (name === null || holder === undefined) return [];
    const holderName = parseKernelPackageName(holder.name, architecture);
    if (holderName?.abi == null) return [];
    return [{ name, entry, holder, holderName: { ...holderName, abi: holderName.abi } }];
  });
}

/** The texts that a user may give as version of the kernel in a package with this name and version. */
export function kernelVersions(
  { abi, release }: Pick<KernelPackageName, 'abi' | 'release'>,
  version: string,
): string[] {
  return [...(abi === null ? [] : [abi]), version, release];
}

function offerOf<Entry extends PackageEntry>(
  leads: readonly [Lead<Entry>, ...Lead<Entry>[]],
): KernelOffer<Entry> {
  const [{ holder, holderName }] = leads;
  const series = leads.flatMap(({ name }) => (name.abi === null ? [] : [name.abi]));
  return {
    flavour: holderName.flavour,
    abi: holderName.abi,
    entry: holder,
    versions: [...new Set([...kernelVersions(holderName, holder.version), ...series])],
    isNamed: leads.some(({ name }) => name.abi === null),
  };
}

/** Compares flavours for a list: `generic` first, then by name. Negative if `a` comes before `b`. */
export function compareFlavours(a: string, b: string): number {
  if (a === b) return 0;
  if (a === genericFlavour || b === genericFlavour) return a === genericFlavour ? -1 : 1;
  return a < b ? -1 : 1;
}

/**
 * The kernels in `entries`, by flavour (`generic` first), newest first. Copies of a package in several suites are
 * separate offers. A signed kernel comes before the same unsigned kernel.
 */
export function kernelOffers<Entry extends PackageEntry>(
  entries: readonly Entry[],
  architecture: Architecture,
): KernelOffer<Entry>[] {
  const byHolder = new Map<Entry, [Lead<Entry>, ...Lead<Entry>[]]>();
  for (const lead of leadsIn(entries, architecture)) {
    const known = byHolder.get(lead.holder);
    if (known === undefined) byHolder.set(lead.holder, [lead]);
    else known.push(lead);
  }
  const isSigned = ({ entry }: KernelOffer): boolean =>
    parseKernelPackageName(entry.name, architecture)?.isSigned === true;
  return [...byHolder.values()]
    .map(offerOf)
    .sort(
      (a, b) =>
        compareFlavours(a.flavour, b.flavour) ||
        compareVersions(b.entry.version, a.entry.version) ||
        Number(isSigned(b)) - Number(isSigned(a)),
    );
}

/** The flavours of `offers`, without duplicates, in their order. */
export function flavoursOf(offers: readonly KernelOffer[]): string[] {
  return [...new Set(offers.map(({ flavour }) => flavour))];
}

/**
 * The offers for a flavour and a version, the best first. Without a version, these are the kernels that the flavour's
 * metapackage leads to, in each suite that has it; if no suite has one, all kernels of the flavour.
 */
export function offersFor<Entry extends PackageEntry>(
  offers: readonly KernelOffer<Entry>[],
  flavour: string,
  version: string | null,
): KernelOffer<Entry>[] {
  const ofFlavour = offers.filter((offer) => offer.flavour === flavour);
  if (version !== null) return ofFlavour.filter(({ versions }) => versions.includes(version));
  const named = ofFlavour.filter(({ isNamed }) => isNamed);
  return named.length > 0 ? named : ofFlavour;
}
