/**
 * The user's specification of a kernel. Text is parsed once, where it enters: by {@link parseKernelSpec}. Everything behind that
 * takes the parsed form.
 */
import { InputError } from '../base/index.js';
import { genericFlavour } from '../firmware/index.js';

/** A kernel of a Debian release. */
export interface DebianSpec {
  /** A codename, or a suite such as `stable` or `bookworm-backports`. */
  readonly release: string;
  /** `generic`, `cloud`, `rt`, `16k` or another flavour of the release. */
  readonly flavour: string;
  /** An ABI version (`6.1.0-50`), a package version or the output of `uname -r`; null for the newest. */
  readonly version: string | null;
}

/** A kernel to boot: the built-in guest, a kernel of a Debian release, or a file by its path or its bytes. */
export type KernelSpec =
  | { readonly kind: 'builtin' }
  | ({ readonly kind: 'debian' } & DebianSpec)
  | { readonly kind: 'file'; readonly file: string }
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array };

/** How a kernel of Debian is written. */
export const debianGrammar = 'debian:RELEASE[/FLAVOUR][=VERSION]';

interface Part {
  readonly pattern: RegExp;
  readonly called: string;
}

/** Each can be part of a URL and of a file name. */
const parts: Readonly<Record<'release' | 'flavour' | 'version', Part>> = {
  release: {
    pattern: /^[a-z][a-z0-9-]{0,40}$/,
    called: 'the name of a Debian release, such as bookworm',
  },
  flavour: {
    pattern: /^[a-z0-9][a-z0-9-]{0,40}$/,
    called: 'the name of a flavour, such as generic or cloud',
  },
  // Debian Policy 5.6.12; no version contains an underscore.
  version: { pattern: /^[0-9][A-Za-z0-9.+~:-]{0,100}$/, called: 'a version, such as 6.1.0-50' },
};

function checked(part: keyof typeof parts, text: string): string {
  const { pattern, called } = parts[part];
  if (typeof text === 'string' && pattern.test(text)) return text;
  const hint = part === 'release' && text !== '' ? '' : `; a kernel of Debian is ${debianGrammar}`;
  throw new InputError(`${JSON.stringify(text)} is not ${called}${hint}`);
}

/** Whether `text` can be the name of a release. */
export function isReleaseName(text: string): boolean {
  return parts.release.pattern.test(text);
}

/** Checks that `release` can be part of a URL and of a file name. Throws {@link InputError}. */
export function checkReleaseName(release: string): string {
  return checked('release', release);
}

/** `spec`, whose parts can be in a URL and in a file name. Throws {@link InputError} with one line if one is invalid. */
function checkDebianSpec({ release, flavour, version }: DebianSpec): DebianSpec {
  return {
    release: checkReleaseName(release),
    flavour: checked('flavour', flavour),
    version: version === null ? null : checked('version', version),
  };
}

/** Parses `RELEASE[/FLAVOUR][=VERSION]`. Throws {@link InputError} with one line if a part is invalid. */
export function parseDebianSpec(text: string): DebianSpec {
  const [, release = '', flavour = genericFlavour, version = null] =
    /^([^/=]*)(?:\/([^=]*))?(?:=(.*))?$/s.exec(text) ?? [];
  return checkDebianSpec({ release, flavour, version });
}

/** Whether a program gave what the types say. */
function isOtherSpec(spec: Exclude<KernelSpec, { readonly kind: 'debian' }>): boolean {
  const { kind, file, bytes }: { kind?: unknown; file?: unknown; bytes?: unknown } = spec;
  if (kind === 'file') return typeof file === 'string' && file !== '';
  return kind === 'builtin' || (kind === 'bytes' && bytes instanceof Uint8Array);
}

/** The kernel that a caller names: as text, by the bytes of its file, or parsed already. Throws {@link InputError} with one line. */
export function kernelSpecOf(kernel: string | Uint8Array | KernelSpec): KernelSpec {
  if (typeof kernel === 'string') return parseKernelSpec(kernel);
  if (kernel instanceof Uint8Array) return { kind: 'bytes', bytes: kernel };
  if (kernel.kind === 'debian') return { kind: 'debian', ...checkDebianSpec(kernel) };
  if (isOtherSpec(kernel)) return kernel;
  throw new InputError('a kernel is given as text, as the bytes of its file, or as parseKernelSpec gives it');
}

/** The shortest text that {@link parseKernelSpec} parses as `spec`: `debian:bookworm/cloud=6.1.0-50`. */
export function debianSpecText({ release, flavour, version }: DebianSpec): string {
  const [slash, equals] = [
    flavour === genericFlavour ? '' : `/${flavour}`,
    version === null ? '' : `=${version}`,
  ];
  return `debian:${release}${slash}${equals}`;
}

/** The newest generic kernel of a release. Throws {@link InputError} unless `release` can be the name of one. */
export function releaseSpec(release: string): DebianSpec {
  return { release: checkReleaseName(release), flavour: genericFlavour, version: null };
}

/** What a kernel is called in reports and messages. */
export function kernelName(spec: KernelSpec): string {
  switch (spec.kind) {
    case 'builtin':
      return 'builtin';
    case 'debian':
      return debianSpecText(spec);
    case 'file':
      return spec.file;
    case 'bytes':
      return 'the kernel that was given as bytes';
  }
}

/** Parses `builtin`, `debian:RELEASE[/FLAVOUR][=VERSION]` or the path of a file. Throws {@link InputError} with one line. */
export function parseKernelSpec(text: string): KernelSpec {
  if (typeof (text as unknown) !== 'string' || text === '')
    throw new InputError(`a kernel is builtin, ${debianGrammar} or a file`);
  if (text === 'builtin') return { kind: 'builtin' };
  const rest = /^debian:(.*)$/s.exec(text)?.[1];
  return rest === undefined ? { kind: 'file', file: text } : { kind: 'debian', ...parseDebianSpec(rest) };
}
