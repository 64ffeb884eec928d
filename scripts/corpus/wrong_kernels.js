// Interprets an architecture's wrong_kernels.json: the edits that make a kernel, and the text of a file after edits.

/**
 * The edits from the source to a kernel of `{ source, kernels }`, those of its base first. `source` is the Debian package of the
 * source; each kernel has name, base, description and edits. Throws if there is no such kernel.
 */
export function editsOf(name, { kernels }) {
  const kernel = kernels.find((one) => one.name === name);
  if (kernel === undefined) throw new Error(`wrong_kernels.json has no kernel ${name}`);
  return [...(kernel.base === undefined ? [] : editsOf(kernel.base, { kernels })), ...kernel.edits];
}

/** `text` after an edit. Throws if the searched text does not occur exactly as often as the edit says. */
export function edited(text, { file, find, times = 1, replace }) {
  const parts = text.split(find);
  if (parts.length - 1 !== times) {
    throw new Error(`${file}: '${find}' stands there ${parts.length - 1} times, not ${times}`);
  }
  return parts.join(replace.join('\n'));
}
