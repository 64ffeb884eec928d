import assert from 'node:assert/strict';
import { it } from 'node:test';
import fc from 'fast-check';
import { InputError } from '../base/index.js';
import { debianSpecText, kernelName, kernelSpecOf, parseKernelSpec } from './kernel_spec.js';
import type { DebianSpec, KernelSpec } from './kernel_spec.js';

const debian = (release: string, flavour = 'generic', version: string | null = null): KernelSpec => ({
  kind: 'debian',
  release,
  flavour,
  version,
});

it('parses kernel specifications', () => {
  const cases: readonly (readonly [string, KernelSpec])[] = [
    ['builtin', { kind: 'builtin' }],
    ['./builtin', { kind: 'file', file: './builtin' }],
    ['Debian:bookworm', { kind: 'file', file: 'Debian:bookworm' }],
    ['debian:bookworm', debian('bookworm')],
    ['debian:stable', debian('stable')],
    ['debian:bookworm-backports', debian('bookworm-backports')],
    ['debian:bookworm/generic', debian('bookworm')],
    ['debian:bookworm/cloud', debian('bookworm', 'cloud')],
    ['debian:trixie/16k', debian('trixie', '16k')],
    ['debian:bookworm=6.1.0-50', debian('bookworm', 'generic', '6.1.0-50')],
    ['debian:bookworm/cloud=6.1.176-1', debian('bookworm', 'cloud', '6.1.176-1')],
    ['debian:trixie=6.12.74+deb13+1', debian('trixie', 'generic', '6.12.74+deb13+1')],
    ['debian:x/rt=1:2~rc1-1', debian('x', 'rt', '1:2~rc1-1')],
  ];
  for (const [text, spec] of cases) assert.deepEqual(parseKernelSpec(text), spec, text);
});

it('reports an invalid specification in one line', () => {
  const cases: readonly (readonly [string, RegExp])[] = [
    ['', /^a kernel is builtin, debian:RELEASE\[\/FLAVOUR\]\[=VERSION\] or a file$/],
    ['debian:', /^"" is not the name of a Debian release, .*debian:RELEASE\[\/FLAVOUR\]\[=VERSION\]$/],
    ['debian:Bookworm', /^"Bookworm" is not the name of a Debian release, such as bookworm$/],
    ['debian:../etc', /^"\.\." is not the name of a Debian release/],
    ['debian:book worm', /^"book worm" is not the name of a Debian release/],
    [
      'debian:bookworm/',
      /^"" is not the name of a flavour, such as generic or cloud; a kernel of Debian is /,
    ],
    ['debian:bookworm/../x', /^"\.\.\/x" is not the name of a flavour/],
    ['debian:bookworm/a/b', /^"a\/b" is not the name of a flavour/],
    ['debian:bookworm=', /^"" is not a version, such as 6\.1\.0-50; a kernel of Debian is /],
    ['debian:bookworm/cloud=latest', /^"latest" is not a version/],
    ['debian:bookworm=1=2', /^"1=2" is not a version/],
    ['debian:bookworm=6.1/cloud', /^"6\.1\/cloud" is not a version/],
    ['debian:bookworm\n', /^"bookworm\\n" is not the name of a Debian release/],
  ];
  for (const [text, message] of cases) {
    assert.throws(
      () => parseKernelSpec(text),
      (error) => error instanceof InputError && message.test(error.message) && !error.message.includes('\n'),
      text,
    );
  }
});

const word = (first: string, rest: string): fc.Arbitrary<string> =>
  fc
    .tuple(
      fc.constantFrom(...Array.from(first)),
      fc.array(fc.constantFrom(...Array.from(rest)), { maxLength: 12 }),
    )
    .map(([head, tail]) => head + tail.join(''));
const small = 'abcxyz0159-';
const anySpec: fc.Arbitrary<DebianSpec> = fc.record({
  release: word('abcxyz', small),
  flavour: word('abcxyz019', small),
  version: fc.option(word('0159', 'aZ059.+~:-')),
});

it('every formatted specification is parsed back', () => {
  fc.assert(
    fc.property(anySpec, (spec) => {
      const text = debianSpecText(spec);
      assert.deepEqual(parseKernelSpec(text), { kind: 'debian', ...spec });
    }),
  );
});

it('parses any text exactly, or refuses it with one line', () => {
  const piece = fc.oneof(
    fc.constantFrom('debian:', 'bookworm', '/', '=', '6.1', 'cloud', '..', '\n', ' '),
    fc.string(),
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 6 }), (pieces) => {
      const text = pieces.join('');
      try {
        const spec = parseKernelSpec(text);
        if (spec.kind === 'file') assert.equal(spec.file, text);
        // `/generic` is the only part that may be omitted.
        if (spec.kind === 'debian') assert.equal(debianSpecText(spec), text.replace('/generic', ''));
      } catch (error) {
        assert.ok(error instanceof InputError, String(error));
        assert.doesNotMatch(error.message, /[\n\r]/);
      }
    }),
    { numRuns: 2000 },
  );
});

it('a kernel that a program names is checked, whatever form it has', () => {
  assert.deepEqual(kernelSpecOf('debian:bookworm/cloud'), parseKernelSpec('debian:bookworm/cloud'));
  const bytes = new Uint8Array(4);
  assert.deepEqual(kernelSpecOf(bytes), { kind: 'bytes', bytes });
  const spec = parseKernelSpec('debian:trixie=6.12.9');
  assert.deepEqual(kernelSpecOf(spec), spec);
  const debian = { kind: 'debian', release: 'bookworm', flavour: 'generic', version: null } as const;
  for (const wrong of [{ release: '../x' }, { flavour: 'a/b' }, { version: '../6.1' }])
    assert.throws(() => kernelSpecOf({ ...debian, ...wrong }), InputError);
  const { release } = debian;
  for (const wrong of [{}, 5, { kind: 'file' }, { kind: 'bytes', bytes: 'x' }, { kind: 'debian', release }])
    assert.throws(() => kernelSpecOf(wrong as unknown as KernelSpec), InputError, JSON.stringify(wrong));
});

it('a kernel is called what the user called it', () => {
  const texts = ['builtin', 'debian:bookworm', 'debian:bookworm/cloud=6.1.0-50', 'boot/Image'];
  for (const text of texts) assert.equal(kernelName(parseKernelSpec(text)), text);
  assert.equal(kernelName(kernelSpecOf(new Uint8Array(4))), 'the kernel that was given as bytes');
});
