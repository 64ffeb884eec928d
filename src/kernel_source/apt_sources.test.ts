import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseDeb822Sources, parseSourcesList, readAptSources } from './apt_sources.js';

test('one-line sources: options, comments, and lines that are not package sources', () => {
  const text = `
# deb http://commented.example/debian bookworm main
deb http://a.example/debian/ bookworm main contrib # a remark
deb-src http://a.example/debian bookworm main
deb [arch=amd64,arm64 signed-by=/keys/a.gpg] https://b.example/x trixie main
deb [ trusted=yes ] http://c.example/debian sid main
deb cdrom:[Debian]/ bookworm main
deb http://flat.example/ ./
deb ftp://old.example/debian bookworm main
nonsense
deb
`;
  assert.deepEqual(parseSourcesList(text), [
    { uri: 'http://a.example/debian', suite: 'bookworm', components: ['main', 'contrib'], keyrings: [] },
    { uri: 'https://b.example/x', suite: 'trixie', components: ['main'], keyrings: ['/keys/a.gpg'] },
    { uri: 'http://c.example/debian', suite: 'sid', components: ['main'], keyrings: [] },
  ]);
});

test('deb822 sources: every suite of every address, unless disabled', () => {
  const text = `Types: deb deb-src
# a remark
URIs: http://a.example/debian/
 http://b.example/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /keys/a.gpg

Types: deb
URIs: http://c.example/debian
Suites: bookworm
Components: main
Enabled: no

Types: deb-src
URIs: http://d.example/debian
Suites: bookworm
Components: main

Types: deb
URIs: http://e.example/debian
Suites: sid
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 abc
 -----END PGP PUBLIC KEY BLOCK-----
`;
  assert.deepEqual(
    parseDeb822Sources(text).map(({ uri, suite, keyrings }) => [uri, suite, ...keyrings]),
    [
      ['http://a.example/debian', 'bookworm', '/keys/a.gpg'],
      ['http://a.example/debian', 'bookworm-updates', '/keys/a.gpg'],
      ['http://b.example/debian', 'bookworm', '/keys/a.gpg'],
      ['http://b.example/debian', 'bookworm-updates', '/keys/a.gpg'],
      ['http://e.example/debian', 'sid'],
    ],
  );
});

test('the files that apt reads, and mirror lists; without apt there are no sources', async (t) => {
  const root = await mkdtemp(path.join(os.tmpdir(), 'apt-'));
  t.after(() => rm(root, { recursive: true }));
  await mkdir(path.join(root, 'sources.list.d'));
  const write = (name: string, text: string): Promise<void> => writeFile(path.join(root, name), text);
  const line = (host: string): string => `deb http://${host}.example/debian bookworm main\n`;
  await write('sources.list', line('first'));
  await write('sources.list.d/b.list', line('third'));
  await write(
    'sources.list.d/a.sources',
    'Types: deb\nURIs: http://second.example\nSuites: x\nComponents: main\n',
  );
  await write('sources.list.d/c.list.disabled', line('never'));
  await write('sources.list.d/d e.list', line('never'));
  await write(
    'mirrors',
    '# ours\nhttp://fourth.example/debian/ priority:1\n\nhttps://fifth.example/debian\nfile:/x\n',
  );
  await write('sources.list.d/m.list', `deb mirror+file:${root}/mirrors bookworm main\n`);
  const sources = await readAptSources(root);
  assert.deepEqual(
    sources.map(({ uri }) => /\/\/(\w+)/.exec(uri)![1]),
    ['first', 'second', 'third', 'fourth', 'fifth'],
  );
  assert.deepEqual(await readAptSources(path.join(root, 'nothing')), []);
});

test('no text throws', () => {
  const noise = fc.string({
    unit: fc.constantFrom('deb ', 'http://a ', '[', ']', ' ', '\n', '#', 'Types: ', 'URIs: ', 'x'),
  });
  fc.assert(
    fc.property(noise, (text) => {
      for (const { uri } of [...parseSourcesList(text), ...parseDeb822Sources(text)])
        assert.match(uri, /^http:/);
    }),
  );
});
