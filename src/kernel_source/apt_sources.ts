/** The archives in this machine's apt sources (sources.list(5)): one-line and deb822 files, and lists of mirrors. */
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { parseStanzas } from '../firmware/index.js';

/** A suite of an archive. */
export interface AptSource {
  /** Without a slash at its end. Only http and https. */
  readonly uri: string;
  readonly suite: string;
  readonly components: readonly string[];
  /** Paths of the keyrings that sign it, if the source names them. */
  readonly keyrings: readonly string[];
}

interface RawSource extends AptSource {
  readonly enabled: boolean;
}

function words(text: string): string[] {
  return text.split(/\s+/).filter((word) => word !== '');
}

/** A source names keyring files or contains the keys themselves; only files are used here. */
function keyringPaths(text: string): string[] {
  return text.split(/[\s,]+/).filter((word) => path.isAbsolute(word));
}

/** A source of a one-line file: `deb [option=value ...] uri suite component...`. */
function parseLine(line: string): RawSource[] {
  const match = /^deb\s+(?:\[([^\]]*)\]\s*)?(\S+)\s+(\S+)((?:\s+\S+)*)\s*$/.exec(
    line.replace(/#.*/, '').trim(),
  );
  if (match === null) return [];
  const [, options = '', uri = '', suite = '', components = ''] = match;
  const signedBy = /(?:^|\s)signed-by=(\S+)/i.exec(options)?.[1] ?? '';
  return [{ uri, suite, components: words(components), keyrings: keyringPaths(signedBy), enabled: true }];
}

/** The sources of a one-line file. Any text is accepted. */
export function parseSourcesList(text: string): AptSource[] {
  return usable(text.split('\n').flatMap(parseLine));
}

/** The sources of a deb822 file: each stanza gives all pairs of its URIs and suites. Any text is accepted. */
export function parseDeb822Sources(text: string): AptSource[] {
  const raw = parseStanzas(text).flatMap((stanza): RawSource[] => {
    const field = (name: string): string => stanza.get(name) ?? '';
    if (!words(field('types')).includes('deb')) return [];
    const enabled = !/^(no|false|0|off|without|disable)$/i.test(field('enabled'));
    const [components, keyrings] = [words(field('components')), keyringPaths(field('signed-by'))];
    return words(field('uris')).flatMap((uri) =>
      words(field('suites')).map((suite) => ({ uri, suite, components, keyrings, enabled })),
    );
  });
  return usable(raw);
}

/** The usable sources: enabled, with suites rather than plain folders, and with a supported protocol. */
function usable(sources: readonly RawSource[]): AptSource[] {
  return sources
    .filter(
      ({ enabled, suite, uri }) => enabled && !suite.endsWith('/') && /^(https?|mirror\+file):/i.test(uri),
    )
    .map(({ uri, suite, components, keyrings }) => ({
      uri: uri.replace(/\/+$/, ''),
      suite,
      components,
      keyrings,
    }));
}

async function readIfThere(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch {
    return '';
  }
}

/** A source whose URI is a file with mirrors, one a line: one source for each (apt-transport-mirror(1)). */
async function expandMirrors(source: AptSource): Promise<AptSource[]> {
  const list = /^mirror\+file:(?:\/\/)?(\/.*)$/i.exec(source.uri)?.[1];
  if (list === undefined) return [source];
  const uris = (await readIfThere(list)).split('\n').map((line) => words(line.replace(/#.*/, ''))[0] ?? '');
  return uris
    .filter((uri) => /^https?:/i.test(uri))
    .map((uri) => ({ ...source, uri: uri.replace(/\/+$/, '') }));
}

/** The sources of this machine, in apt's order; `root` is apt's configuration folder. Empty without apt. */
export async function readAptSources(root: string): Promise<AptSource[]> {
  const parts = path.join(root, 'sources.list.d');
  const names = await readdir(parts).catch((): string[] => []);
  // apt accepts only names with these characters and endings (sources.list(5)).
  const files = names.filter((name) => /^[A-Za-z0-9_.-]+\.(list|sources)$/.test(name)).sort();
  const sources = parseSourcesList(await readIfThere(path.join(root, 'sources.list')));
  for (const name of files) {
    const parse = name.endsWith('.list') ? parseSourcesList : parseDeb822Sources;
    sources.push(...parse(await readIfThere(path.join(parts, name))));
  }
  return (await Promise.all(sources.map(expandMirrors))).flat();
}
