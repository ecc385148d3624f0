// The messages of membership on the wire, checked where they arrive: a peer is authenticated, not
// trusted. Members travel as arrays, because gossip carries many of them.
import { FlotillaError } from '../core/index.ts';
import { MEMBER_LIMITS } from './defaults.ts';
import { metadataBytes } from './member.ts';
import type {
  DeclaredStatus,
  Member,
  MemberMetadata,
  MemberStatus,
  MemberUpdate,
} from './member.ts';
import type { MembershipMessage } from './membership-types.ts';

/** Control kind of probes and gossip. */
export const MEMBERSHIP = 'membership';

/** Procedure: a node asks a seed to let it in, and gets the members. */
export const JOIN = 'cluster.join';

/** Procedure: two members swap their views. */
export const EXCHANGE = 'cluster.exchange';

export interface JoinAnswer {
  /** The member that holds the CA, and the store unless it is elsewhere. */
  readonly founder: string;
  readonly members: readonly Member[];
}

const STATUSES: readonly MemberStatus[] = ['joining', 'up', 'leaving', 'suspect', 'dead', 'left'];
const TYPES: readonly MembershipMessage['type'][] = [
  'ping',
  'ping-request',
  'ack',
  'nack',
  'gossip',
];

/** `[type, seq, incarnation or target, updates]`, the last of `[by, member]` each. */
export function encodeMessage(message: MembershipMessage): unknown {
  const seq = message.type === 'gossip' ? 0 : message.seq;
  const about =
    message.type === 'ping'
      ? message.incarnation
      : message.type === 'ping-request'
        ? message.target
        : 0;
  const updates = message.updates.map(({ by, member }) => [by, encodeMember(member)]);
  return [TYPES.indexOf(message.type), seq, about, updates];
}

export function readMessage(body: unknown, peer: string): MembershipMessage {
  const [code, seq, about, list] = arrayOf(body, peer, 'message');
  const type = TYPES[code as number];
  if (type === undefined) throw invalid(peer, 'type');
  if (!isCount(seq)) throw invalid(peer, 'seq');
  const told = arrayOf(list, peer, 'updates');
  if (told.length > MEMBER_LIMITS.maxUpdates) throw invalid(peer, 'updates');
  const updates = told.map((update) => readUpdate(update, peer));
  switch (type) {
    case 'ping':
      if (!isCount(about)) throw invalid(peer, 'incarnation');
      return { type, seq, incarnation: about, updates };
    case 'ping-request':
      if (!isName(about)) throw invalid(peer, 'target');
      return { type, seq, target: about, updates };
    case 'gossip':
      return { type, updates };
    default:
      return { type, seq, updates };
  }
}

/** A whole view, as `cluster.exchange` carries it both ways. */
export function encodeView(members: readonly Member[]): unknown {
  return { members: members.map(encodeMember) };
}

export function readView(body: unknown, peer: string, maxMembers: number): Member[] {
  const { members } = objectOf(body, peer, 'view');
  const list = arrayOf(members, peer, 'members');
  if (list.length > maxMembers) throw invalid(peer, 'members');
  return list.map((member) => readMember(member, peer));
}

export function encodeJoinAnswer({ founder, members }: JoinAnswer): unknown {
  return { founder, members: members.map(encodeMember) };
}

export function readJoinAnswer(body: unknown, seed: string, maxMembers: number): JoinAnswer {
  const { founder } = objectOf(body, seed, 'answer');
  if (!isName(founder)) throw invalid(seed, 'founder');
  return { founder, members: readView(body, seed, maxMembers) };
}

/** Reads the record of a node that asks to join; it may speak of nobody but itself. */
export function readJoiner(body: unknown, peer: string): Member {
  const member = readMember(objectOf(body, peer, 'request')['member'], peer);
  if (member.name !== peer) throw invalid(peer, 'name');
  return member;
}

export function encodeJoiner(member: Member): unknown {
  return { member: encodeMember(member) };
}

/** Its own word is one of the first three statuses, so it has a place there too. */
function encodeMember(member: Member): unknown {
  const { name, address, httpAddress, incarnation, metadata, status, declared } = member;
  const codes = [STATUSES.indexOf(status), STATUSES.indexOf(declared)];
  return [name, address, httpAddress, incarnation, ...codes, metadata];
}

function readUpdate(body: unknown, peer: string): MemberUpdate {
  const [by, member] = arrayOf(body, peer, 'update');
  if (!isName(by)) throw invalid(peer, 'by');
  return { by, member: readMember(member, peer) };
}

function readMember(body: unknown, peer: string): Member {
  const [name, address, httpAddress, incarnation, ...rest] = arrayOf(body, peer, 'member');
  const [status, declared, metadata] = rest;
  if (!isName(name)) throw invalid(peer, 'name');
  if (!isAddress(address) || address === '') throw invalid(peer, 'address');
  if (!isAddress(httpAddress)) throw invalid(peer, 'httpAddress');
  if (!isCount(incarnation) || incarnation > MEMBER_LIMITS.maxIncarnation) {
    throw invalid(peer, 'incarnation');
  }
  const said = STATUSES[status as number];
  const word = STATUSES[declared as number];
  if (said === undefined) throw invalid(peer, 'status');
  if (!isDeclared(word) || (isDeclared(said) && said !== word)) throw invalid(peer, 'declared');
  const record = { name, address, httpAddress, incarnation };
  return { ...record, metadata: readMetadata(metadata, peer), status: said, declared: word };
}

function readMetadata(body: unknown, peer: string): MemberMetadata {
  const { role, capacity, engines, devices } = objectOf(body, peer, 'metadata');
  if (role !== undefined && typeof role !== 'string') throw invalid(peer, 'role');
  if (capacity !== undefined && !(typeof capacity === 'number' && Number.isFinite(capacity))) {
    throw invalid(peer, 'capacity');
  }
  if (engines !== undefined && !isTexts(engines)) throw invalid(peer, 'engines');
  if (devices !== undefined && !isTexts(devices)) throw invalid(peer, 'devices');
  const metadata = {
    ...(role !== undefined && { role }),
    ...(capacity !== undefined && { capacity }),
    ...(engines !== undefined && { engines }),
    ...(devices !== undefined && { devices }),
  };
  if (metadataBytes(metadata) > MEMBER_LIMITS.maxMetadataBytes) throw invalid(peer, 'metadata');
  return metadata;
}

function isDeclared(status: MemberStatus | undefined): status is DeclaredStatus {
  return status === 'joining' || status === 'up' || status === 'leaving';
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isName(value: unknown): value is string {
  return typeof value === 'string' && value !== '' && value.length <= MEMBER_LIMITS.maxNameLength;
}

function isAddress(value: unknown): value is string {
  return typeof value === 'string' && value.length <= MEMBER_LIMITS.maxAddressLength;
}

function isTexts(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((text) => typeof text === 'string');
}

function arrayOf(value: unknown, peer: string, what: string): readonly unknown[] {
  if (!Array.isArray(value)) throw invalid(peer, what);
  return value;
}

function objectOf(value: unknown, peer: string, what: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null) throw invalid(peer, what);
  return value as Record<string, unknown>;
}

function invalid(peer: string, field: string): FlotillaError {
  return new FlotillaError('member_invalid', `${peer} sent a member record with a bad ${field}`, {
    details: { peer, field },
  });
}
