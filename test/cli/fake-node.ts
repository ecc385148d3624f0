// Stands for a node process in tests of the supervisor: makes a CA where a founder would, says over
// IPC what it was told to, and stays until SIGTERM or the end of its supervisor.
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { systemClock } from '../../src/core/index.ts';
import { ClusterAuthority, ensureDirectory } from '../../src/identity/index.ts';

const { values } = parseArgs({
  args: process.argv.slice(3),
  options: {
    name: { type: 'string', default: '' },
    found: { type: 'boolean', default: false },
    join: { type: 'string' },
    'data-dir': { type: 'string', default: '' },
    listen: { type: 'string', default: '' },
    http: { type: 'string', default: '' },
    'no-engines': { type: 'boolean' },
    fail: { type: 'string' },
    deaf: { type: 'boolean', default: false },
  },
});

const { name, listen, http, fail } = values;
const dataDir = values['data-dir'];
process.on('disconnect', () => process.exit(0));
process.on('SIGTERM', () => values.deaf || process.exit(0));

ensureDirectory(dataDir);
const identity = path.join(dataDir, 'identity');
if (values.found) await ClusterAuthority.open(identity, { clock: systemClock });
const seen = { args: process.argv.slice(2), token: process.env['FLOTILLA_TOKEN'] ?? null };
writeFileSync(path.join(dataDir, 'seen.json'), JSON.stringify(seen));

if (fail === `${name}:say`) {
  process.send?.({ type: 'failed', error: { code: 'token_refused', message: 'refused' } });
} else if (fail === `${name}:throw`) {
  throw new TypeError('something broke');
} else {
  process.send?.({ type: 'ready', name, address: listen, httpUrl: `http://${http}` });
}
