// Builds the WASM kernels (src/devices/kernels/, AssemblyScript) into build/kernels.wasm, when that is
// missing or older than its sources. Runs on Node 20 or later.
import { mkdirSync, readdirSync, renameSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const sources = path.join(root, 'src', 'devices', 'kernels');
const target = path.join(root, 'build', 'kernels.wasm');

/** The memory belongs to the caller and may grow to all that 32-bit pointers reach. */
const MAX_PAGES = 65536;

const OPTIONS = [
  '--runtime=stub',
  '--importMemory',
  '--noExportMemory',
  '--sharedMemory',
  '--initialMemory=1',
  `--maximumMemory=${MAX_PAGES}`,
  '--enable=simd,relaxed-simd,threads',
  '-O3',
  '--converge',
  '--noAssert',
];

function modifiedAt(file) {
  return statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}

function isCurrent() {
  const inputs = [
    fileURLToPath(import.meta.url),
    sources,
    ...readdirSync(sources).map((name) => path.join(sources, name)),
  ];
  return modifiedAt(target) >= Math.max(...inputs.map(modifiedAt));
}

/** Compiles in memory and renames into place: a reader never sees half a module. */
async function build() {
  const { default: asc } = await import('assemblyscript/asc');
  let module;
  const { error, stderr } = await asc.main(
    ['index.ts', '--baseDir', sources, '--outFile', 'kernels.wasm', ...OPTIONS],
    {
      writeFile: (name, contents) => {
        if (name.endsWith('.wasm')) module = contents;
      },
    },
  );
  if (error || module === undefined) {
    console.error(`build-kernels: ${error?.message ?? 'the compiler wrote nothing'}\n${stderr}`);
    process.exit(1);
  }
  mkdirSync(path.dirname(target), { recursive: true });
  const partial = `${target}.${process.pid}`;
  writeFileSync(partial, module);
  renameSync(partial, target);
  console.error(`build-kernels: build/kernels.wasm, ${module.length} bytes`);
}

if (!isCurrent()) await build();
