/**
 * Formats numbers for readers, in ascending order, with runs of three or more as ranges: `0 to 3, 5 and 7`. Empty for
 * an empty list.
 */
export function rangesText(numbers: readonly number[]): string {
  const sorted = [...new Set(numbers)].sort((a, b) => a - b);
  const runs: number[][] = [];
  for (const number of sorted) {
    const open = runs.at(-1);
    if (open?.at(-1) === number - 1) open.push(number);
    else runs.push([number]);
  }
  const parts = runs.flatMap((run) =>
    run.length < 3 ? run.map(String) : [`${run[0] ?? ''} to ${run.at(-1) ?? ''}`],
  );
  const last = parts.pop() ?? '';
  return parts.length === 0 ? last : `${parts.join(', ')} and ${last}`;
}
