/**
 * Modules without host dependencies run unchanged in a browser: bundled for a browser, they contain no Node module, and
 * the bundle works in an environment with JavaScript's own globals only.
 */
import assert from 'node:assert/strict';
import { isBuiltin } from 'node:module';
import { describe, it } from 'node:test';
import vm from 'node:vm';
import { build } from 'esbuild-wasm';
import type { Plugin } from 'esbuild-wasm';
import { valueToJson } from '../src/base/index.js';
import * as explore from '../src/explore/index.js';
import { root } from './files.js';

interface Bundle {
  readonly code: string;
  /** Node modules that the bundle imports. */
  readonly ofNode: readonly string[];
}

/** The bundle of a compiled module, as a script that puts the module's exports into a global named `exported`. */
async function bundle(input: string): Promise<Bundle> {
  const ofNode: string[] = [];
  const watchNode: Plugin = {
    name: 'watch-node',
    setup(build) {
      build.onResolve({ filter: /.*/ }, ({ path: specifier }) => {
        if (!isBuiltin(specifier)) return undefined;
        ofNode.push(specifier);
        return { path: specifier, external: true };
      });
    },
  };
  const { outputFiles, metafile } = await build({
    entryPoints: [input],
    absWorkingDir: root,
    platform: 'browser',
    format: 'iife',
    globalName: 'exported',
    bundle: true,
    write: false,
    metafile: true,
    logLevel: 'silent',
    plugins: [watchNode],
  });
  assert.equal(outputFiles.length, 1, 'one file');
  const left = Object.values(metafile.outputs).flatMap(({ imports }) => imports.map((entry) => entry.path));
  return { code: outputFiles[0]!.text, ofNode: [...new Set([...ofNode, ...left])] };
}

/** An environment with JavaScript's own globals, in which `code` has run. */
function bareWorld(code: string): vm.Context {
  const world = vm.createContext(Object.create(null) as object, {
    codeGeneration: { strings: false, wasm: false },
  });
  vm.runInContext(code, world);
  return world;
}

function evaluate(world: vm.Context, expression: string): unknown {
  return vm.runInContext(expression, world);
}

/** A task for each module that must give the same text there as here. */
const tasks: Readonly<Record<string, string>> = {
  base: `exported.hashValue({ a: [1, 2n, new Uint8Array(3)] })`,
  identity: `exported.formatMpidr(exported.mpidrOfVcpu(exported.xenVcpuId(17)))`,
  abi: `String(exported.evtchn_init_control.size)`,
  hypervisor: `exported.hypercallTable.map(({ name }) => name).join()`,
  audit: `exported.rules.map(({ name }) => name).join()`,
};

describe('in a browser', () => {
  for (const [name, expression] of Object.entries(tasks)) {
    it(`${name} loads without Node and works`, async () => {
      const { code, ofNode } = await bundle(`dist/src/${name}/index.js`);
      assert.deepEqual(ofNode, []);
      const there = evaluate(bareWorld(code), expression);
      const exported: unknown = await import(`../src/${name}/index.js`);
      const work = vm.runInThisContext(`(exported) => ${expression}`) as (exported: unknown) => unknown;
      const here = work(exported);
      assert.equal(typeof there, 'string');
      assert.equal(there, here);
    });
  }

  it('explore tells the whole thread, identical to the result here', async () => {
    const { code, ofNode } = await bundle('dist/src/explore/index.js');
    assert.deepEqual(ofNode, []);
    const base = await bundle('dist/src/base/index.js');
    const world = bareWorld(`${base.code}; const { valueToJson } = exported; ${code}`);
    const there = evaluate(world, 'valueToJson(exported.tellThread())');
    assert.equal(there, valueToJson(explore.tellThread()));
  });

  it('the bare environment has no host objects', () => {
    const world = bareWorld('');
    for (const name of ['process', 'Buffer', 'require', 'setTimeout', 'fetch', 'global', 'TextEncoder']) {
      assert.equal(evaluate(world, `typeof ${name}`), 'undefined', name);
    }
  });

  it('a module that imports Node is detected', async () => {
    const { ofNode } = await bundle('dist/test/files.js');
    assert.ok(ofNode.includes('node:fs'));
  });
});
