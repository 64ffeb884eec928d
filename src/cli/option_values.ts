/** What holds of the values of all commands' options. */
import { InputError } from '../base/index.js';

/** Commander takes whatever follows for an option's value, another option too. Throws InputError where it did. */
export function checkValue(option: string, value: string | undefined): void {
  if (value === '') throw new InputError(`${option} needs a value, but got an empty one`);
  if (value?.startsWith('-') === true)
    throw new InputError(
      `${option} needs a value, but got the option ${value}; put the value right after ${option}`,
    );
}
