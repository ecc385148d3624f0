// The commands about members: `members` lists them, `drain` takes one out of routing, `leave` lets
// one go. Any node answers and passes on what is another's.
import { FleetClient } from './fleet-client.ts';
import { formatAge, formatTable } from './text.ts';
import type { MemberInfo } from '../gateway/index.ts';
import type { ClientFlags } from './commands-client.ts';
import type { CliContext } from './context.ts';

interface MembersBody {
  readonly self: string;
  readonly members: readonly MemberInfo[];
}

const HEADING = ['member', 'status', 'peers', 'http', 'role', 'last seen', 'load', 'incarnation'];

export async function runMembers({ out, clock }: CliContext, flags: ClientFlags): Promise<void> {
  const body = await new FleetClient(flags.url).get<MembersBody>('/cluster/members');
  if (flags.json) {
    out.line(JSON.stringify(body));
    return;
  }
  const now = clock.wallTime();
  const rows = body.members.map((member) => [
    member.name,
    member.status,
    member.address,
    member.httpAddress || '-',
    roleOf(member),
    member.name === body.self ? 'asked' : formatAge(now - member.lastSeenMs),
    `${Math.round(member.load * 100)} %`,
    String(member.incarnation),
  ]);
  const [first = '', ...lines] = formatTable([HEADING, ...rows]);
  out.line(out.style('bold', first));
  lines.forEach((line, index) => {
    out.line(body.members[index]?.status === 'up' ? line : out.style('bad', line));
  });
}

/** What the member says that it is for: its role, and what it has. */
function roleOf({ metadata }: MemberInfo): string {
  const { role, devices = [] } = metadata;
  return [role, ...devices].filter((part) => part !== undefined).join(', ') || '-';
}

export interface DrainFlags extends ClientFlags {
  readonly cancel?: boolean;
}

export async function runDrain(
  { out }: CliContext,
  node: string,
  flags: DrainFlags,
): Promise<void> {
  const cancel = flags.cancel === true;
  const answer = await new FleetClient(flags.url).post('/cluster/drain', { node, cancel });
  if (flags.json) out.line(JSON.stringify(answer));
  else if (cancel) out.line(`${node} takes requests again`);
  else {
    out.line(`${node} takes no new requests, and its entities go elsewhere`);
    out.line(`"flotilla drain ${node} --cancel" undoes it`);
  }
}

export async function runLeave(
  { out }: CliContext,
  node: string | undefined,
  flags: ClientFlags,
): Promise<void> {
  const body = node === undefined ? {} : { node };
  const client = new FleetClient(flags.url);
  const answer = await client.post<{ node: string }>('/cluster/leave', body);
  if (flags.json) out.line(JSON.stringify(answer));
  else out.line(`${answer.node} leaves the fleet and stops`);
}
