// Loaded before the command in tests: any network access fails.
import { syncBuiltinESMExports } from 'node:module';
import dns from 'node:dns';
import http from 'node:http';
import http2 from 'node:http2';
import https from 'node:https';
import net from 'node:net';
import process from 'node:process';
import tls from 'node:tls';

function refuse(what) {
  return () => {
    process.stderr.write(`NETWORK: ${what}\n`);
    process.exit(99);
  };
}

for (const [name, module] of Object.entries({ dns, http, http2, https, net, tls })) {
  for (const key of ['lookup', 'resolve', 'request', 'get', 'connect', 'createConnection', 'createServer']) {
    if (typeof module[key] === 'function') module[key] = refuse(`${name}.${key}`);
  }
}
globalThis.fetch = refuse('fetch');
syncBuiltinESMExports();
