/** Which packages of an index are needed for kexec-tools. */
import type { PackageEntry } from '../firmware/index.js';

export const kexecPackage = 'kexec-tools';

/** Packages that are worth opening for a library. */
const isOfLibraries = (name: string): boolean => /^(lib|zlib)/.test(name);

/** The names of the packages of libraries on which a package depends directly: of alternatives, the first. */
export function libraryDependencies({ depends }: Pick<PackageEntry, 'depends'>): string[] {
  return depends.flatMap(([first]) => (first !== undefined && isOfLibraries(first.name) ? [first.name] : []));
}
