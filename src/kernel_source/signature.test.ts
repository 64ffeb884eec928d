import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { bytesOf } from '../../test/debian/files.js';
import { checkSignature } from './signature.js';
import type { SignatureCheck } from './signature.js';

let folder = '';
before(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'signature-'));
});
after(() => rm(folder, { recursive: true }));

/** The result of a check whose gpgv prints these lines. */
async function judged(...lines: string[]): Promise<SignatureCheck> {
  const gpgv = path.join(folder, 'gpgv');
  const said = lines.map((line) => `echo '${line}'`).join('\n');
  await writeFile(gpgv, `#!/bin/sh\ncat > /dev/null\n${said}\nexit 2\n`);
  await chmod(gpgv, 0o755);
  await writeFile(path.join(folder, 'ring'), '');
  return checkSignature(bytesOf('message'), [path.join(folder, 'ring'), path.join(folder, 'none')], gpgv);
}

describe('a signature', () => {
  it('is good if gpgv reports one good key and no bad key', async () => {
    const check = await judged('[GNUPG:] NEWSIG', '[GNUPG:] NO_PUBKEY 11', '[GNUPG:] GOODSIG 22 Somebody');
    assert.deepEqual(check, { state: 'good', keys: ['22'], keyring: path.join(folder, 'ring') });
  });

  it('is bad if the signature of any key is wrong or its key revoked', async () => {
    assert.equal((await judged('[GNUPG:] GOODSIG 22 x', '[GNUPG:] BADSIG 33 x')).state, 'bad');
    assert.equal((await judged('[GNUPG:] REVKEYSIG 33 x')).state, 'bad');
  });

  it('is unchecked in all other cases, with a reason', async () => {
    const reason = async (...lines: string[]): Promise<string> => {
      const check = await judged(...lines);
      return check.state === 'unchecked' ? check.reason : check.state;
    };
    assert.equal(await reason('[GNUPG:] NO_PUBKEY 11'), 'no keyring has the key 11');
    assert.equal(await reason('[GNUPG:] EXPKEYSIG 44 x'), 'signed by the expired key 44');
    assert.equal(await reason('something else'), 'it is not signed');
    assert.equal(await reason(), 'it is not signed');
  });

  it('cannot be checked without gpgv or keyring', async () => {
    await writeFile(path.join(folder, 'ring'), '');
    const ring = path.join(folder, 'ring');
    assert.deepEqual(await checkSignature(bytesOf('x'), [ring], path.join(folder, 'no-gpgv')), {
      state: 'unchecked',
      reason: 'there is no gpgv',
    });
    assert.deepEqual(await checkSignature(bytesOf('x'), [path.join(folder, 'no-ring')], 'gpgv'), {
      state: 'unchecked',
      reason: 'there is no Debian keyring',
    });
  });

  it('survives a gpgv that does not read its input', async () => {
    const gpgv = path.join(folder, 'deaf');
    await writeFile(gpgv, '#!/bin/sh\nexec 0<&-\nexit 0\n');
    await chmod(gpgv, 0o755);
    await writeFile(path.join(folder, 'ring'), '');
    const check = await checkSignature(new Uint8Array(1 << 20), [path.join(folder, 'ring')], gpgv);
    assert.equal(check.state, 'unchecked');
  });
});

const tools = ['gpg', 'gpgv'].every((tool) => spawnSync(tool, ['--version']).status === 0);

describe('gpgv itself', { skip: tools ? false : 'needs gpg and gpgv' }, () => {
  it('agrees for a signed message, a changed message and another keyring', async () => {
    const home = path.join(folder, 'home');
    const gpg = (...args: string[]): Buffer =>
      execFileSync(
        'gpg',
        ['--homedir', home, '--batch', '--quiet', '--pinentry-mode', 'loopback', '--passphrase', '', ...args],
        { stdio: ['ignore', 'pipe', 'ignore'] },
      );
    execFileSync('mkdir', ['-m', '700', home]);
    gpg('--quick-generate-key', 'test@example.com', 'ed25519', 'sign', 'never');
    gpg('--quick-generate-key', 'other@example.com', 'ed25519', 'sign', 'never');
    const [ring, other] = [path.join(folder, 'ours.gpg'), path.join(folder, 'theirs.gpg')];
    gpg('--output', ring, '--export', 'test@example.com');
    gpg('--output', other, '--export', 'other@example.com');
    const plain = path.join(folder, 'plain');
    await writeFile(plain, 'Origin: Debian\n');
    const message = Uint8Array.from(
      gpg('--local-user', 'test@example.com', '--output', '-', '--clear-sign', plain),
    );
    assert.equal((await checkSignature(message, [ring], 'gpgv')).state, 'good');
    const changed = bytesOf(Buffer.from(message).toString('latin1').replace('Debian', 'Nobody'));
    assert.equal((await checkSignature(changed, [ring], 'gpgv')).state, 'bad');
    assert.equal((await checkSignature(message, [other], 'gpgv')).state, 'unchecked');
    spawnSync('gpgconf', ['--homedir', home, '--kill', 'gpg-agent']);
  });
});
