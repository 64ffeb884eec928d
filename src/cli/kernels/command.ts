/** `domulator kernels`: lists the available Debian kernels, and which of them are in the cache. */
import type { Command } from 'commander';
import { domulatorVersion } from '../../base/index.js';
import { debianGrammar, kernels, usualReleases } from '../../library/index.js';
import type { KernelList, ListedKernel } from '../../library/index.js';
import { print, warn } from '../host.js';
import { jsonText } from '../json.js';
import { archOf } from '../boot/arguments.js';
import { checkValue } from '../option_values.js';
import { tableLines } from '../render/table.js';

const [oldest = '', newest = ''] = [usualReleases[0], usualReleases.at(-1)];

const help = `
Examples:
  domulator kernels                      the newest kernel of each flavour, from ${oldest}
                                         to ${newest}, and what else the cache has
  domulator kernels bookworm             every version that Debian 12 has now
  domulator kernels trixie-backports     any other suite by its name
  domulator boot --kernel debian:bookworm/cloud=6.1.0-50
                                         boot one of them

"default" marks what --kernel debian:RELEASE[/FLAVOUR] boots without a version: the
kernel in the cache, or the archive's newest. Without a network, only the kernels in
the cache are listed, with a warning.

The JSON has "domulator" (its version), "notAsked" (releases whose archive could not
be reached: "release", "why") and "kernels". Each of those has "kernel" (the value for
--kernel), "release", "flavour", "version" (the ABI version), "package" ("name" and
"version"), "isDefault", "isCached", and "isListed" (whether the archive lists it now;
null if it could not be asked). It has all versions, also without RELEASE.

Exit status:
   0  there is a list
   2  bad arguments, no such release, or neither a network nor a kernel in the cache`;

interface KernelsOptions {
  readonly json?: boolean;
  readonly mirror?: string;
  readonly arch?: string;
}

function yes(is: boolean): string {
  return is ? 'yes' : '';
}

function rowOf({
  release,
  flavour,
  version,
  package: package_,
  isDefault,
  isCached,
}: ListedKernel): string[] {
  return [release, flavour, version, package_.name, yes(isDefault), yes(isCached)];
}

function hidden(count: number): string {
  return count === 1 ? '1 older version is not shown' : `${count} older versions are not shown`;
}

function listText({ kernels: all }: KernelList, release: string | undefined): string {
  const shown = release === undefined ? all.filter(({ isDefault, isCached }) => isDefault || isCached) : all;
  const more = all.length - shown.length;
  return [
    ...tableLines(['release', 'flavour', 'version', 'package', 'default', 'cached'], shown.map(rowOf)),
    '',
    `Boot one with: npx domulator boot --kernel ${debianGrammar}`,
    ...(more > 0 ? [`${hidden(more)}; name a RELEASE to see ${more === 1 ? 'it' : 'them'}.`] : []),
  ].join('\n');
}

/** One line for all releases with the same reason. */
function warnOfCache({ notAsked }: KernelList): void {
  for (const why of new Set(notAsked.map((each) => each.why))) {
    const releases = notAsked.filter((each) => each.why === why).map((each) => each.release);
    warn(`${why}; of ${releases.join(', ')}, only kernels in the cache are listed`);
  }
}

async function list(
  release: string | undefined,
  { json = false, mirror, arch }: KernelsOptions,
): Promise<void> {
  checkValue('--mirror', mirror);
  const found = await kernels({
    warn,
    ...(release === undefined ? {} : { release }),
    ...(mirror === undefined ? {} : { mirror }),
    ...(arch === undefined ? {} : { arch: archOf(arch) }),
  });
  warnOfCache(found);
  const { kernels: listed, notAsked } = found;
  print(
    json ? jsonText({ domulator: domulatorVersion, notAsked, kernels: listed }) : listText(found, release),
  );
}

/** Declares the command's options and its action. */
export function addKernelsCommand(command: Command): void {
  command
    .description('list the kernels of Debian that can be booted, and which are in the cache')
    .argument('[RELEASE]', 'only this release, with all of its versions')
    .option('--arch <ARCH>', 'architecture of the kernels: arm64 or amd64 (default: arm64)')
    .option('--json', 'print the list as JSON')
    .option('--mirror <URL>', "Debian mirror (default: DOMULATOR_MIRROR, or this machine's apt sources)")
    .helpOption('-h, --help', 'print this help')
    .addHelpText('after', help)
    .action(list);
}
