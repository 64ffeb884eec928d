import assert from 'node:assert/strict';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, it } from 'node:test';
import { serve, serveFiles } from '../../test/debian/archive.js';
import type { Handler, Server } from '../../test/debian/archive.js';
import { bytesOf } from '../../test/debian/files.js';
import { HttpStatusError, NetworkError, fetchBytes, proxyFor } from './http.js';
import type { FetchSettings } from './http.js';

const settings: FetchSettings = { env: {}, idleMs: 30_000, retryMs: [1, 1] };

/** The result of a fetch from a server that `handle` implements. */
async function fetched(handle: Handler, more: Partial<FetchSettings> = {}): Promise<[string, Server]> {
  const server = await serve(handle);
  try {
    const bytes = await fetchBytes(`${server.url}/file`, { ...settings, ...more });
    return [Buffer.from(bytes).toString(), server];
  } finally {
    await server.stop();
  }
}

describe('fetching', () => {
  it('returns the file, and reports progress', async () => {
    const server = await serveFiles({ 'a b': bytesOf('content') });
    const seen: [number, number | null][] = [];
    const progress = (_: string, bytes: number, total: number | null): unknown => seen.push([bytes, total]);
    const bytes = await fetchBytes(`${server.url}/a%20b`, { ...settings, progress });
    await server.stop();
    assert.deepEqual(bytes, bytesOf('content'));
    assert.deepEqual(seen.at(-1), [7, 7]);
  });

  it('follows a limited number of redirects, and only to http and https', async () => {
    const [text, server] = await fetched((request, response) => {
      if (request.url === '/file') response.writeHead(302, { location: '/other' }).end();
      else response.end('moved');
    });
    assert.equal(text, 'moved');
    assert.deepEqual(server.asked, ['file', 'other']);
    const loop: Handler = (_, response) => response.writeHead(302, { location: '/file' }).end();
    await assert.rejects(fetched(loop), /redirects too many times/);
    const away: Handler = (_, response) => response.writeHead(302, { location: 'file:///etc/passwd' }).end();
    await assert.rejects(fetched(away), /redirects to file:/);
  });

  it('fails at once if the server has no such file', async () => {
    let asked = 0;
    const gone: Handler = (_, response) => {
      asked += 1;
      response.writeHead(404).end('no');
    };
    await assert.rejects(fetched(gone), (error) => error instanceof HttpStatusError && error.status === 404);
    assert.equal(asked, 1);
  });

  it('retries if the server is busy, hangs up early or sends less than it promised', async () => {
    let asked = 0;
    const [text] = await fetched((_, response) => {
      asked += 1;
      if (asked === 1) response.writeHead(503).end();
      else if (asked === 2) {
        response.writeHead(200, { 'content-length': 100 });
        response.write('half');
        setTimeout(() => response.destroy(), 10);
      } else response.end('whole');
    });
    assert.deepEqual([text, asked], ['whole', 3]);
  });

  it('retries on temporary errors only', async () => {
    for (const [status, tries] of [
      [408, 2],
      [429, 2],
      [500, 2],
      [504, 2],
      [400, 1],
      [403, 1],
      [410, 1],
      [499, 1],
    ] as const) {
      let asked = 0;
      const busy: Handler = (_, response) => {
        asked += 1;
        response.writeHead(status).end();
      };
      await assert.rejects(fetched(busy, { retryMs: [1] }), (error) => error instanceof HttpStatusError);
      assert.equal(asked, tries, String(status));
    }
  });

  it('follows up to five redirects', async () => {
    const chain =
      (length: number): Handler =>
      ({ url = '' }, response) => {
        const step = Number(/\d*$/.exec(url)![0]);
        if (step === length) response.end('there');
        else response.writeHead(307, { location: `/step${step + 1}` }).end();
      };
    assert.equal((await fetched(chain(5), { retryMs: [] }))[0], 'there');
    await assert.rejects(fetched(chain(6), { retryMs: [] }), NetworkError);
  });

  it('fails after its retries, with one line', async () => {
    let asked = 0;
    const never: Handler = (_, response) => {
      asked += 1;
      response.destroy();
    };
    await assert.rejects(fetched(never), (error: unknown) => {
      assert.ok(error instanceof NetworkError);
      return /^127\.0\.0\.1:\d+ cannot be reached: [^\n]+$/.test(error.message);
    });
    assert.equal(asked, 3);
  });

  it('times out if the server sends nothing, at the start or midway', async () => {
    const silent: Handler = () => undefined;
    await assert.rejects(
      fetched(silent, { idleMs: 50, retryMs: [] }),
      /cannot be reached: no answer for 0\.05 s$/,
    );
    const halting: Handler = (_, response) => {
      response.writeHead(200, { 'content-length': 100 });
      response.write('half');
    };
    await assert.rejects(fetched(halting, { idleMs: 50, retryMs: [] }), NetworkError);
  });

  it('reports an unreachable server and an invalid address', async () => {
    const server = await serveFiles({});
    await server.stop();
    await assert.rejects(fetchBytes(`${server.url}/x`, settings), /cannot be reached: .*ECONNREFUSED/);
    await assert.rejects(fetchBytes('no address', settings), NetworkError);
  });
});

describe('proxies', () => {
  const proxy = (address: string, env: FetchSettings['env']): string | undefined =>
    proxyFor(new URL(address), env)?.href;

  it('come from the environment, in either case, by protocol', () => {
    assert.equal(proxy('http://a.example', {}), undefined);
    assert.equal(proxy('http://a.example', { http_proxy: 'http://p:3128' }), 'http://p:3128/');
    assert.equal(proxy('http://a.example', { HTTP_PROXY: 'p:3128' }), 'http://p:3128/');
    assert.equal(proxy('https://a.example', { http_proxy: 'http://p' }), undefined);
    assert.equal(proxy('https://a.example', { https_proxy: 'http://p' }), 'http://p/');
    assert.throws(() => proxy('http://a.example', { http_proxy: 'http://' }), NetworkError);
  });

  it('are bypassed for hosts in no_proxy', () => {
    const env = (no_proxy: string): FetchSettings['env'] => ({ http_proxy: 'http://p', no_proxy });
    for (const list of ['*', 'a.example', 'x, .example', '*.example', 'a.example:80']) {
      assert.equal(proxy('http://a.example', env(list)), undefined, list);
    }
    for (const list of ['', 'b.example', 'ample', 'x.a.example']) {
      assert.equal(proxy('http://a.example', env(list)), 'http://p/', list);
    }
  });

  it('receive the full address, and user name and password if the proxy has them', async () => {
    let header: string | undefined;
    const server = await serve((request, response) => {
      header = request.headers['proxy-authorization'];
      response.end('through');
    });
    const env = { http_proxy: server.url.replace('//', '//me:secret@') };
    const bytes = await fetchBytes('http://mirror.example/file', { ...settings, env });
    await server.stop();
    assert.equal(Buffer.from(bytes).toString(), 'through');
    assert.deepEqual(server.asked, ['http://mirror.example/file']);
    assert.equal(header, `Basic ${Buffer.from('me:secret').toString('base64')}`);
  });

  it('that cannot open a tunnel for an https address are named in the error', async () => {
    const asked: string[] = [];
    const proxy = http.createServer().on('connect', (request, socket) => {
      asked.push(request.url ?? '');
      socket.end('HTTP/1.1 403 Forbidden\r\n\r\n');
    });
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
    const env = { https_proxy: `127.0.0.1:${(proxy.address() as AddressInfo).port}` };
    for (const address of ['https://mirror.example/file', 'https://mirror.example:8443/file']) {
      await assert.rejects(
        fetchBytes(address, { ...settings, env, retryMs: [] }),
        /^NetworkError: mirror\.example(:8443)? cannot be reached: the proxy answers 403$/,
      );
    }
    proxy.close();
    assert.deepEqual(asked, ['mirror.example:443', 'mirror.example:8443']);
  });
});
