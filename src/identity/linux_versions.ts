/**
 * The differences between Linux versions in how they number CPUs, as data: each rule names the release in which it
 * begins, the stable releases that also have it, and the release in which it ends. A release's text comes from `uname -r`
 * or from the kernel's banner.
 */

/** A Linux version, as its text gives it. */
export interface LinuxVersion {
  readonly major: number;
  readonly minor: number;
  /** The stable release within its series; null when the text does not say, as in Debian's `6.1.0-56-arm64`. */
  readonly patch: number | null;
}

/** The version whose rules apply when none is known: that of Debian 12. */
export const defaultLinux = '6.1';

/** Where distributions give the upstream version, if their own version number hides it. */
const upstream = [/\bDebian (\d+\.\d+\.\d+)/, /\(Ubuntu \S+ (\d+\.\d+\.\d+)\)/];
/** `6.1`, `6.12.14`, `6.1.0-56-arm64`, `Linux version 6.12.85+deb13-arm64 ...`. */
const release = /^\s*(?:Linux version )?v?(\d{1,4})\.(\d{1,4})(?:\.(\d{1,4}))?(?![\d.])(-\d)?/;

/**
 * The version in `text`; null when it contains none. A third number of 0 followed by a build number (Debian's
 * `6.1.0-56-arm64`, Ubuntu's `6.8.0-45-generic`) is the distribution's own and does not give the stable release.
 */
export function parseLinuxVersion(text: string): LinuxVersion | null {
  const told = upstream.map((pattern) => pattern.exec(text)?.[1]).find((found) => found !== undefined);
  const [, major, minor, patch, build] = release.exec(told ?? text) ?? [];
  if (major === undefined || minor === undefined) return null;
  const isPatch = patch !== undefined && !(Number(patch) === 0 && build !== undefined);
  return { major: Number(major), minor: Number(minor), patch: isPatch ? Number(patch) : null };
}

/** A commit, and the releases that have it. */
export interface LinuxChange {
  /** The first 12 digits of the commit in the mainline. */
  readonly commit: string;
  /** The first mainline release that has it. */
  readonly mainline: string;
  /** The first release of each earlier series that also has it. */
  readonly stable: readonly string[];
}

/** A rule of Linux's numbering. It applies from the first change until the second, if there is one. */
export interface LinuxRule {
  readonly what: string;
  readonly from: LinuxChange;
  readonly until: LinuxChange | null;
}

const x2apicRework: LinuxChange = { commit: 'ec9aedb2aa1a', mainline: '6.7', stable: [] };

/** The rules that differ between versions. What 5.10 to 6.19 have in common is in `numbering_arm.ts` and `numbering_x86.ts`. */
export const linuxRules = {
  'failed-nodes-skipped': {
    what: 'a CPU node whose status is "fail" or "fail-..." is no CPU',
    from: { commit: '4fdd0736a3b1', mainline: '5.17', stable: [] },
    until: null,
  },
  'online-capable-gicc': {
    what: 'a GICC entry that is not enabled but online-capable takes a number',
    from: { commit: 'd633da5d3ab1', mainline: '6.11', stable: [] },
    until: null,
  },
  'small-x2apic-ids-dropped': {
    what: 'beside usable type 0 entries, a type 9 entry with an APIC id below 255 is no CPU',
    from: x2apicRework,
    until: null,
  },
  'type-0-first': {
    what: 'all MADT entries of type 0 are numbered before all of type 9',
    from: x2apicRework,
    until: { commit: '0141978ae75b', mainline: '6.14', stable: ['6.12.14', '6.13.3'] },
  },
  'real-bsp-kept-out': {
    what: 'a crash kernel leaves the first CPU of the MADT out; disabled CPUs get the last numbers',
    from: { commit: '5c5682b9f87a', mainline: '6.9', stable: [] },
    until: null,
  },
  'bsp-bit-read': {
    what: 'the BSP bit of IA32_APIC_BASE says more than the order of the MADT',
    from: { commit: '9d22c96316ac', mainline: '6.10', stable: ['6.9.4'] },
    until: null,
  },
} as const satisfies Readonly<Record<string, LinuxRule>>;

export type LinuxRuleName = keyof typeof linuxRules;

/** Whether `version` is in the series of `first` and has at least its patch level. An unknown patch level counts as the newest. */
function isAtLeast(version: LinuxVersion, first: LinuxVersion): boolean {
  return (version.patch ?? Infinity) >= (first.patch ?? 0);
}

function compareSeries(a: LinuxVersion, b: LinuxVersion): number {
  return a.major - b.major || a.minor - b.minor;
}

function has(version: LinuxVersion, { mainline, stable }: LinuxChange): boolean {
  const releases = [mainline, ...stable].flatMap((text) => parseLinuxVersion(text) ?? []);
  const [first] = releases;
  if (first !== undefined && compareSeries(version, first) > 0) return true;
  return releases.some((start) => compareSeries(version, start) === 0 && isAtLeast(version, start));
}

/**
 * Whether a rule applies to the kernel with the version text `text` (`uname -r`, or the banner). Null, and text without
 * a version, stand for {@link defaultLinux}.
 */
export function linuxHas(text: string | null | undefined, rule: LinuxRuleName): boolean {
  const version = parseLinuxVersion(text ?? defaultLinux) ?? parseLinuxVersion(defaultLinux);
  const { from, until }: LinuxRule = linuxRules[rule];
  return version !== null && has(version, from) && (until === null || !has(version, until));
}
