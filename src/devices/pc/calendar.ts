/** The proleptic Gregorian calendar, from and to seconds since 1970. */

/** A date and a time of day. Month and day begin at 1; day of the week: 0 is Sunday. */
export interface CalendarTime {
  readonly year: number;
  readonly month: number;
  readonly day: number;
  readonly weekday: number;
  readonly hour: number;
  readonly minute: number;
  readonly second: number;
}

const secondsPerDay = 86_400;
/** Days of 400 years, after which the calendar repeats; and from 1 March of year 0 to 1970. */
const eraDays = 146_097;
const daysTo1970 = 719_468;

/** Days since 1970. Years begin in March here, so that leap days are at their ends. A month may be out of range, and a day. */
function daysOf(year: number, month: number, day: number): number {
  const months = year * 12 + (month - 1) - 2;
  const shifted = Math.floor(months / 12);
  const era = Math.floor(shifted / 400);
  const yearOfEra = shifted - era * 400;
  const dayOfYear = Math.floor((153 * (months - shifted * 12) + 2) / 5) + day - 1;
  const dayOfEra = yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear;
  return era * eraDays + dayOfEra - daysTo1970;
}

/** Seconds since 1970. Fields out of range count on: the 32nd of January is the 1st of February. */
export function secondsOf(time: Omit<CalendarTime, 'weekday'>): number {
  const { year, month, day, hour, minute, second } = time;
  return daysOf(year, month, day) * secondsPerDay + hour * 3600 + minute * 60 + second;
}

/** The date and the time of day at whole `seconds` since 1970. */
export function calendarTime(seconds: number): CalendarTime {
  const days = Math.floor(seconds / secondsPerDay);
  const left = seconds - days * secondsPerDay;
  const shifted = days + daysTo1970;
  const era = Math.floor(shifted / eraDays);
  const dayOfEra = shifted - era * eraDays;
  const leaps = Math.floor(dayOfEra / 1460) - Math.floor(dayOfEra / 36_524) + Math.floor(dayOfEra / 146_096);
  const yearOfEra = Math.floor((dayOfEra - leaps) / 365);
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100));
  const shiftedMonth = Math.floor((5 * dayOfYear + 2) / 153);
  const month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9;
  return {
    year: era * 400 + yearOfEra + (month <= 2 ? 1 : 0),
    month,
    day: dayOfYear - Math.floor((153 * shiftedMonth + 2) / 5) + 1,
    weekday: (((days + 4) % 7) + 7) % 7,
    hour: Math.floor(left / 3600),
    minute: Math.floor(left / 60) % 60,
    second: left % 60,
  };
}
