/** The block of pointers and numbers, 8 bytes each, from which the code takes what to run. */
export const parameterNames = [
  /** The command's arguments, its name first; a list of pointers that a null ends, as all lists here. */
  'args',
  /** The paths at which the command's program may be. */
  'programs',
  'environment',
  /** The arguments of a program that is run before the command, its path first; null for none. */
  'setup',
  /** The arguments of a shell that runs the command as a script; the second is filled in by the code. */
  'shellArgs',
  /** The paths at which a shell may be. */
  'shells',
  'notFoundText',
  'notFoundLength',
  'cannotRunText',
  'cannotRunLength',
  'directories',
  /** Pairs: the type of a file system, which is its source too, and where it is mounted. */
  'mounts',
] as const;

export type ParameterName = (typeof parameterNames)[number];

/** Where each parameter is, in bytes from the start of the block. */
export const parameterOffset = Object.fromEntries(
  parameterNames.map((name, position) => [name, 8 * position]),
) as Readonly<Record<ParameterName, number>>;
