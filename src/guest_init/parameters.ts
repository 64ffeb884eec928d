/** The parameter block of the code: pointers and numbers, 8 bytes each. */
export const parameterNames = [
  /** The command and its arguments. All lists in the block are lists of pointers that end with a null. */
  'args',
  /** The paths where the command's program may be. */
  'programs',
  'environment',
  /** The command line of a program that runs before the command; null for none. */
  'setup',
  /** The arguments of a shell that runs the command as a script. The code fills in the second one. */
  'shellArgs',
  /** The paths where a shell may be. */
  'shells',
  'notFoundText',
  'notFoundLength',
  'cannotRunText',
  'cannotRunLength',
  'directories',
  /** Pairs of a file system type, which is also its source, and a mount point. */
  'mounts',
  /** A file that the code writes before it starts the command: its path, null for none; its contents, and their length. */
  'scriptPath',
  'scriptText',
  'scriptLength',
  /** 0; the code sets it to 1 before it starts the command. */
  'begun',
] as const;

export type ParameterName = (typeof parameterNames)[number];

/** Byte offset of each parameter in the block. */
export const parameterOffset = Object.fromEntries(
  parameterNames.map((name, position) => [name, 8 * position]),
) as Readonly<Record<ParameterName, number>>;
