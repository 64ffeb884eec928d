/** Which packages of an index are needed for programs of a guest that are linked to libraries: kexec-tools and makedumpfile. */
import type { PackageEntry } from '../firmware/index.js';

export const kexecPackage = 'kexec-tools';
export const dumpPackage = 'makedumpfile';
export const programPackages: readonly string[] = [kexecPackage, dumpPackage];

/** Packages that are worth opening for a library. */
const isOfLibraries = (name: string): boolean => /^(lib|zlib)/.test(name);

/** The names of the packages of libraries on which a package depends directly: of alternatives, the first. */
export function libraryDependencies({ depends }: Pick<PackageEntry, 'depends'>): string[] {
  return depends.flatMap(([first]) => (first !== undefined && isOfLibraries(first.name) ? [first.name] : []));
}
