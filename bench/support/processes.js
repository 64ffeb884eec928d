// Runs an emulator in a separate process and records when it prints given texts: wall time, processor time of all
// threads, and peak memory. Needs Linux's /proc.
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { performance } from 'node:perf_hooks';
import { clearInterval, setInterval } from 'node:timers';

/** USER_HZ: the unit of processor time in /proc (proc(5)). */
const ticksPerSecond = 100;
const pollMs = 50;
/** Memory is looked at less often, because that takes the process some milliseconds each time. */
const pollsPerMemory = 10;

function readProc(pid, file) {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'latin1');
  } catch {
    return null; // it has ended
  }
}

/** User and system time of all threads in seconds. */
function processorSeconds(pid) {
  const stat = readProc(pid, 'stat');
  if (stat === null) return null;
  // The name in brackets may contain blanks. utime and stime are fields 14 and 15.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
}

/**
 * Resident memory in MiB: the total, and the resident and full size of the largest writable mapping, which contains the
 * guest's memory.
 */
function memoryOf(pid) {
  const maps = readProc(pid, 'smaps');
  if (maps === null || maps === '') return null;
  let [total, largest] = [0, { size: 0, resident: 0 }];
  for (const entry of maps.split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m)) {
    const kib = (name) => Number(new RegExp(`^${name}: +(\\d+) kB`, 'm').exec(entry)?.[1] ?? 0);
    const [size, resident] = [kib('Size') / 1024, kib('Rss') / 1024];
    total += resident;
    if (/^\S+ rw/.test(entry) && size > largest.size) largest = { size, resident };
  }
  return { total, largest };
}

/**
 * Runs `command` and records, for each of `marks` (name to regular expression), when its standard output first matched.
 * Resolves to `{ marks, end, memory, output }`, with times in seconds from the start. Stops the process at the mark
 * `last`, if given. `typed` is `{ at, text }`: what is typed once when that mark is seen.
 */
export function measureProcess([command, ...args], { marks, last = null, memory = false, typed = null }) {
  const started = performance.now();
  const child = spawn(command, args, { stdio: [typed === null ? 'ignore' : 'pipe', 'pipe', 'pipe'] });
  const now = () => ({ wall: (performance.now() - started) / 1000, processor: processorSeconds(child.pid) });
  const seen = {};
  let [output, errors, most, latest, polls] = ['', '', null, now(), 0];
  const poll = setInterval(() => {
    if (child.exitCode === null) latest = now().processor === null ? latest : now();
    polls += 1;
    if (!memory || polls % pollsPerMemory !== 0) return;
    const found = memoryOf(child.pid);
    if (found !== null && (most === null || found.total > most.total)) most = found;
  }, pollMs);
  child.stdout.on('data', (bytes) => {
    output += bytes.toString('latin1');
    for (const [name, pattern] of Object.entries(marks)) {
      if (name in seen || !pattern.test(output)) continue;
      seen[name] = now();
      if (name === typed?.at) child.stdin.write(typed.text);
      if (name === last) child.kill('SIGKILL');
    }
  });
  child.stderr.on('data', (bytes) => (errors += bytes.toString('latin1')));
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', () => {
      clearInterval(poll);
      const missing = Object.keys(marks).find((name) => !(name in seen));
      if (missing === undefined) resolve({ marks: seen, end: latest, memory: most, output });
      else reject(new Error(`${command} never came to ${missing}:\n${output.slice(-2000)}\n${errors}`));
    });
  });
}
