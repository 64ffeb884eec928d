/**
 * A program of a Debian release with the libraries that it needs, as a cpio archive that is unpacked in a guest: kexec-tools, into a
 * folder of its own, and makedumpfile. Each package is checked by the hash in the archive's index.
 */
import { InputError, present } from '../base/index.js';
import { debFiles, elfLibraries, fileType, newestFirst, openDeb, writeCpio } from '../firmware/index.js';
import type { ArchiveFile, CpioEntry } from '../firmware/index.js';
import { fetchPackage } from './archive.js';
import type { ArchivePackage, ArchiveSettings } from './archive.js';
import { libraryDependencies } from './program_packages.js';

/** A program, and where it is in the guest. */
export interface LinkedProgram {
  readonly name: string;
  readonly isPath: (path: string) => boolean;
  /** Paths without a slash at the beginning: of the folder that its libraries are below, empty for the root, and of the program. */
  readonly root: string;
  readonly path: string;
}

export const kexecProgram: LinkedProgram = {
  name: 'kexec',
  isPath: (path) => /^(usr\/)?sbin\/kexec$/.test(path),
  root: 'kexec-tools',
  path: 'kexec-tools/kexec',
};
export const dumpProgram: LinkedProgram = {
  name: 'makedumpfile',
  isPath: (path) => /^(usr\/)?s?bin\/makedumpfile$/.test(path),
  root: '',
  path: 'bin/makedumpfile',
};

const isLibraryPath = (path: string): boolean => /(^|\/)(lib|ld-)[^/]*\.so[^/]*$/.test(path);

/** Those packages and their own dependencies, nearest first; of each the newest. */
function closure(entry: ArchivePackage, packages: readonly ArchivePackage[]): ArchivePackage[] {
  const found = new Map<string, ArchivePackage>();
  const waiting = libraryDependencies(entry);
  for (let name = waiting.shift(); name !== undefined; name = waiting.shift()) {
    const wanted = name;
    const [newest] = newestFirst(packages.filter((each) => each.name === wanted));
    if (newest === undefined || found.has(name)) continue;
    found.set(name, newest);
    waiting.push(...libraryDependencies(newest));
  }
  return [...found.values()];
}

/** Whether a package is called as one with that library usually is: `libxencall1` for `libxencall.so.1`. */
function isNamedFor({ name }: ArchivePackage, library: string): boolean {
  const [, stem = library, version = ''] = /^(.*?)\.so\.?(.*)$/.exec(library) ?? [];
  return name === `${stem}${version}` || name === `${stem}-${version}`;
}

async function filesIn(
  entry: ArchivePackage,
  wanted: (path: string) => boolean,
  settings: ArchiveSettings,
): Promise<ArchiveFile[]> {
  const deb = openDeb(
    await fetchPackage(entry, settings.fetch),
    `the package ${entry.name} ${entry.version}`,
  );
  const files: ArchiveFile[] = [];
  for await (const file of debFiles(deb, wanted)) files.push(file);
  return files;
}

function directory(path: string): CpioEntry {
  return { path, mode: fileType.directory | 0o755, content: new Uint8Array(), device: [0, 0] };
}

function executable(path: string, content: Uint8Array): CpioEntry {
  return { path, mode: fileType.regular | 0o755, content, device: [0, 0] };
}

/** A path below a folder, whose own path may be empty. */
function below(folder: string, path: string): string {
  return folder === '' ? path : `${folder}/${path}`;
}

/** The libraries of a program by the names under which they are needed. Throws as {@link programArchive} does. */
async function librariesOf(
  tool: Uint8Array,
  { name }: ArchivePackage,
  unopened: ArchivePackage[],
  settings: ArchiveSettings,
): Promise<ReadonlyMap<string, Uint8Array>> {
  const neededBy = (file: Uint8Array): readonly string[] => elfLibraries(file)?.needed ?? [];
  const opened = new Map<string, Uint8Array>();
  const used = new Map<string, Uint8Array>();
  const wanted = [...neededBy(tool)];
  for (let library = wanted.shift(); library !== undefined; library = wanted.shift()) {
    while (!opened.has(library)) {
      if (unopened.length === 0)
        throw new InputError(`no package on which ${name} depends contains ${library}`);
      await openNext(library, unopened, opened, settings);
    }
    const bytes = present(opened.get(library), 'a library');
    if (!used.has(library)) wanted.push(...neededBy(bytes));
    used.set(library, bytes);
  }
  return used;
}

/** Opens the package that is likeliest to contain the library, and adds its libraries. */
async function openNext(
  library: string,
  unopened: ArchivePackage[],
  opened: Map<string, Uint8Array>,
  settings: ArchiveSettings,
): Promise<void> {
  const fitting = unopened.findIndex((each) => isNamedFor(each, library));
  const [next] = unopened.splice(Math.max(fitting, 0), 1);
  for (const { bytes } of await filesIn(
    present(next, 'a package that was not opened'),
    isLibraryPath,
    settings,
  )) {
    const ownName = elfLibraries(bytes)?.ownName ?? null;
    if (ownName !== null && !opened.has(ownName)) opened.set(ownName, bytes);
  }
}

/** The loader at the path that the program names, unless that is among the libraries. */
function loaderOf(tool: Uint8Array, root: string, libraries: ReadonlyMap<string, Uint8Array>): CpioEntry[] {
  const [, folder, name] = /^\/([^/]+)\/([^/]+)$/.exec(elfLibraries(tool)?.interpreter ?? '') ?? [];
  const loader = name === undefined ? undefined : libraries.get(name);
  if (folder === undefined || folder === 'lib' || loader === undefined) return [];
  return [directory(below(root, folder)), executable(below(root, `${folder}/${name}`), loader)];
}

/**
 * The archive for a program in the package `entry`. Throws InputError if a library is in none of the packages on which it
 * depends, and what {@link fetchPackage} throws.
 */
export async function programArchive(
  { name, isPath, root, path }: LinkedProgram,
  entry: ArchivePackage,
  packages: readonly ArchivePackage[],
  settings: ArchiveSettings,
): Promise<Uint8Array> {
  const [tool] = await filesIn(entry, isPath, settings);
  if (tool === undefined)
    throw new InputError(`the package ${entry.name} ${entry.version} contains no program ${name}`);
  const used = await librariesOf(tool.bytes, entry, closure(entry, packages), settings);
  const libraries = [...used].sort(([a], [b]) => (a < b ? -1 : 1));
  return writeCpio([
    ...(root === '' ? [] : [directory(root)]),
    directory(below(root, 'lib')),
    executable(path, tool.bytes),
    ...libraries.map(([library, bytes]) => executable(below(root, `lib/${library}`), bytes)),
    ...loaderOf(tool.bytes, root, used),
  ]);
}
