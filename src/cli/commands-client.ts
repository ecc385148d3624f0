// The commands that ask a running fleet over HTTP: status, route, neighbors, complete, train.
import { FleetClient } from './fleet-client.ts';
import { formatAge, formatTable } from './text.ts';
import type { Member, NodeInfo } from '../cluster/index.ts';
import type { CliContext } from './context.ts';

export interface ClientFlags {
  readonly url: string;
  readonly json?: boolean;
}

interface ClusterBody {
  readonly summary: string;
  readonly self: string;
  readonly nodes: readonly (NodeInfo & Partial<Pick<Member, 'status'>>)[];
  readonly models: readonly { readonly name: string; readonly status: string }[];
}

export async function runStatus({ out, clock }: CliContext, flags: ClientFlags): Promise<void> {
  const cluster = await new FleetClient(flags.url).get<ClusterBody>('/cluster');
  if (flags.json) {
    out.line(JSON.stringify(cluster));
    return;
  }
  const now = clock.wallTime();
  const rows = cluster.nodes.map((node) => [
    node.id,
    node.addr,
    node.httpAddr || '-',
    node.status ?? (node.healthy ? 'healthy' : 'unhealthy'),
    node.id === cluster.self ? 'asked' : formatAge(now - node.lastSeenMs),
    `${Math.round(node.load * 100)} %`,
  ]);
  const heading = ['node', 'peers', 'http', 'status', 'last seen', 'load'];
  const [first = '', ...lines] = formatTable([heading, ...rows]);
  out.line(out.style('bold', first));
  lines.forEach((line, index) => {
    out.line(cluster.nodes[index]?.healthy ? line : out.style('bad', line));
  });
  out.line();
  out.line(cluster.summary);
  for (const { name, status } of cluster.models) out.line(`model ${name}: ${status}`);
}

interface RouteBody {
  readonly key: string;
  readonly node: string | null;
  readonly addr: string | null;
  readonly candidates: readonly { readonly node: string; readonly reason: string }[];
}

export async function runRoute(
  { out }: CliContext,
  key: string,
  flags: ClientFlags,
): Promise<void> {
  const path = `/cluster/route?${new URLSearchParams({ key })}`;
  const route = await new FleetClient(flags.url).get<RouteBody>(path);
  if (flags.json) {
    out.line(JSON.stringify(route));
    return;
  }
  const target = route.node === null ? 'no node: none is healthy' : `${route.node} (${route.addr})`;
  out.line(`${key} → ${target}`);
  const rows = route.candidates.map(({ node, reason }) => [`  ${node}`, reason]);
  for (const line of formatTable(rows)) out.line(line);
}

export interface AskFlags extends ClientFlags {
  readonly model?: string;
  readonly k: number;
}

export interface ScoredBody {
  readonly id: string;
  readonly score: number;
}

export async function runNeighbors(
  { out }: CliContext,
  word: string,
  flags: AskFlags,
): Promise<void> {
  const query = new URLSearchParams({ word, k: String(flags.k) });
  if (flags.model !== undefined) query.set('model', flags.model);
  const client = new FleetClient(flags.url);
  const body = await client.get<{ neighbors: ScoredBody[] }>(`/v1/neighbors?${query}`);
  if (flags.json) out.line(JSON.stringify(body));
  else for (const line of scoredLines(body.neighbors)) out.line(line);
}

export async function runComplete(
  { out }: CliContext,
  triple: { readonly head: string; readonly relation: string },
  flags: AskFlags,
): Promise<void> {
  const model = flags.model === undefined ? {} : { model: flags.model };
  const client = new FleetClient(flags.url);
  const request = { ...triple, ...model, k: flags.k };
  const body = await client.post<{ completions: ScoredBody[] }>('/v1/complete-triple', request);
  if (flags.json) out.line(JSON.stringify(body));
  else for (const line of scoredLines(body.completions)) out.line(line);
}

function scoredLines(answers: readonly ScoredBody[]): string[] {
  return answers.map(({ id, score }) => `${score.toFixed(3).padStart(8)}  ${id}`);
}
