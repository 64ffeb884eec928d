/** A small Debian archive, and a local server for it. */
import { createHash } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { after, before, beforeEach } from 'node:test';
import { gzipSync } from 'node:zlib';
import { bytesOf } from './files.js';

export const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** Files of a web server by path, without a leading slash. An undefined file has vanished. */
export type Files = Record<string, Uint8Array | undefined>;

export interface FakePackage {
  readonly name: string;
  readonly version: string;
  readonly depends?: string;
  readonly bytes: Uint8Array;
}

export interface FakeSuite {
  readonly suite: string;
  readonly packages: readonly FakePackage[];
  readonly date?: string;
  readonly validUntil?: string;
  readonly byHash?: boolean;
  readonly architecture?: string;
}

/** A stanza of a Packages file. */
function stanza({ name, version, depends, bytes }: FakePackage, filename: string): string {
  const fields = [
    `Package: ${name}`,
    `Version: ${version}`,
    'Architecture: arm64',
    ...(depends === undefined ? [] : [`Depends: ${depends}`]),
    `Filename: ${filename}`,
    `Size: ${bytes.length}`,
    `SHA256: ${sha256(bytes)}`,
  ];
  return `${fields.join('\n')}\n`;
}

/** Formats a text as a clear-signed message, with a signature that cannot be verified. */
export function asSigned(text: string): string {
  return [
    '-----BEGIN PGP SIGNED MESSAGE-----',
    'Hash: SHA256',
    '',
    text,
    '-----BEGIN PGP SIGNATURE-----',
    '',
    'none',
    '-----END PGP SIGNATURE-----',
    '',
  ].join('\n');
}

/** The files of a suite: its packages, its index, its Release file. */
export function suiteFiles({
  suite,
  packages,
  byHash = true,
  architecture = 'arm64',
  ...dates
}: FakeSuite): Files {
  const files: Files = {};
  const stanzas = packages.map((entry) => {
    const filename = `pool/main/${entry.name}_${entry.version.replace(/^\d+:/, '')}_arm64.deb`;
    files[filename] = entry.bytes;
    return stanza(entry, filename);
  });
  const index = Uint8Array.from(gzipSync(bytesOf(stanzas.join('\n'))));
  const folder = `main/binary-${architecture}`;
  files[`dists/${suite}/${folder}/Packages.gz`] = index;
  if (byHash) files[`dists/${suite}/${folder}/by-hash/SHA256/${sha256(index)}`] = index;
  const release = [
    'Origin: Debian',
    `Suite: ${suite}`,
    `Codename: ${suite}`,
    `Date: ${dates.date ?? 'Sat, 21 Nov 2026 00:00:00 UTC'}`,
    ...(dates.validUntil === undefined ? [] : [`Valid-Until: ${dates.validUntil}`]),
    ...(byHash ? ['Acquire-By-Hash: yes'] : []),
    'SHA256:',
    ` ${sha256(index)} ${index.length} ${folder}/Packages.gz`,
  ];
  files[`dists/${suite}/InRelease`] = bytesOf(asSigned(release.join('\n')));
  return files;
}

/** The files of an archive in a folder of its server. */
export function under(folder: string, files: Files): Files {
  return Object.fromEntries(Object.entries(files).map(([name, bytes]) => [`${folder}/${name}`, bytes]));
}

export interface Server {
  readonly url: string;
  /** Every requested path, in order. */
  readonly asked: string[];
  stop(): Promise<void>;
}

export type Handler = (request: http.IncomingMessage, response: http.ServerResponse) => void;

/** A local server that `handle` implements. */
export async function serve(handle: Handler): Promise<Server> {
  const asked: string[] = [];
  const server = http.createServer((request, response) => {
    asked.push((request.url ?? '').replace(/^\//, ''));
    handle(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    asked,
    stop: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
}

/** A server of files. It answers 404 for missing files. The files may change while it runs. */
export function serveFiles(files: Files): Promise<Server> {
  return serve((request, response) => {
    const bytes = files[decodeURIComponent((request.url ?? '').slice(1))];
    response.writeHead(bytes === undefined ? 404 : 200, { 'content-length': bytes?.length ?? 0 });
    response.end(bytes);
  });
}

/** The environment of one test: the files of a mirror, its server, and a cache folder that does not exist yet. */
export interface MirrorOfTest {
  readonly files: Files;
  readonly server: Server;
  readonly cacheFolder: string;
  /** A folder shared by all tests of the file. It is removed after the last. */
  readonly root: string;
}

/**
 * Serves the files from `make`, separately for each test of the calling file. `begin` gets the mirror before the test
 * runs.
 */
export function serveEachTest(make: () => Promise<Files>, begin: (mirror: MirrorOfTest) => void): void {
  let root = '';
  let count = 0;
  let server: Server | null = null;
  before(async () => {
    root = await mkdtemp(path.join(os.tmpdir(), 'domulator-mirror-'));
  });
  beforeEach(async () => {
    await server?.stop();
    const files = await make();
    server = await serveFiles(files);
    count += 1;
    begin({ files, server, root, cacheFolder: path.join(root, `cache-${count}`) });
  });
  after(async () => {
    await server?.stop();
    await rm(root, { recursive: true });
  });
}
