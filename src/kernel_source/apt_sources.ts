/** The archives that this machine's apt knows (sources.list(5)): one-line and deb822 files, and lists of mirrors. */
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { parseStanzas } from '../firmware/index.js';

/** A suite of an archive. */
export interface AptSource {
  /** Without a slash at its end. Only http and https. */
  readonly uri: string;
  readonly suite: string;
  readonly components: readonly string[];
  /** Paths of the keyrings that it is signed by, where the source names them. */
  readonly keyrings: readonly string[];
}

interface RawSource extends AptSource {
  readonly enabled: boolean;
}

function words(text: string): string[] {
  return text.split(/\s+/).filter((word) => word !== '');
}

/** Keyrings are files or, within a source, keys themselves; only the files are of use here. */
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

/** The sources of a one-line file. No text is refused. */
export function parseSourcesList(text: string): AptSource[] {
  return usable(text.split('\n').flatMap(parseLine));
}

/** The sources of a deb822 file: each stanza stands for all pairs of its URIs and suites. No text is refused. */
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

/** Those that can be used: switched on, with suites rather than bare folders, and reached in a way that we know. */
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

/** The sources of this machine, in apt's order; `root` is apt's folder of settings. None where there is no apt. */
export async function readAptSources(root: string): Promise<AptSource[]> {
  const parts = path.join(root, 'sources.list.d');
  const names = await readdir(parts).catch((): string[] => []);
  // apt takes names of these characters and endings only (sources.list(5)).
  const files = names.filter((name) => /^[A-Za-z0-9_.-]+\.(list|sources)$/.test(name)).sort();
  const sources = parseSourcesList(await readIfThere(path.join(root, 'sources.list')));
  for (const name of files) {
    const parse = name.endsWith('.list') ? parseSourcesList : parseDeb822Sources;
    sources.push(...parse(await readIfThere(path.join(parts, name))));
  }
  return (await Promise.all(sources.map(expandMirrors))).flat();
}
