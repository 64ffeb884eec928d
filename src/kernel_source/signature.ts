/** Checks a Release file's signature with gpgv and this machine's keyrings, if both are available. */
import { spawn } from 'node:child_process';
import { access } from 'node:fs/promises';

/** The result: `good` names the keys, the others give the reason. `bad` means that the file was changed. */
export type SignatureCheck =
  | { readonly state: 'good'; readonly keys: readonly string[]; readonly keyring: string }
  | { readonly state: 'unchecked'; readonly reason: string }
  | { readonly state: 'bad'; readonly reason: string };

/** Where Debian's own keyring is. */
export const debianKeyrings: readonly string[] = [
  '/usr/share/keyrings/debian-archive-keyring.gpg',
  '/usr/share/keyrings/debian-archive-keyring.pgp',
];

async function present(files: readonly string[]): Promise<string[]> {
  const there = await Promise.all(
    files.map((file) =>
      access(file).then(
        () => true,
        () => false,
      ),
    ),
  );
  return files.filter((_, i) => there[i]);
}

/** Runs gpgv on `message` and returns its status lines, or null if gpgv is not installed. */
async function runGpgv(
  gpgv: string,
  keyrings: readonly string[],
  message: Uint8Array,
): Promise<string[] | null> {
  const args = ['--status-fd', '1', ...keyrings.flatMap((file) => ['--keyring', file])];
  return new Promise((resolve) => {
    const child = spawn(gpgv, args, { stdio: ['pipe', 'pipe', 'ignore'] });
    let output = '';
    child.on('error', () => resolve(null));
    child.stdout.on('data', (part: Buffer) => (output += part.toString('latin1')));
    // gpgv may end before it has read everything; its output counts anyway.
    child.stdin.on('error', () => undefined);
    child.stdin.end(message);
    child.on('close', () => resolve(output.split('\n').filter((line) => line.startsWith('[GNUPG:] '))));
  });
}

/** The result in gpgv's status lines (GnuPG's doc/DETAILS). */
function judge(lines: readonly string[], keyring: string): SignatureCheck {
  const statuses = lines.map((line) => line.split(' ').slice(1));
  const of = (keyword: string): string[] =>
    statuses.filter(([word]) => word === keyword).map(([, key = '']) => key);
  const [bad, revoked, good] = [of('BADSIG'), of('REVKEYSIG'), of('GOODSIG')];
  if (bad.length > 0) return { state: 'bad', reason: `the signature by ${bad.join(', ')} is wrong` };
  if (revoked.length > 0) return { state: 'bad', reason: `the key ${revoked.join(', ')} was revoked` };
  if (good.length > 0) return { state: 'good', keys: good, keyring };
  const expired = [...of('EXPKEYSIG'), ...of('EXPSIG')];
  if (expired.length > 0)
    return { state: 'unchecked', reason: `signed by the expired key ${expired.join(', ')}` };
  const unknown = of('NO_PUBKEY');
  if (unknown.length > 0)
    return { state: 'unchecked', reason: `no keyring has the key ${unknown.join(', ')}` };
  return { state: 'unchecked', reason: 'it is not signed' };
}

/** Checks a clear-signed `message` with those of `keyrings` that exist; `gpgv` is the command. */
export async function checkSignature(
  message: Uint8Array,
  keyrings: readonly string[],
  gpgv: string,
): Promise<SignatureCheck> {
  const usable = await present([...new Set(keyrings)]);
  if (usable.length === 0) return { state: 'unchecked', reason: 'there is no Debian keyring' };
  const lines = await runGpgv(gpgv, usable, message);
  if (lines === null) return { state: 'unchecked', reason: 'there is no gpgv' };
  return judge(lines, usable.join(', '));
}
