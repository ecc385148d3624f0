// What membership knows of a node, and which of two accounts of it is the later one. Pure rules:
// who tells whom is `Membership`'s, how it is written to the wire is `messages.ts`'s.
import { FlotillaError } from '../core/index.ts';
import { MEMBER_LIMITS } from './defaults.ts';

/** What a member says of itself. */
export type DeclaredStatus = 'joining' | 'up' | 'leaving';

/** What is said of a member: its own word, until others suspect it, or it is dead or has left. */
export type MemberStatus = DeclaredStatus | 'suspect' | 'dead' | 'left';

/** Rides along with the record, so it is small: at most `maxMetadataBytes` as JSON. */
export interface MemberMetadata {
  readonly role?: string;
  readonly capacity?: number;
  readonly engines?: readonly string[];
  readonly devices?: readonly string[];
}

export interface MemberRecord {
  readonly name: string;
  /** Where peers reach it, `host:port`. */
  readonly address: string;
  /** Where clients reach it, `host:port`; empty without HTTP. */
  readonly httpAddress: string;
  /**
   * Orders what is said of a name. It begins at the wall time of the start, so that a restart
   * outranks what came before; the member itself raises it whenever its word has to prevail.
   */
  readonly incarnation: number;
  readonly metadata: MemberMetadata;
}

export interface Member extends MemberRecord {
  readonly status: MemberStatus;
  /** Its own word beneath a suspicion: a member that is leaving stays so while it is suspected. */
  readonly declared: DeclaredStatus;
}

/** One account of a member, as it is gossiped. */
export interface MemberUpdate {
  readonly member: Member;
  /** Who says so: of a suspicion each accuser counts once. */
  readonly by: string;
}

const RANKS: Readonly<Record<MemberStatus, number>> = {
  joining: 0,
  up: 1,
  leaving: 2,
  suspect: 3,
  dead: 4,
  left: 5,
};

/**
 * True when `a` is the later account of the same name: a higher incarnation, or, within one, the
 * graver status. It is a strict order, so views that saw the same accounts agree in the end.
 * @see SWIM (Das, Gupta, Motivala 2002), section 4.2
 */
export function outranks(a: Member, b: Member): boolean {
  if (a.incarnation !== b.incarnation) return a.incarnation > b.incarnation;
  return RANKS[a.status] > RANKS[b.status];
}

/** True once a member of this incarnation can never come back. */
export function hasEnded(status: MemberStatus): boolean {
  return status === 'dead' || status === 'left';
}

/** True of what only others say of a member, so that it has to contradict if it lives. */
export function isAccused(status: MemberStatus): boolean {
  return status === 'suspect' || hasEnded(status);
}

/** True when an account stands against the word of a member that has reached `incarnation`. */
export function prevails(account: Member, incarnation: number): boolean {
  if (account.incarnation === incarnation) return isAccused(account.status);
  return account.incarnation > incarnation;
}

/** True when requests may go to the member: it is up, or was and is only suspected. */
export function isRoutable({ status, declared }: Pick<Member, 'status' | 'declared'>): boolean {
  return status === 'up' || (status === 'suspect' && declared === 'up');
}

/** What counts against the limit of metadata: its bytes as JSON. */
export function metadataBytes(metadata: MemberMetadata): number {
  return Buffer.byteLength(JSON.stringify(metadata));
}

/** Raises `metadata_too_large`. */
export function checkMetadata(metadata: MemberMetadata): MemberMetadata {
  const limit = MEMBER_LIMITS.maxMetadataBytes;
  const bytes = metadataBytes(metadata);
  if (bytes <= limit) return metadata;
  const message = `the metadata of a member takes at most ${limit} bytes as JSON, not ${bytes}`;
  throw new FlotillaError('metadata_too_large', message, { details: { limit, bytes } });
}
