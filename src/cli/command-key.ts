// `flotilla key`: who may ask the fleet. Any node answers, on its own machine; all know at once.
import { FleetClient } from './fleet-client.ts';
import { formatAgo, formatTable } from './text.ts';
import type { ApiKey } from '../admission/index.ts';
import type { ClientFlags } from './commands-client.ts';
import type { CliContext } from './context.ts';

export interface KeyFlags extends ClientFlags {
  readonly models?: readonly string[];
  readonly rpm?: number;
  readonly tpm?: number;
  readonly concurrency?: number;
}

interface KeysBody {
  readonly required: boolean;
  readonly keys: readonly ApiKey[];
}

const HEADING = [
  'id',
  'name',
  'created',
  'state',
  'models',
  'requests/min',
  'tokens/min',
  'at once',
];

/** Prints the key, and nothing else, on standard output. */
export async function runKeyCreate(
  { out, err }: CliContext,
  name: string,
  flags: KeyFlags,
): Promise<void> {
  const { url, json, models, rpm, tpm, concurrency } = flags;
  const spec = { name, models, requestsPerMinute: rpm, tokensPerMinute: tpm, concurrency };
  const answer = await new FleetClient(url).post<ApiKey & { key: string }>('/keys', spec);
  if (json) {
    out.line(JSON.stringify(answer));
    return;
  }
  out.line(answer.key);
  err.line(`the key ${answer.id} of ${name}; it is not shown again`);
  err.line('clients send it as "authorization: Bearer KEY"');
}

export async function runKeyList(
  { out, err, clock }: CliContext,
  flags: ClientFlags,
): Promise<void> {
  const body = await new FleetClient(flags.url).get<KeysBody>('/keys');
  if (flags.json) {
    out.line(JSON.stringify(body));
    return;
  }
  if (body.keys.length === 0) {
    err.line('there are no API keys: anybody may ask; "flotilla key create NAME" makes one');
    return;
  }
  const now = clock.wallTime();
  const [first = '', ...lines] = formatTable([
    HEADING,
    ...body.keys.map((key) => [
      key.id,
      key.name,
      formatAgo(now - key.createdMs),
      key.revokedMs === undefined ? 'good' : `revoked ${formatAgo(now - key.revokedMs)}`,
      key.models?.join(',') ?? 'all',
      ...[key.limits.requestsPerMinute, key.limits.tokensPerMinute, key.limits.concurrency].map(
        (limit) => String(limit ?? '-'),
      ),
    ]),
  ]);
  out.line(out.style('bold', first));
  lines.forEach((line, index) => {
    out.line(body.keys[index]?.revokedMs === undefined ? line : out.style('bad', line));
  });
}

export async function runKeyRevoke(
  { out }: CliContext,
  id: string,
  flags: ClientFlags,
): Promise<void> {
  const path = `/keys/${encodeURIComponent(id)}`;
  const key = await new FleetClient(flags.url).delete<ApiKey>(path);
  if (flags.json) out.line(JSON.stringify(key));
  else out.line(`the key ${key.id} of ${key.name} lets nobody in any more`);
}
