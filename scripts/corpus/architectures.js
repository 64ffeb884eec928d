// What the corpora need to know of each architecture. The data of the runs are in the folders of the same names.
import { ownText } from './places.js';

/**
 * The command line of a run begins with `usualCommandLine`: no self-tests of the crypto drivers, which take most of a stock boot's
 * instructions; and on amd64 a given number for delay loops, which each further CPU would measure for some 80 million instructions.
 * `kernel` says how the kernel's own build makes a file that domulator boots.
 */
const architectures = {
  arm64: {
    usualCommandLine: 'console=ttyAMA0 cryptomgr.notests',
    kernel: {
      hostArch: 'arm64',
      crossCompile: 'aarch64-linux-gnu-',
      makeArch: 'arm64',
      target: 'Image',
      file: 'arch/arm64/boot/Image',
    },
  },
  amd64: {
    usualCommandLine: 'console=hvc0 cryptomgr.notests lpj=4000000',
    kernel: {
      hostArch: 'x64',
      crossCompile: 'x86_64-linux-gnu-',
      makeArch: 'x86_64',
      target: 'bzImage',
      file: 'arch/x86/boot/bzImage',
    },
  },
};

/** The architecture that --arch names, arm64 by default, with its name. Ends the process if there is no such one. */
export function architectureOf(name = 'arm64') {
  if (Object.hasOwn(architectures, name)) return { name, ...architectures[name] };
  console.error(`--arch takes ${Object.keys(architectures).join(' or ')}, not '${name}'`);
  return process.exit(2);
}

/** A data file of an architecture. */
export const dataOf = ({ name }, file) => JSON.parse(ownText(`${name}/${file}`));
