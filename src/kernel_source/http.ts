/** Fetches files by HTTP: proxies, redirects, retries, time limits. The caller must check the contents. */
import type http from 'node:http';
import type { IncomingMessage } from 'node:http';
import type https from 'node:https';
import type { TLSSocket } from 'node:tls';
import { setTimeout as sleep } from 'node:timers/promises';

/** Options of {@link fetchBytes}; times in milliseconds. */
export interface FetchSettings {
  /** `http_proxy`, `https_proxy` and `no_proxy` are read, also in upper case. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Maximum time without data. */
  readonly idleMs: number;
  /** Delays before the second and later attempts. */
  readonly retryMs: readonly number[];
  /** Called for each piece with the bytes received so far, and the total if it is known. */
  readonly progress?: (url: string, bytes: number, total: number | null) => void;
}

export const defaultFetchSettings = { idleMs: 20_000, retryMs: [300, 1_000, 3_000] } as const;

/** The server answered, but not with the file. */
export class HttpStatusError extends Error {
  override readonly name = 'HttpStatusError';
  readonly status: number;

  constructor(url: string, status: number) {
    super(`${url} answers ${status}`);
    this.status = status;
  }
}

/** No answer, or an incomplete one. */
export class NetworkError extends Error {
  override readonly name = 'NetworkError';
}

/** Maximum size of a file, in bytes. */
const sizeLimit = 1 << 30;
const maxRedirects = 5;

/** Whether `no_proxy` names `host`: by its name, by a suffix, or by `*`. */
function isDirect(host: string, noProxy: string): boolean {
  const entries = noProxy.split(/[\s,]+/).filter((entry) => entry !== '');
  return entries.some((entry) => {
    const name = entry
      .replace(/^\*?\./, '')
      .replace(/:\d+$/, '')
      .toLowerCase();
    return entry === '*' || host === name || host.endsWith(`.${name}`);
  });
}

/** The proxy for `url`; null for none. */
export function proxyFor(url: URL, env: FetchSettings['env']): URL | null {
  const setting = (name: string): string => env[name] ?? env[name.toUpperCase()] ?? '';
  const proxy = setting(url.protocol === 'https:' ? 'https_proxy' : 'http_proxy');
  if (proxy === '' || isDirect(url.hostname.toLowerCase(), setting('no_proxy'))) return null;
  const address = /^[a-z]+:\/\//i.test(proxy) ? proxy : `http://${proxy}`;
  if (!URL.canParse(address))
    throw new NetworkError(`the proxy ${JSON.stringify(proxy)} is not a valid address`);
  return new URL(address);
}

function proxyHeaders(proxy: URL): Record<string, string> {
  if (proxy.username === '') return {};
  const account = `${decodeURIComponent(proxy.username)}:${decodeURIComponent(proxy.password)}`;
  return { 'proxy-authorization': `Basic ${Buffer.from(account).toString('base64')}` };
}

const portOf = (url: URL): string =>
  url.port === '' ? (url.protocol === 'https:' ? '443' : '80') : url.port;

/** Node's clients, which a boot from the cache does not need: they take a while to load. */
async function clients(): Promise<{ readonly http: typeof http; readonly https: typeof https }> {
  return { http: await import('node:http'), https: await import('node:https') };
}

/** A connection to an https server through a proxy's tunnel. */
async function tunnel(url: URL, proxy: URL, idleMs: number): Promise<TLSSocket> {
  const target = `${url.hostname}:${portOf(url)}`;
  const { http: plain, https: secure } = await clients();
  const tls = await import('node:tls');
  const client = proxy.protocol === 'https:' ? secure : plain;
  return new Promise((resolve, reject) => {
    const request = client.request(proxy, {
      method: 'CONNECT',
      path: target,
      headers: { host: target, ...proxyHeaders(proxy) },
    });
    request.setTimeout(idleMs, () => request.destroy(new Error(`no answer for ${idleMs / 1000} s`)));
    request.on('error', reject);
    request.on('connect', (answer, socket) => {
      if (answer.statusCode === 200) resolve(tls.connect({ socket, servername: url.hostname }));
      else reject(new Error(`the proxy answers ${answer.statusCode ?? 0}`));
    });
    request.end();
  });
}

/** The head of the response. */
async function open(url: URL, { env, idleMs }: FetchSettings): Promise<IncomingMessage> {
  const proxy = proxyFor(url, env);
  const secure = url.protocol === 'https:';
  const headers = { 'user-agent': 'domulator', accept: '*/*' };
  const { http: plain, https: encrypted } = await clients();
  const through = proxy !== null && secure ? await tunnel(url, proxy, idleMs) : null;
  return new Promise((resolve, reject) => {
    const request =
      proxy !== null && !secure
        ? plain.request(proxy, {
            path: url.href,
            headers: { ...headers, host: url.host, ...proxyHeaders(proxy) },
          })
        : secure
          ? encrypted.request(url, {
              headers,
              agent: false,
              ...(through === null ? {} : { createConnection: () => through }),
            })
          : plain.request(url, { headers, agent: false });
    request.setTimeout(idleMs, () => request.destroy(new Error(`no answer for ${idleMs / 1000} s`)));
    request.on('error', reject);
    request.on('response', resolve);
    request.end();
  });
}

/** The response after redirects. */
async function follow(url: URL, settings: FetchSettings): Promise<IncomingMessage> {
  let at = url;
  for (let step = 0; step <= maxRedirects; step += 1) {
    const answer = await open(at, settings);
    const status = answer.statusCode ?? 0;
    const { location } = answer.headers;
    if (status === 200) return answer;
    answer.destroy();
    if (![301, 302, 303, 307, 308].includes(status) || location === undefined)
      throw new HttpStatusError(at.href, status);
    const next = URL.canParse(location, at.href) ? new URL(location, at) : at;
    const known = next.protocol === 'https:' || (next.protocol === 'http:' && at.protocol === 'http:');
    if (!known) throw new Error(`${at.href} redirects to ${next.protocol}`);
    at = next;
  }
  throw new Error(`${url.href} redirects too many times`);
}

async function fetchOnce(url: URL, settings: FetchSettings): Promise<Uint8Array> {
  const answer = await follow(url, settings);
  const length = answer.headers['content-length'];
  const total = length === undefined ? null : Number(length);
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for await (const part of answer as AsyncIterable<Uint8Array>) {
    parts.push(part);
    bytes += part.length;
    if (bytes > sizeLimit) throw new Error(`${url.href} is larger than ${sizeLimit >> 20} MiB`);
    settings.progress?.(url.href, bytes, total);
  }
  if (total !== null && bytes !== total) throw new Error(`it ended after ${bytes} of ${total} bytes`);
  const whole = Buffer.concat(parts, bytes);
  return new Uint8Array(whole.buffer, whole.byteOffset, whole.length);
}

/** The reason of an error in a few words. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { code = error.name } = error as { code?: string };
  // Node leaves the message empty if it tried several addresses of a host.
  return (error.message === '' ? code : error.message).split('\n')[0] ?? '';
}

/** Whether a retry could succeed. */
function isPassing(error: unknown): boolean {
  return (
    !(error instanceof HttpStatusError) || error.status >= 500 || error.status === 429 || error.status === 408
  );
}

/**
 * The file at `address`. Throws {@link HttpStatusError} if the server answers with an error, and
 * {@link NetworkError} with one line if no attempt gives a complete file.
 */
export async function fetchBytes(address: string, settings: FetchSettings): Promise<Uint8Array> {
  if (!URL.canParse(address)) throw new NetworkError(`${JSON.stringify(address)} is not a valid address`);
  const url = new URL(address);
  for (let attempt = 0; ; attempt += 1) {
    try {
      return await fetchOnce(url, settings);
    } catch (error) {
      const wait = settings.retryMs[attempt];
      if (!isPassing(error) || wait === undefined) {
        if (error instanceof HttpStatusError) throw error;
        throw new NetworkError(`${url.host} cannot be reached: ${reasonOf(error)}`, { cause: error });
      }
      await sleep(wait);
    }
  }
}
