// Graph files: formats, splits, and what is told about broken ones.
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { FlotillaError } from '../../src/core/index.ts';
import { loadGraphFiles } from '../../src/training/index.ts';
import type { Graph } from '../../src/training/index.ts';

const directory = mkdtempSync(path.join(os.tmpdir(), 'flotilla-'));
after(() => rmSync(directory, { recursive: true, force: true }));

function file(name: string, content: string | Uint8Array): string {
  const full = path.join(directory, name);
  mkdirSync(path.dirname(full), { recursive: true });
  writeFileSync(full, content);
  return full;
}

/** All triples by name, the mirrored ones left out. */
function named(graph: Graph): string[] {
  const originals = graph.train.subarray(0, graph.train.length - 3 * graph.mirrored);
  const triples: string[] = [];
  for (const split of [originals, graph.valid, graph.test]) {
    for (let i = 0; i < split.length; i += 3) {
      const [head, relation, tail] = split.subarray(i, i + 3);
      triples.push(
        `${graph.entities[head!]} | ${graph.relations[relation!]} | ${graph.entities[tail!]}`,
      );
    }
  }
  return triples.sort();
}

async function failure(source: string): Promise<FlotillaError> {
  try {
    await loadGraphFiles(source);
  } catch (error) {
    assert.ok(error instanceof FlotillaError, String(error));
    return error;
  }
  assert.fail('the graph was loaded');
}

const EXPECTED = ['ann | knows | bob', 'bob | knows | cat', 'cat | likes | ann'];
const TSV = 'ann\tknows\tbob\nbob\tknows\tcat\r\n\ncat\tlikes\tann';
const CSV = 'head,relation,tail\nann,knows,bob\n"bob","knows",cat\ncat,likes,ann\n';

for (const [name, content] of [
  ['plain.tsv', TSV],
  ['plain.txt', TSV],
  ['nameless', TSV],
  ['marked.tsv', `\ufeff${TSV}`],
  ['table.csv', CSV],
  ['commas.txt', CSV.split('\n').slice(1).join('\n')],
] as const) {
  test(`reads ${name}, and the same as gzip`, async () => {
    const plain = await loadGraphFiles(file(name, content));
    assert.deepEqual(named(plain.graph), EXPECTED);
    const zipped = await loadGraphFiles(file(`${name}.gz`, gzipSync(content)));
    assert.deepEqual(named(zipped.graph), EXPECTED);
    assert.equal(zipped.brokenCount, 0);
  });
}

test('gzip is known by its first bytes, not by its name', async () => {
  const { graph } = await loadGraphFiles(file('hidden.tsv', gzipSync(TSV)));
  assert.deepEqual(named(graph), EXPECTED);
});

test('CSV fields may hold commas and doubled quotes', async () => {
  const text = '"Smith, Ann",said,"""hello"""\n"Smith, Ann",knows,bob\n';
  const { graph } = await loadGraphFiles(file('quoted.csv', text));
  assert.deepEqual(named(graph), ['Smith, Ann | knows | bob', 'Smith, Ann | said | "hello"']);
});

test('N-Triples: IRIs, blank nodes, literals, comments and escapes (RDF 1.1)', async () => {
  const text = [
    '# people',
    '<http://x/ann> <http://x/knows> <http://x/bob> . # a comment',
    '_:b0 <http://x/knows> <http://x/\\u00E9ric>.',
    '<http://x/ann> <http://x/name> "Ann \\"the\\" \\U0001F600\\n"@en-GB .',
    '\t<http://x/bob>\t<http://x/age> "42"^^<http://www.w3.org/2001/XMLSchema#int> .',
  ].join('\n');
  const { graph, brokenCount } = await loadGraphFiles(file('people.nt', text));
  assert.equal(brokenCount, 0);
  assert.deepEqual(named(graph), [
    '_:b0 | http://x/knows | http://x/éric',
    'http://x/ann | http://x/knows | http://x/bob',
    'http://x/ann | http://x/name | "Ann \\"the\\" 😀\\n"@en-GB',
    'http://x/bob | http://x/age | "42"^^<http://www.w3.org/2001/XMLSchema#int>',
  ]);
  const sniffed = await loadGraphFiles(file('people', text));
  assert.equal(named(sniffed.graph).length, 4);
});

test('broken N-Triples are told apart by what is wrong', async () => {
  const lines = Array.from({ length: 700 }, (_, i) => `<x:${i}> <x:r> <x:${i + 1}> .`);
  lines[10] = '<x:1> <x:r> <x:2>';
  lines[20] = '<x:1> "r" <x:2> .';
  lines[30] = '"x" <x:r> <x:2> .';
  lines[40] = '<x:1> <x:r> "open .';
  lines[50] = '<x:1> <x:r> "bad \\q" .';
  lines[60] = '<x:1> <x:r> <x:\\uD800> .';
  lines[70] = '<x:1> <x:r> <x:2> . more';
  const { broken, brokenCount } = await loadGraphFiles(file('some.nt', lines.join('\n')));
  assert.equal(brokenCount, 7);
  assert.deepEqual(
    broken.map(({ line }) => line),
    [11, 21, 31, 41, 51, 61, 71],
  );
  assert.match(broken[0]!.reason, /full stop/);
  assert.match(broken[1]!.reason, /predicate/);
});

test('a directory keeps its splits, also triples with unseen entities', async () => {
  const folder = path.join(directory, 'given');
  file('given/train.tsv', TSV);
  file('given/valid.txt', 'ann\tlikes\tcat\n');
  file('given/test.csv.gz', gzipSync('dan,likes,ann\n'));
  const { graph } = await loadGraphFiles(folder);
  assert.deepEqual(
    [graph.train.length, graph.valid.length, graph.test.length, graph.mirrored],
    [9, 3, 3, 0],
  );
  assert.equal(graph.entities.length, 4);
  assert.equal(graph.name, 'given');
});

test('broken lines are left out and named while they are at most one in a hundred', async () => {
  const lines = Array.from({ length: 300 }, (_, i) => `e${i}\tr\te${i + 1}`);
  lines[6] = 'no tabs here';
  lines[8] = 'a\tb\t';
  lines[9] = 'x'.repeat(70_000);
  const source = file('nearly.tsv', lines.join('\n'));
  const { graph, broken, brokenCount } = await loadGraphFiles(source);
  assert.equal(named(graph).length, 297);
  assert.equal(brokenCount, 3);
  assert.deepEqual(
    broken.map(({ line }) => line),
    [7, 9, 10],
  );
  assert.equal(broken[0]?.file, source);
});

test('beyond one broken line in a hundred the graph is refused', async () => {
  const lines = Array.from({ length: 1000 }, (_, i) => (i % 4 === 3 ? '?' : `e${i}\tr\te${i + 1}`));
  const error = await failure(file('broken.tsv', lines.join('\n')));
  assert.equal(error.code, 'graph_broken');
  assert.equal(error.details['count'], 250);
  const named = error.details['lines'] as readonly string[];
  assert.equal(named.length, 20);
  assert.equal(named[0], '4');
  assert.match(error.message, /250 of 1000 lines .*first line 4/);
});

test('what cannot be a graph fails with a name', async () => {
  assert.equal((await failure(path.join(directory, 'nowhere.tsv'))).code, 'graph_missing');
  assert.equal((await failure(file('empty.tsv', ''))).code, 'graph_empty');
  assert.equal((await failure(file('blank.tsv', '\n \n'))).code, 'graph_empty');
  assert.equal((await failure(file('one.tsv', 'a\tr\tb\n'))).code, 'graph_too_small');
  const cut = gzipSync(TSV.repeat(100)).subarray(0, 40);
  assert.equal((await failure(file('cut.tsv.gz', cut))).code, 'graph_unreadable');
  mkdirSync(path.join(directory, 'hollow'));
  assert.equal((await failure(path.join(directory, 'hollow'))).code, 'graph_missing');
  const noise = Uint8Array.from({ length: 5000 }, (_, i) => (i * 7919) % 251);
  assert.equal((await failure(file('noise.tsv', noise))).code, 'graph_broken');
});
