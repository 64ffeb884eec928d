// Expands right.json to runs: every combination of the values under `each` of a group, with the values under `rotate`
// dealt out in turn.

/** Every combination of the values, as objects. The last field changes fastest. */
function combinations(each) {
  return Object.entries(each).reduce(
    (made, [field, values]) => made.flatMap((one) => values.map((value) => ({ ...one, [field]: value }))),
    [{}],
  );
}

/** The values under `rotate` for run number `index` of a group. */
function dealt(rotate, index) {
  const pairs = Object.entries(rotate).map(([field, values]) => [field, values[index % values.length]]);
  return Object.fromEntries(pairs);
}

/** The name of a run. It has everything that distinguishes the run, so that the run can be repeated by its name. */
function nameOf({ kernel, vcpus = 4, xen = '4.17', xenstore = true, seed = 1, ...run }) {
  const { type, guest, cmdline, entryVcpu, memory } = run;
  const parts = [
    kernel,
    type,
    vcpus === 1 ? '1 vCPU' : `${vcpus} vCPUs`,
    entryVcpu === undefined ? '' : `entered on vCPU ${entryVcpu}`,
    memory === undefined ? '' : `${memory} MiB`,
    guest,
    cmdline,
    `Xen ${xen}`,
    xenstore ? '' : 'no xenstore',
  ];
  return [...parts, seed === 1 ? '' : `seed ${seed}`].filter(Boolean).join(', ');
}

/** A generous limit: about three times what a stock kernel takes, plus the time of a guest script. */
function limitOf({ vcpus = 4, guest, cmdline = '' }) {
  const rounds = Number(/\brounds=(\d+)/.exec(cmdline)?.[1] ?? 0);
  const million = 4000 + 400 * vcpus + (guest === undefined ? 0 : 2000) + rounds * vcpus * 60;
  return `${Math.ceil(million / 1000) + 120},${million}000000`;
}

/** All runs of a corpus such as right.json, each with its name and its limits. */
export function rightRuns({ groups }) {
  return groups.flatMap(({ each, rotate }) =>
    combinations(each).map((values, index) => {
      const run = { ...dealt(rotate, index), ...values };
      return { ...run, name: nameOf(run), limit: limitOf(run) };
    }),
  );
}
