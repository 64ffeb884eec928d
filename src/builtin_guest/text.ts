/** Assembler text that is the same for all architectures. */

/** `text` as an assembler string literal. */
export function quoted(text: string): string {
  return `"${text.replaceAll('\n', '\\n')}"`;
}

/** What a kernel exports: a name, and the address as a sum of labels and numbers. */
export interface Exported {
  readonly name: string;
  readonly value: string;
}

/**
 * An export table in the format of Linux's images (include/linux/export-internal.h: three 32-bit offsets, each relative to its own
 * address: value, name, namespace), so that the readers of Linux's records can read these.
 */
export function exportTableOf(exported: readonly Exported[]): string {
  return `
    .balign 4
${exported.map(({ name, value }) => `    .long   ${value} - ., export_${name} - ., no_namespace - .`).join('\n')}
no_namespace:
    .byte   0
${exported.map(({ name }) => `export_${name}:\n    .asciz  "${name}"`).join('\n')}
    .balign 4`;
}
