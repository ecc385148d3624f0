// Rules of the house as tests: the layer table, size limits, banned globals, dead files, error
// codes.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';

const ROOT = path.dirname(import.meta.dirname);

/** Rank of each folder of `src/`; a file imports only from folders of a strictly lower rank. */
const LAYERS: Readonly<Record<string, number>> = {
  core: 0,
  admission: 1,
  hash: 1,
  identity: 1,
  wire: 1,
  devices: 1,
  http: 1,
  ring: 2,
  load: 2,
  transport: 2,
  peer: 3,
  routing: 3,
  store: 4,
  cluster: 5,
  sharding: 6,
  collectives: 6,
  placement: 7,
  tables: 7,
  training: 8,
  engines: 8,
  gateway: 9,
  node: 10,
  cli: 11,
  testing: 12,
};

/** Folders whose business is the process itself: only they may touch what is ambient. */
const AMBIENT_FOLDERS = new Set(['core', 'node', 'cli']);

const BANNED: readonly (readonly [RegExp, string])[] = [
  [/\bDate\.now\(/, 'Date.now'],
  [/\bnew Date\(\)/, 'new Date()'],
  [/\bperformance\.now\(/, 'performance.now'],
  [/\bMath\.random\(/, 'Math.random'],
  [/(?<![.\w])set(Timeout|Interval)\(/, 'bare timers'],
  [/\bprocess\.env\b/, 'process.env'],
  [/\bconsole\.\w+\(/, 'console'],
];

const MAX_FILE_LINES = 400;
const MAX_LINE_COLUMNS = 100;
const MAX_FUNCTION_LINES = 70;

interface SourceFile {
  readonly name: string;
  readonly folder: string;
  readonly text: string;
  readonly lines: readonly string[];
}

function filesBelow(folder: string, ending: RegExp): SourceFile[] {
  return readdirSync(path.join(ROOT, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && ending.test(entry.name))
    .map((entry) => path.relative(ROOT, path.join(entry.parentPath, entry.name)))
    .filter((name) => !name.includes('node_modules'))
    .map((name) => {
      const text = readFileSync(path.join(ROOT, name), 'utf8');
      return { name, folder: name.split(path.sep)[1] ?? '', text, lines: text.split('\n') };
    });
}

// Kernels are AssemblyScript or generators of WebAssembly: another language with its own habits.
const isKernel = (file: SourceFile) => file.name.startsWith('src/devices/kernels/');
const SOURCES = filesBelow('src', /\.ts$/).filter((file) => !isKernel(file));
const TESTS = filesBelow('test', /\.ts$/);
const BENCHES = filesBelow('bench', /\.(ts|mjs)$/);

/** Every module that a file imports, or starts as a worker or child, by path from the root. */
function importsOf(file: SourceFile): string[] {
  const specifiers = [
    ...file.text.matchAll(/\bfrom '(\.[^']+)'/g),
    ...file.text.matchAll(/\bimport\('(\.[^']+)'\)/g),
    ...file.text.matchAll(/^import '(\.[^']+)'/gm),
    ...file.text.matchAll(/new URL\(\s*[`'](\.[^`']+)[`']/g),
  ];
  return specifiers.map(([, specifier]) => path.join(path.dirname(file.name), specifier ?? ''));
}

function report(problems: readonly string[], rule: string): void {
  assert.equal(problems.length, 0, `${rule}:\n  ${problems.join('\n  ')}\n`);
}

test('a file imports only from folders of a strictly lower rank, through their index', () => {
  const problems: string[] = [];
  for (const file of SOURCES) {
    const rank = LAYERS[file.folder];
    if (rank === undefined) problems.push(`${file.name}: folder is not in the layer table`);
    for (const target of importsOf(file)) {
      const [top, folder] = target.split(path.sep);
      if (top !== 'src' || folder === undefined || folder === file.folder) continue;
      const targetRank = LAYERS[folder];
      if (targetRank === undefined || targetRank >= (rank ?? -1)) {
        problems.push(`${file.name} (rank ${rank}) imports ${target} (rank ${targetRank})`);
      } else if (path.basename(target) !== 'index.ts') {
        problems.push(`${file.name} imports ${target}, past the index of its folder`);
      }
    }
  }
  report(problems, 'layers');
});

test('the layer table of the architecture guide is this one', () => {
  const guide = readFileSync(path.join(ROOT, 'docs/architecture.md'), 'utf8');
  const problems = [...new Set(SOURCES.map(({ folder }) => folder))].filter(
    (folder) => !new RegExp(`\\| ${LAYERS[folder]} \\| .*\`src/${folder}/\``).test(guide),
  );
  report(problems, 'folders that docs/architecture.md lacks, or shows at another rank');
});

test('files, lines and functions keep to their size limits', () => {
  const problems: string[] = [];
  for (const { name, lines } of [...SOURCES, ...TESTS, ...BENCHES]) {
    if (lines.length - 1 > MAX_FILE_LINES) problems.push(`${name}: ${lines.length - 1} lines`);
    lines.forEach((line, index) => {
      if ([...line].length > MAX_LINE_COLUMNS) problems.push(`${name}:${index + 1}: long line`);
    });
  }
  for (const { name, lines } of SOURCES) {
    for (const { start, length } of functionsOf(lines)) {
      if (length > MAX_FUNCTION_LINES)
        problems.push(`${name}:${start}: function of ${length} lines`);
    }
  }
  report(problems, 'size limits');
});

/** Functions and methods of formatted code: a head that opens a block, to the brace below it. */
function functionsOf(lines: readonly string[]): { start: number; length: number }[] {
  const head =
    /^( *)(?:export |default |static |async |get |set |override )*(?:function\*? |[#\w]+\()/;
  const found: { start: number; length: number }[] = [];
  lines.forEach((line, index) => {
    const indent = head.exec(line)?.[1];
    if (indent === undefined || /^ *(if|for|while|switch|return|await|throw)\b/.test(line)) return;
    const below = (at: number, start: string) =>
      lines.findIndex((other, i) => i > at && other.startsWith(indent + start));
    // A signature over several lines opens its block where its parentheses close.
    const opening = line.endsWith('(') ? below(index, ')') : index;
    if (!lines[opening]?.endsWith('{')) return;
    found.push({ start: index + 1, length: below(opening, '}') - index + 1 });
  });
  return found;
}

test('what is ambient stays outside the pure folders', () => {
  const problems: string[] = [];
  for (const file of SOURCES.filter(({ folder }) => !AMBIENT_FOLDERS.has(folder))) {
    file.lines.forEach((line, index) => {
      if (/^\s*(\/\/|\*|\/\*)/.test(line)) return;
      for (const [pattern, what] of BANNED) {
        if (pattern.test(line)) problems.push(`${file.name}:${index + 1}: ${what}`);
      }
    });
  }
  report(problems, 'banned globals');
});

test('no file is dead: each is reached from an entry point, a test or a bench', () => {
  const all = new Map([...SOURCES, ...TESTS, ...BENCHES].map((file) => [file.name, file]));
  const entries = ['src/node/index.ts', 'src/testing/index.ts', 'src/cli/main.ts', 'bench/run.ts'];
  const isEntry = ({ name }: SourceFile) =>
    entries.includes(name) || name.endsWith('.test.ts') || /^bench\/[^/]+\//.test(name);
  const reached = new Set<string>();
  const visit = (name: string) => {
    const file = all.get(name);
    if (file === undefined || reached.has(name)) return;
    reached.add(name);
    importsOf(file).forEach(visit);
  };
  [...all.values()].filter(isEntry).forEach(({ name }) => void visit(name));
  report(
    [...all.keys()].filter((name) => !reached.has(name)),
    'dead files',
  );
});

test('each source file opens with what it owns', () => {
  const isIndex = ({ name }: SourceFile) => /\/(index|errors)\.ts$/.test(name);
  const silent = SOURCES.filter((file) => !isIndex(file) && !/^(#!.*\n)?\/[/*]/.test(file.text));
  report(
    silent.map(({ name }) => name),
    'files without an opening comment',
  );
});

test('docs/errors.md and the code list the same error codes', () => {
  const inCode = new Map<string, string>();
  for (const { name, text } of SOURCES) {
    const [, table] = /_ERRORS = \{(.*?)\n\} as const/s.exec(text) ?? [];
    for (const [, code] of table?.matchAll(/^ {2}(\w+):/gm) ?? []) inCode.set(code ?? '', name);
  }
  const docs = readFileSync(path.join(ROOT, 'docs/errors.md'), 'utf8');
  const inDocs = new Set([...docs.matchAll(/^\| `(\w+)` \|/gm)].map(([, code]) => code ?? ''));
  const raised = new Map<string, string>();
  for (const { name, text } of SOURCES) {
    for (const [, code] of text.matchAll(/new FlotillaError\(\s*'(\w+)'/g)) {
      raised.set(code ?? '', name);
    }
  }
  report(
    [...inCode].filter(([code]) => !inDocs.has(code)).map(String),
    'codes missing in the docs',
  );
  report(
    [...inDocs].filter((code) => !inCode.has(code)),
    'codes that only the docs have',
  );
  report([...raised].filter(([code]) => !inCode.has(code)).map(String), 'codes in no error table');
});

test('no committed text names a machine, a registry or a path of one', () => {
  const banned = /registry\.npmjs|\/(work|tmp|root)\//;
  const texts = [...SOURCES, ...BENCHES, ...filesBelow('docs', /\.md$/)];
  report(
    texts.filter(({ text }) => banned.test(text)).map(({ name }) => name),
    'machine names',
  );
});
