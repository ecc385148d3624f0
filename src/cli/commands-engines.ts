// The commands that ask a node about engines: which there are, and where a request would go.
import { FleetClient } from './fleet-client.ts';
import { formatCount, formatTable, plural } from './text.ts';
import type { EngineInfo } from '../gateway/index.ts';
import type { CandidateFacts, EndpointState, Explanation } from '../routing/index.ts';
import type { ClientFlags } from './commands-client.ts';
import type { CliContext } from './context.ts';

interface EngineBody extends Omit<EngineInfo, 'target'> {
  readonly origin?: string;
  /** Null for an engine that is not up. */
  readonly routing: EndpointState | null;
}

interface EnginesBody {
  readonly policy: string;
  readonly engines: readonly EngineBody[];
}

const HEADING = ['engine', 'state', 'models', 'via', 'in flight', 'waiting tokens'];

export async function runEngines({ out, err }: CliContext, flags: ClientFlags): Promise<void> {
  const body = await new FleetClient(flags.url).get<EnginesBody>('/engines');
  if (flags.json) {
    out.line(JSON.stringify(body));
    return;
  }
  if (body.engines.length === 0) {
    err.line('there are no engines; the option "engines" of a node’s configuration names them');
    return;
  }
  const engines = body.engines.toSorted((a, b) => (a.endpoint < b.endpoint ? -1 : 1));
  const rows = engines.map((engine) => [
    engine.endpoint,
    stateOf(engine),
    Object.keys(engine.models).join(',') || '-',
    engine.origin ?? (engine.via === 'direct' ? 'this node' : engine.node),
    figure(engine.routing?.inFlight),
    figure(engine.routing?.waitingTokens),
  ]);
  const [first = '', ...lines] = formatTable([HEADING, ...rows]);
  out.line(out.style('bold', first));
  lines.forEach((line, index) => {
    const isFine = engines[index] !== undefined && stateOf(engines[index]) === 'up';
    out.line(isFine ? line : out.style('bad', line));
  });
  out.line();
  out.line(`policy ${body.policy}`);
  for (const { endpoint, isUp, problem } of engines) {
    if (!isUp && problem !== undefined) out.line(`${endpoint}: ${problem}`);
  }
}

function stateOf({ isUp, routing }: EngineBody): string {
  return isUp ? (routing?.excluded ?? 'up') : 'down';
}

function figure(value: number | undefined): string {
  return value === undefined ? '-' : formatCount(value);
}

export interface ExplainFlags extends ClientFlags {
  readonly model: string;
  readonly session?: string;
  readonly user?: string;
  readonly prompt?: string;
}

const CANDIDATES = ['engine', 'score', 'cached', 'home', 'in flight', 'waiting tokens', 'state'];

export async function runExplain({ out }: CliContext, flags: ExplainFlags): Promise<void> {
  const { model, session, user, prompt } = flags;
  const asked = Object.entries({ model, session, user, prompt }).filter(
    (entry): entry is [string, string] => entry[1] !== undefined,
  );
  const path = `/explain?${new URLSearchParams(asked)}`;
  const body = await new FleetClient(flags.url).get<Explanation>(path);
  if (flags.json) {
    out.line(JSON.stringify(body));
    return;
  }
  const { policy, keyKind, promptTokens, endpoint, reason, candidates } = body;
  if (candidates.length === 0) {
    out.line(`${model} → no engine serves it`);
    return;
  }
  const named = keyKind === 'none' ? 'named by nothing' : `named by its ${keyKind}`;
  const tokens = promptTokens === 0 ? '' : `, a prompt of about ${plural(promptTokens, 'token')}`;
  out.line(`${model} → ${endpoint ?? 'no engine: none may be sent to now'}`);
  out.line(`${reason === undefined ? '' : `${reason}, `}policy ${policy}, ${named}${tokens}`);
  out.line();
  const rows = candidates.map((candidate) => [
    candidate.endpoint,
    candidate.score === null ? '-' : candidate.score.toFixed(1),
    figure(candidate.cachedTokens),
    candidate.home ? 'home' : '-',
    figure(candidate.inFlight),
    figure(candidate.waitingTokens),
    candidateState(candidate),
  ]);
  const [first = '', ...lines] = formatTable([CANDIDATES, ...rows]);
  out.line(out.style('bold', first));
  lines.forEach((line, index) => {
    const isChosen = candidates[index]?.endpoint === endpoint;
    out.line(isChosen ? out.style('good', line) : line);
  });
}

function candidateState({ excluded, weight }: CandidateFacts): string {
  if (excluded !== undefined) return excluded;
  return weight < 1 ? `starting, ${Math.round(weight * 100)} %` : 'up';
}
