/**
 * The flattened device tree: Devicetree Specification v0.4, chapter 5. A reader that takes any bytes and throws
 * nothing but InputError, and a writer. Names and values are kept as they are; what a property means is for
 * the one who asks. Everything in the format is big-endian.
 */
import { InputError, u64 } from '../../base/index.js';
import { viewOf } from '../struct.js';

/** A property (2.2.4): its value is bytes; {@link cellsOf} and {@link stringsOf} read the usual shapes. */
export interface DeviceTreeProperty {
  name: string;
  value: Uint8Array;
}

/** A node (2.2.1). The root's name is empty. Order of properties and children is the file's. */
export interface DeviceTreeNode {
  name: string;
  properties: DeviceTreeProperty[];
  children: DeviceTreeNode[];
}

/** An entry of the memory reservation block (5.3), in bytes. */
export interface MemoryReservation {
  address: bigint;
  size: bigint;
}

/** A device tree as a plain value (base/value.ts). */
export interface DeviceTree {
  /** The `reg` of the CPU that the firmware starts (5.2, boot_cpuid_phys). */
  bootCpuidPhys: number;
  reservations: MemoryReservation[];
  root: DeviceTreeNode;
}

/** 5.2: the first word of every blob. */
export const FDT_MAGIC = 0xd00d_feed;
/** 5.4.1: what the words of the structure block say. */
export const FDT_BEGIN_NODE = 1;
export const FDT_END_NODE = 2;
export const FDT_PROP = 3;
export const FDT_NOP = 4;
export const FDT_END = 9;

/** 5.2: this is version 17, which readers of version 16 can read. */
const FDT_VERSION = 17;
const FDT_LAST_COMPATIBLE_VERSION = 16;

const headerBytes = 40;
const reservationBytes = 16;
/** Nodes within nodes. The specification sets no limit; Linux takes 64 (drivers/of/fdt.c, FDT_MAX_DEPTH). */
const maxDepth = 64;
/** Characters of a property's name. The specification says 31 (2.2.4.1); longer ones are in use. */
const maxPropertyName = 255;

/** The header's words (5.2) as byte offsets. */
const at = {
  magic: 0,
  totalsize: 4,
  off_dt_struct: 8,
  off_dt_strings: 12,
  off_mem_rsvmap: 16,
  version: 20,
  last_comp_version: 24,
  boot_cpuid_phys: 28,
  size_dt_strings: 32,
  size_dt_struct: 36,
} as const;

function pad4(length: number): number {
  return (length + 3) & ~3;
}

/** One byte a character: no byte is refused, so a name that was read can be written again. */
function textOf(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
}

function bytesOf(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

function block(blob: Uint8Array, offset: number, size: number, name: string): Uint8Array {
  if (offset < headerBytes || offset + size > blob.length) {
    throw new InputError(
      `the device tree's ${name} block (${size} bytes at ${offset}) is not inside the blob`,
    );
  }
  return blob.subarray(offset, offset + size);
}

/** The blob without what follows it, its magic number, size and version checked. */
function checkedBlob(bytes: Uint8Array): Uint8Array {
  if (bytes.length < headerBytes) {
    throw new InputError(`a device tree has at least ${headerBytes} bytes, this has ${bytes.length}`);
  }
  const view = viewOf(bytes);
  const magic = view.getUint32(at.magic);
  if (magic !== FDT_MAGIC) {
    throw new InputError(`not a device tree: it begins with 0x${magic.toString(16)}, not 0xd00dfeed`);
  }
  const total = view.getUint32(at.totalsize);
  if (total < headerBytes || total > bytes.length) {
    throw new InputError(`the device tree says it is ${total} bytes long, but ${bytes.length} are here`);
  }
  const [version, compatible] = [view.getUint32(at.version), view.getUint32(at.last_comp_version)];
  if (version < FDT_VERSION || compatible > FDT_VERSION) {
    throw new InputError(
      `the device tree is of version ${version} (readable as ${compatible}), not ${FDT_VERSION}`,
    );
  }
  return bytes.subarray(0, total);
}

function readReservations(blob: Uint8Array, offset: number): MemoryReservation[] {
  const view = viewOf(blob);
  const reservations: MemoryReservation[] = [];
  for (let from = offset; ; from += reservationBytes) {
    if (from < headerBytes || from + reservationBytes > blob.length) {
      throw new InputError('the device tree ends within its memory reservations');
    }
    const [address, size] = [view.getBigUint64(from), view.getBigUint64(from + 8)];
    if (address === 0n && size === 0n) return reservations;
    reservations.push({ address, size });
  }
}

/** Walks the structure block (5.4) word by word. */
class StructureReader {
  readonly #words: Uint8Array;
  readonly #view: DataView;
  readonly #strings: Uint8Array;
  readonly #names = new Map<number, string>();
  #at = 0;

  constructor(words: Uint8Array, strings: Uint8Array) {
    this.#words = words;
    this.#view = viewOf(words);
    this.#strings = strings;
  }

  #fail(what: string): never {
    throw new InputError(`the device tree's structure block ${what} (at byte ${this.#at})`);
  }

  #word(): number {
    if (this.#at + 4 > this.#words.length) this.#fail('ends too early');
    const word = this.#view.getUint32(this.#at);
    this.#at += 4;
    return word;
  }

  /** The next word that is not FDT_NOP. */
  #token(): number {
    let token = this.#word();
    while (token === FDT_NOP) token = this.#word();
    return token;
  }

  #nodeName(): string {
    const end = this.#words.indexOf(0, this.#at);
    if (end < 0) this.#fail('has a node name without an end');
    const name = textOf(this.#words.subarray(this.#at, end));
    this.#at = pad4(end + 1);
    return name;
  }

  #propertyName(offset: number): string {
    const known = this.#names.get(offset);
    if (known !== undefined) return known;
    const end = this.#strings.indexOf(0, offset);
    if (offset >= this.#strings.length || end < 0) this.#fail(`names a property by string ${offset}`);
    if (end - offset > maxPropertyName) this.#fail('has a property name of more than 255 characters');
    const name = textOf(this.#strings.subarray(offset, end));
    this.#names.set(offset, name);
    return name;
  }

  #property(): DeviceTreeProperty {
    const length = this.#word();
    const name = this.#propertyName(this.#word());
    if (this.#at + length > this.#words.length) this.#fail(`ends within property ${JSON.stringify(name)}`);
    const value = Uint8Array.from(this.#words.subarray(this.#at, this.#at + length));
    this.#at += pad4(length);
    return { name, value };
  }

  #child(parents: DeviceTreeNode[]): DeviceTreeNode {
    if (parents.length >= maxDepth) this.#fail(`nests nodes more than ${maxDepth} deep`);
    const node = { name: this.#nodeName(), properties: [], children: [] };
    parents.at(-1)?.children.push(node);
    return node;
  }

  read(): DeviceTreeNode {
    if (this.#token() !== FDT_BEGIN_NODE) this.#fail('does not begin with a node');
    const root = this.#child([]);
    const open = [root];
    for (let node = open.at(-1); node !== undefined; node = open.at(-1)) {
      const token = this.#token();
      if (token === FDT_BEGIN_NODE) open.push(this.#child(open));
      else if (token === FDT_END_NODE) open.pop();
      else if (token !== FDT_PROP) this.#fail(`holds the word ${token} where a node goes on`);
      else if (node.children.length > 0) this.#fail('has a property after a child node');
      else node.properties.push(this.#property());
    }
    if (this.#token() !== FDT_END) this.#fail('goes on after the root node');
    return root;
  }
}

/**
 * The device tree in `bytes` (a .dtb file; Linux offers its own in /sys/firmware/fdt). What follows the blob's
 * own length is not looked at. Throws {@link InputError} on anything that is not a version 17 blob.
 */
export function readDeviceTree(bytes: Uint8Array): DeviceTree {
  const blob = checkedBlob(bytes);
  const view = viewOf(blob);
  const word = (offset: number): number => view.getUint32(offset);
  const structure = block(blob, word(at.off_dt_struct), word(at.size_dt_struct), 'structure');
  const strings = block(blob, word(at.off_dt_strings), word(at.size_dt_strings), 'strings');
  return {
    bootCpuidPhys: word(at.boot_cpuid_phys),
    reservations: readReservations(blob, word(at.off_mem_rsvmap)),
    root: new StructureReader(structure, strings).read(),
  };
}

/** Collects the structure and strings blocks of a tree. */
class StructureWriter {
  readonly bytes: number[] = [];
  readonly strings: number[] = [];
  readonly #offsets = new Map<string, number>();

  #word(value: number): void {
    this.bytes.push((value >>> 24) & 0xff, (value >>> 16) & 0xff, (value >>> 8) & 0xff, value & 0xff);
  }

  #padded(bytes: Iterable<number>): void {
    for (const byte of bytes) this.bytes.push(byte);
    while (this.bytes.length % 4 !== 0) this.bytes.push(0);
  }

  #stringOffset(name: string): number {
    const known = this.#offsets.get(name);
    if (known !== undefined) return known;
    const offset = this.strings.length;
    this.#offsets.set(name, offset);
    if (name.length > maxPropertyName) {
      throw new InputError(`a property name has ${name.length} characters, not ${maxPropertyName} or fewer`);
    }
    for (const byte of checkedName(name)) this.strings.push(byte);
    this.strings.push(0);
    return offset;
  }

  node(node: DeviceTreeNode, depth: number): void {
    if (depth > maxDepth) throw new InputError(`the device tree nests nodes more than ${maxDepth} deep`);
    this.#word(FDT_BEGIN_NODE);
    this.#padded([...checkedName(node.name), 0]);
    for (const { name, value } of node.properties) {
      this.#word(FDT_PROP);
      this.#word(value.length);
      this.#word(this.#stringOffset(name));
      this.#padded(value);
    }
    for (const child of node.children) this.node(child, depth + 1);
    this.#word(FDT_END_NODE);
  }

  end(): void {
    this.#word(FDT_END);
  }
}

function checkedName(name: string): Uint8Array {
  const units = Array.from({ length: name.length }, (_, i) => name.charCodeAt(i));
  if (units.every((unit) => unit > 0 && unit <= 0xff)) return bytesOf(name);
  throw new InputError(`the name ${JSON.stringify(name)} is not allowed in a device tree`);
}

function checkHeaderFields({ bootCpuidPhys, reservations }: DeviceTree): void {
  if (bootCpuidPhys !== bootCpuidPhys >>> 0) {
    throw new InputError(`the boot CPU's reg ${bootCpuidPhys} does not fit 32 bits`);
  }
  for (const { address, size } of reservations) {
    if (address !== u64(address) || size !== u64(size)) {
      throw new InputError(`the memory reservation ${address}+${size} does not fit 64 bits`);
    }
    // An entry of two zeroes is how the list ends (5.3.2).
    if (address === 0n && size === 0n) throw new InputError('a memory reservation of 0 bytes at 0');
  }
}

/**
 * The blob of `tree`, version 17: header, memory reservations, structure, strings. Throws {@link InputError} on
 * a name with a character that does not fit a byte, on a number too wide for its field, and on more than 64 levels.
 */
export function writeDeviceTree(tree: DeviceTree): Uint8Array {
  checkHeaderFields(tree);
  const writer = new StructureWriter();
  writer.node(tree.root, 1);
  writer.end();
  const reservations = headerBytes;
  const structure = reservations + reservationBytes * (tree.reservations.length + 1);
  const strings = structure + writer.bytes.length;
  const blob = new Uint8Array(strings + writer.strings.length);
  const view = viewOf(blob);
  const header: Record<keyof typeof at, number> = {
    magic: FDT_MAGIC,
    totalsize: blob.length,
    off_dt_struct: structure,
    off_dt_strings: strings,
    off_mem_rsvmap: reservations,
    version: FDT_VERSION,
    last_comp_version: FDT_LAST_COMPATIBLE_VERSION,
    boot_cpuid_phys: tree.bootCpuidPhys,
    size_dt_strings: writer.strings.length,
    size_dt_struct: writer.bytes.length,
  };
  for (const [field, offset] of Object.entries(at)) {
    view.setUint32(offset, header[field as keyof typeof at]);
  }
  for (const [i, { address, size }] of tree.reservations.entries()) {
    view.setBigUint64(reservations + i * reservationBytes, address);
    view.setBigUint64(reservations + i * reservationBytes + 8, size);
  }
  blob.set(writer.bytes, structure);
  blob.set(writer.strings, strings);
  return blob;
}

/**
 * The node at `path`, as `/cpus/cpu@0`; undefined when there is none. A step without a unit address finds the
 * node of that name whatever its address, provided there is only one (2.2.3).
 */
export function deviceTreeNodeAt(tree: DeviceTree, path: string): DeviceTreeNode | undefined {
  let node: DeviceTreeNode | undefined = tree.root;
  for (const step of path.split('/').filter((part) => part !== '')) {
    const children: DeviceTreeNode[] = node?.children ?? [];
    const exact = children.find(({ name }) => name === step);
    const alike = children.filter(({ name }) => name.split('@', 1)[0] === step);
    node = exact ?? (alike.length === 1 ? alike[0] : undefined);
  }
  return node;
}

/** The value of the property `name` of `node`; undefined when it has none. */
export function deviceTreeProperty(node: DeviceTreeNode, name: string): Uint8Array | undefined {
  return node.properties.find((property) => property.name === name)?.value;
}

/** The 32-bit cells of a value (2.2.4.2, `<prop-encoded-array>`). Bytes after the last whole cell are left out. */
export function cellsOf(value: Uint8Array): number[] {
  const view = viewOf(value);
  return Array.from({ length: Math.floor(value.length / 4) }, (_, i) => view.getUint32(4 * i));
}

/** The strings of a value (`<stringlist>`), each ended by a zero byte; a last one without its end counts too. */
export function stringsOf(value: Uint8Array): string[] {
  const parts = textOf(value).split('\0');
  return parts.at(-1) === '' ? parts.slice(0, -1) : parts;
}

/** The value of 32-bit cells. */
export function cellsValue(...words: number[]): Uint8Array {
  const value = new Uint8Array(4 * words.length);
  const view = viewOf(value);
  for (const [i, word] of words.entries()) view.setUint32(4 * i, word);
  return value;
}

/** The value of a string list: each of `texts`, ended by a zero byte. */
export function stringsValue(...texts: string[]): Uint8Array {
  return bytesOf(texts.map((text) => `${text}\0`).join(''));
}

/** A node of these properties and children. */
export function deviceTreeNode(
  name: string,
  properties: Record<string, Uint8Array>,
  children: DeviceTreeNode[] = [],
): DeviceTreeNode {
  const list = Object.entries(properties).map(([property, value]) => ({ name: property, value }));
  return { name, properties: list, children };
}
