// What the tests of identity share: a directory that goes away.
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import type { TestContext } from 'node:test';

export function temporaryDirectory(t: TestContext): string {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'flotilla-'));
  t.after(() => fs.rmSync(directory, { recursive: true, force: true }));
  return directory;
}
