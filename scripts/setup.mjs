// Sets the checkout up: dependencies (with the pinned Node 24 among them) and the WASM kernels.
// Runs on Node 20 or later, before `npm start` and `npm test`, and does only what is missing.
import { spawnSync } from 'node:child_process';
import { existsSync, lstatSync, statSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const pinnedNode = path.join(root, 'node_modules', '.bin', 'node');

/** Ends the set-up with one line that says what to do. */
function fail(message) {
  console.error(`setup: ${message}`);
  process.exit(1);
}

function run(command, args) {
  // Standard output belongs to the command that follows the set-up; progress goes to standard error.
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: ['ignore', 2, 2] });
  if (error) fail(`cannot run ${command}: ${error.message}`);
  return status ?? 1;
}

function modifiedAt(file) {
  return existsSync(file) ? statSync(file).mtimeMs : 0;
}

function dependenciesAreCurrent() {
  const installed = modifiedAt(path.join(root, 'node_modules', '.package-lock.json'));
  return (
    installed > 0 &&
    installed >= modifiedAt(path.join(root, 'package-lock.json')) &&
    existsSync(pinnedNode)
  );
}

if (!dependenciesAreCurrent()) {
  // npm would empty the folder that the link leads to, which belongs to another checkout.
  const modules = path.join(root, 'node_modules');
  if (lstatSync(modules, { throwIfNoEntry: false })?.isSymbolicLink()) {
    fail(`${modules} is a link to another checkout's; remove the link and try again`);
  }
  console.error('setup: installing dependencies …');
  // EBADENGINE only says that this Node is not the pinned one, which the install brings.
  const status = run('npm', ['ci', '--include=dev', '--no-audit', '--no-fund', '--loglevel=error']);
  if (status !== 0) fail(`npm ci ended with status ${status}; its message is above`);
}

const version = spawnSync(pinnedNode, ['--version'], { encoding: 'utf8' }).stdout?.trim() ?? '';
if (!version.startsWith('v24.')) {
  fail(
    `the pinned Node 24 did not install (found "${version}"); remove node_modules and try again`,
  );
}

if (run(pinnedNode, [path.join('scripts', 'build-kernels.mjs')]) !== 0) {
  fail('the kernels could not be built; the reason is above');
}
