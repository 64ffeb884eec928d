/**
 * Debian control files (Debian Policy, chapter 5): stanzas of fields, used in Packages, Release, .sources and packages.
 */

/**
 * The fields of a stanza by lower-case name. The lines of a value are joined by `\n`, each without its leading blank.
 */
export type Stanza = ReadonlyMap<string, string>;

/** Parses a stanza from `lines` without empty lines. Lines that are not fields are skipped. */
function parseStanza(lines: readonly string[]): Stanza {
  const fields = new Map<string, string>();
  let current = '';
  for (const line of lines) {
    if (line.startsWith('#')) continue;
    if (/^[ \t]/.test(line)) {
      const before = fields.get(current);
      if (before !== undefined) fields.set(current, `${before}\n${line.trim()}`);
      continue;
    }
    const colon = line.indexOf(':');
    if (colon <= 0) continue;
    current = line.slice(0, colon).trim().toLowerCase();
    fields.set(current, line.slice(colon + 1).trim());
  }
  return fields;
}

/**
 * The stanzas of a control file that have at least one field. No text is refused: lines that are not fields are
 * skipped.
 */
export function parseStanzas(text: string): Stanza[] {
  return text
    .split(/\r?\n(?:[ \t]*\r?\n)+/)
    .map((part) => parseStanza(part.split(/\r?\n/)))
    .filter((stanza) => stanza.size > 0);
}
