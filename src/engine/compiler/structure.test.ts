import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { root, structure } from './structure.js';

type Graph = readonly (readonly number[])[];

/** Random graphs in which every node is reached from node 0 or from another entry. */
const graphs = fc
  .integer({ min: 1, max: 12 })
  .chain((nodes) =>
    fc.record({
      edges: fc.array(fc.array(fc.nat({ max: nodes - 1 }), { maxLength: 2 }), {
        minLength: nodes,
        maxLength: nodes,
      }),
      others: fc.uniqueArray(fc.nat({ max: nodes - 1 }), { maxLength: 3 }),
    }),
  )
  .map(({ edges, others }) => {
    const entries = [...new Set([0, ...others])];
    const reached = new Set(entries);
    for (const node of reached) for (const to of edges[node] ?? []) reached.add(to);
    const kept = [...reached];
    const number = (node: number): number => kept.indexOf(node);
    return {
      graph: kept.map((node) => (edges[node] ?? []).map(number)),
      entries: entries.map(number),
    };
  });

/** Follows the structure as emitted code would: checks that each branch leads to a construct that is open where it stands. */
function check(graph: Graph, entries: readonly number[]): void {
  const made = structure(graph.length, entries, (node) => graph[node] ?? []);
  const written: number[] = [];
  const tree = (node: number, open: readonly string[]): void => {
    written.push(node);
    const inner = made.isLoop(node) ? [...open, `loop ${node}`] : open;
    behind(node, inner, (all) => {
      for (const to of graph[node] ?? []) goTo(node, to, all);
    });
  };
  const behind = (node: number, open: readonly string[], write: (open: readonly string[]) => void): void => {
    const merges = made.merges(node);
    write([...open, ...merges.map((each) => `before ${each}`)]);
    for (const [index, each] of merges.entries())
      tree(each, [...open, ...merges.slice(0, index).map((m) => `before ${m}`)]);
  };
  const goTo = (from: number, to: number, open: readonly string[]): void => {
    if (made.throughRoot(from, to)) {
      assert.ok(made.rootIsLoop && made.fromRoot.includes(to));
    } else if (made.isBack(from, to)) {
      assert.ok(open.includes(`loop ${to}`), `loop ${to} is open at ${from}`);
    } else if (made.isMerge(to)) {
      assert.ok(open.includes(`before ${to}`), `the end of ${to} is open at ${from}`);
    } else {
      tree(to, open);
    }
  };
  const [only = -1] = made.fromRoot;
  if (made.fromRoot.length === 1 && !made.isMerge(only)) tree(only, []);
  else {
    behind(root, [], (open) => {
      for (const node of made.fromRoot) assert.ok(open.includes(`before ${node}`));
    });
  }
  // Each node is written once.
  assert.deepEqual(
    [...written].sort((a, b) => a - b),
    [...graph.keys()],
  );
}

describe('structured control flow', () => {
  it('has each node once, and every branch within reach, for random graphs', () => {
    fc.assert(
      fc.property(graphs, ({ graph, entries }) => check(graph, entries)),
      { numRuns: 2000 },
    );
  });

  it('leaves the root out where a single entry reaches everything', () => {
    // 0 -> 1 <-> 2, 1 -> 3
    const made = structure(4, [0], (node) => [[1], [2, 3], [1], []][node] ?? []);
    assert.deepEqual(made.fromRoot, [0]);
    assert.equal(made.rootIsLoop, false);
    assert.equal(made.isLoop(1), true);
    assert.equal(made.isBack(2, 1), true);
  });

  it('goes through the root where a loop has two ways in', () => {
    // 0 -> 1, 0 -> 2, 1 <-> 2
    const made = structure(3, [0], (node) => [[1, 2], [2], [1]][node] ?? []);
    assert.equal(made.rootIsLoop, true);
    assert.equal(made.fromRoot.length, 2);
  });
});
