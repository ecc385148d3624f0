// The messages of membership, checked where they arrive: a peer is authenticated, not trusted.
import { FlotillaError } from '../core/index.ts';
import type { MemberRecord } from './heartbeat-detector.ts';

/** Control kinds. */
export const HEARTBEAT = 'heartbeat';
export const NODE_LEFT = 'node-left';

/** Procedure: a node asks a seed for the members; it is off the data path afterwards. */
export const JOIN = 'cluster.join';

export interface JoinAnswer {
  /** The member that holds the store and the CA. */
  readonly founder: string;
  readonly members: readonly MemberRecord[];
}

const MAX_ADDRESS_LENGTH = 261;

/** Reads a member record of `peer`, who may speak of nobody but itself unless `of` is 'anyone'. */
export function readMember(body: unknown, peer: string, of: 'itself' | 'anyone'): MemberRecord {
  const record = (typeof body === 'object' && body !== null ? body : {}) as Record<string, unknown>;
  const { name, address, httpAddress, incarnation, load } = record;
  if (typeof name !== 'string' || name === '' || (of === 'itself' && name !== peer)) {
    throw invalid(peer, 'name');
  }
  if (!isAddress(address) || address === '') throw invalid(peer, 'address');
  if (!isAddress(httpAddress)) throw invalid(peer, 'httpAddress');
  if (typeof incarnation !== 'number' || !Number.isFinite(incarnation)) {
    throw invalid(peer, 'incarnation');
  }
  if (typeof load !== 'number' || !(load >= 0 && load <= 1)) throw invalid(peer, 'load');
  return { name, address, httpAddress, incarnation, load };
}

export function readJoinAnswer(body: unknown, seed: string): JoinAnswer {
  const answer = (typeof body === 'object' && body !== null ? body : {}) as Record<string, unknown>;
  const { founder, members } = answer;
  if (typeof founder !== 'string' || founder === '') throw invalid(seed, 'founder');
  if (!Array.isArray(members)) throw invalid(seed, 'members');
  return { founder, members: members.map((member) => readMember(member, seed, 'anyone')) };
}

function isAddress(value: unknown): value is string {
  return typeof value === 'string' && value.length <= MAX_ADDRESS_LENGTH;
}

function invalid(peer: string, field: string): FlotillaError {
  return new FlotillaError('member_invalid', `${peer} sent a member record with a bad ${field}`, {
    details: { peer, field },
  });
}
