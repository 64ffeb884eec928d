/**
 * The kernels of a Debian archive: what their packages are called, which package a kernel is in, and which kernels there
 * are. The names are those of the source packages linux and linux-signed-ARCHITECTURE, from Debian 11 to sid.
 */
import { newestFirst, satisfies } from './debian_index.js';
import type { PackageEntry } from './debian_index.js';
import { compareVersions } from './debian_version.js';

/** As Debian calls it. */
export type DebianArchitecture = 'arm64' | 'amd64';

/** The flavour of the packages that name none: `linux-image-arm64`. */
export const genericFlavour = 'generic';

/** What the name of a kernel's package says. */
export interface KernelPackageName {
  /** `6.1.0-50` of `linux-image-6.1.0-50-cloud-arm64`; null of `linux-image-cloud-arm64`, which depends on the newest. */
  readonly abi: string | null;
  /** `cloud`, `rt`, `16k`, ...; {@link genericFlavour} where the name has none. */
  readonly flavour: string;
  /** The ABI, the flavour and the architecture, as `uname -r` prints them in a guest that runs it. */
  readonly release: string;
  /** False for a package that says that its kernel is not signed for Secure Boot. It is the same kernel otherwise. */
  readonly isSigned: boolean;
}

/** The names of packages that kernels are in or lead to. */
export function isKernelPackage(name: string): boolean {
  return /^linux-(image|binary)-/.test(name) && !/-(dbg(sym)?|signed-template)$/.test(name);
}

/** How many words at the beginning belong to the ABI: numbers, and what experimental kernels have after them. */
function abiWords(words: readonly string[]): number {
  const end = words.findIndex((word, i) => !/^\d/.test(word) && (i === 0 || !/^(rc\d+|trunk)$/.test(word)));
  return end < 0 ? words.length : end;
}

/** What `name` says; null when it is not the name of a kernel's package for `architecture`. */
export function parseKernelPackageName(
  name: string,
  architecture: DebianArchitecture,
): KernelPackageName | null {
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

/** What `entry` depends on that can hold its kernel, or leads there; undefined when it is not among `entries`. */
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

/** The package that holds the kernel of `entry`: itself, or what its dependencies lead to. */
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
  /** The package that holds it. */
  readonly entry: Entry;
  /** All that a user may give as its version: ABI, package version, `uname -r`, and series (`6.12`) where it has one. */
  readonly versions: readonly string[];
  /** Whether the flavour's own package, `linux-image-arm64` or the like, leads to it. */
  readonly isNamed: boolean;
}

interface Lead<Entry extends PackageEntry> {
  readonly name: KernelPackageName;
  readonly entry: Entry;
  readonly holder: Entry;
  readonly holderName: KernelPackageName & { readonly abi: string };
}

/** Each package that leads to a kernel, with the package that holds it. */
function leadsIn<Entry extends PackageEntry>(
  entries: readonly Entry[],
  architecture: DebianArchitecture,
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

/** What a user may give as the version of a kernel in a package of this name and version. */
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

/** Below 0 when flavour `a` stands before `b` in a list: `generic` before all others. */
export function compareFlavours(a: string, b: string): number {
  if (a === b) return 0;
  if (a === genericFlavour || b === genericFlavour) return a === genericFlavour ? -1 : 1;
  return a < b ? -1 : 1;
}

/**
 * The kernels in `entries`: by flavour, `generic` first, and the newest first. Copies of a package in several suites are
 * offers of their own. A signed kernel comes before the same one unsigned.
 */
export function kernelOffers<Entry extends PackageEntry>(
  entries: readonly Entry[],
  architecture: DebianArchitecture,
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

/** The flavours of `offers`, each once, in their order. */
export function flavoursOf(offers: readonly KernelOffer[]): string[] {
  return [...new Set(offers.map(({ flavour }) => flavour))];
}

/**
 * The offers that a user means by a flavour and a version, the best first. Without a version these are the kernels that the
 * flavour's own package leads to, in each suite that has it; where no suite has such a package, all of the flavour.
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
