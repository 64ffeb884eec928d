// The initial file systems of the corpora: busybox, with one of the scripts in guest/ as the first process.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { busyboxInitramfs } from '../../dist/src/firmware/index.js';
import { debianFiles, debianSettings, parseDebianSpec } from '../../dist/src/kernel_source/index.js';
import { corpusFolder, ownText } from './places.js';

const applets = [
  'cat',
  'cut',
  'echo',
  'mount',
  'nproc',
  'poweroff',
  'sed',
  'seq',
  'sh',
  'sleep',
  'tr',
  'true',
];

async function readBusybox({ name }) {
  const warn = (line) => console.error(line);
  const settings = debianSettings(process.env, Math.floor(Date.now() / 1000), warn, { architecture: name });
  const { busybox } = await debianFiles(parseDebianSpec('bookworm'), ['busybox'], settings);
  return busybox.bytes;
}

let busybox;
const made = new Map();

async function make(architecture, guest) {
  busybox ??= readBusybox(architecture);
  const init = ['prologue.sh', `${guest}.sh`, 'epilogue.sh']
    .map((name) => ownText(`guest/${name}`))
    .join('\n');
  const bytes = busyboxInitramfs(await busybox, architecture.name, { applets, init });
  const name = createHash('sha256').update(bytes).digest('hex').slice(0, 16);
  const file = path.join(corpusFolder, 'initrd', `${guest}-${name}.cpio`);
  mkdirSync(path.dirname(file), { recursive: true });
  if (!existsSync(file)) {
    writeFileSync(`${file}.new`, bytes);
    renameSync(`${file}.new`, file);
  }
  return file;
}

/** The path of the initial file system whose first process is `guest/GUEST.sh`. A process asks for one architecture's only. */
export async function initialFileSystem(architecture, guest) {
  const file = made.get(guest) ?? make(architecture, guest);
  made.set(guest, file);
  return await file;
}
