// Adds to package-lock.json the optional packages of other platforms that a partial mirror of the
// registry does not offer: `npm ci` refuses a lockfile without them. Run it after `npm install` has
// changed the lockfile; it changes nothing else.
import { readFileSync, writeFileSync } from 'node:fs';

const LOCKFILE = new URL('../package-lock.json', import.meta.url);
const SYSTEMS = ['android', 'darwin', 'freebsd', 'linux', 'netbsd', 'openbsd', 'sunos', 'win32'];
const PROCESSORS = [
  'arm',
  'arm64',
  'ia32',
  'loong64',
  'mips64el',
  'ppc64',
  'riscv64',
  's390x',
  'x64',
];

const lock = JSON.parse(readFileSync(LOCKFILE, 'utf8'));
const added = [];
for (const [path, entry] of Object.entries(lock.packages)) {
  for (const [name, version] of Object.entries(entry.optionalDependencies ?? {})) {
    const key = `node_modules/${name}`;
    // Only exact versions: a range is another package's choice, which npm makes.
    if (lock.packages[key] !== undefined || !/^\d+\.\d+\.\d+$/.test(version)) continue;
    const words = name.split(/[/-]/);
    const os = words.filter((word) => SYSTEMS.includes(word));
    const cpu = words.filter((word) => PROCESSORS.includes(word));
    if (os.length === 0) continue;
    const libc = words.filter((word) => word === 'musl' || word === 'gnu');
    lock.packages[key] = {
      version,
      ...(cpu.length > 0 && { cpu }),
      ...(path !== '' && entry.dev && { dev: true }),
      ...(libc.length > 0 && { libc: libc.map((word) => (word === 'gnu' ? 'glibc' : word)) }),
      optional: true,
      os,
    };
    added.push(`${name}@${version}`);
  }
}
const sorted = Object.entries(lock.packages).sort(([a], [b]) => (a < b ? -1 : 1));
lock.packages = Object.fromEntries(sorted);
writeFileSync(LOCKFILE, `${JSON.stringify(lock, undefined, 2)}\n`);
console.log(added.length === 0 ? 'nothing to add' : `added ${added.join(', ')}`);
