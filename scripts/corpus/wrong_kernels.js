// What wrong_kernels.json says, worked out: which edits make a kernel, and the text of a file with edits made.
import { ownJson } from './places.js';

/** `{ source, kernels }`: the Debian package of the source, and each kernel with its name, base, what it is and its edits. */
export const wrongKernels = ownJson('wrong_kernels.json');

/** The edits that make a kernel of the source: those of its base first. Throws where there is no such kernel. */
export function editsOf(name, { kernels } = wrongKernels) {
  const kernel = kernels.find((one) => one.name === name);
  if (kernel === undefined) throw new Error(`wrong_kernels.json has no kernel ${name}`);
  return [...(kernel.base === undefined ? [] : editsOf(kernel.base, { kernels })), ...kernel.edits];
}

/** `text` with an edit made. Throws where what is looked for does not stand there as often as the edit says. */
export function edited(text, { file, find, times = 1, replace }) {
  const parts = text.split(find);
  if (parts.length - 1 !== times) {
    throw new Error(`${file}: '${find}' stands there ${parts.length - 1} times, not ${times}`);
  }
  return parts.join(replace.join('\n'));
}
