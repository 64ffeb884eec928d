/** Checks of option values for all commands. */
import { InputError } from '../base/index.js';

/** Commander accepts any following argument as an option's value, even another option. Throws InputError in that case. */
export function checkValue(option: string, value: string | undefined): void {
  if (value === '') throw new InputError(`${option} needs a value, but got an empty one`);
  if (value?.startsWith('-') === true)
    throw new InputError(
      `${option} needs a value, but got the option ${value}; put the value right after ${option}`,
    );
}
