/**
 * The kernel's export table, read from its image without any symbol file. An entry (struct kernel_symbol, with
 * CONFIG_HAVE_ARCH_PREL32_RELOCATIONS as on arm64) is three signed 32-bit distances, each from its own address: to the
 * value, to the name and to the namespace (Linux include/linux/export.h and export-internal.h, 5.4 to 7.2).
 */

/** Bytes of one entry. */
const entryBytes = 12;

/** Offset in `image` of the text `\0name\0`'s first letter, from `from` on; -1 when it is not there. */
function findName(image: Uint8Array, name: string, from: number): number {
  const wanted = [0, ...Array.from(name, (letter) => letter.charCodeAt(0)), 0];
  for (let at = image.indexOf(0, from); at >= 0; at = image.indexOf(0, at + 1)) {
    if (wanted.every((byte, index) => image[at + index] === byte)) return at + 1;
  }
  return -1;
}

/**
 * The offset in `image` of what exported symbol `name` stands for (a negative or large one lies outside the file, as
 * .bss does); null when the image exports no such name. `image` is an unpacked kernel Image as it lies in the file.
 */
export function exportedOffset(image: Uint8Array, name: string): number | null {
  const view = new DataView(image.buffer, image.byteOffset, image.byteLength);
  for (let text = findName(image, name, 0); text >= 0; text = findName(image, name, text)) {
    const entry = findEntry(view, text);
    if (entry !== null) return entry + view.getInt32(entry, true);
  }
  return null;
}

/** The entry whose name is the text at offset `text`. */
function findEntry(view: DataView, text: number): number | null {
  for (let at = 0; at + entryBytes <= view.byteLength; at += 4) {
    const toName = at + 4;
    if (toName + view.getInt32(toName, true) !== text) continue;
    // Other data can hold such a distance by chance; an entry's namespace then is no empty text.
    const toNamespace = at + 8;
    const namespace = toNamespace + view.getInt32(toNamespace, true);
    if (namespace >= 0 && namespace < view.byteLength && view.getUint8(namespace) === 0) return at;
  }
  return null;
}
