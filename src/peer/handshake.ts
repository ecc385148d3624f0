// The first messages of a connection: Hello from the end that dialled, Welcome from the other.
// Builds and checks them; who is let in is decided by `PeerHost`.
import { FlotillaError } from '../core/index.ts';
import { frameInvalid } from '../wire/index.ts';
import { MAX_NAME_BYTES, MIN_MESSAGE_BYTES } from './defaults.ts';

export interface VersionRange {
  readonly min: number;
  readonly max: number;
}

/** What both ends say of themselves. */
export interface Greeting {
  readonly name: string;
  /** Differs between two lives of one name. */
  readonly instance: string;
  readonly versions: VersionRange;
  readonly maxMessageBytes: number;
  /** How often this dial was refused as a duplicate although the dialler has no connection. */
  readonly attempt: number;
}

export function encodeGreeting(greeting: Greeting): object {
  const { name, instance, versions, maxMessageBytes, attempt } = greeting;
  return { name, instance, versions: [versions.min, versions.max], maxMessageBytes, attempt };
}

/** Throws `frame_invalid`. */
export function decodeGreeting(body: unknown): Greeting {
  const record = (typeof body === 'object' && body !== null ? body : {}) as Record<string, unknown>;
  const { name, instance, versions, maxMessageBytes, attempt } = record;
  const [min, max] = Array.isArray(versions) ? (versions as unknown[]) : [];
  const sound =
    typeof name === 'string' &&
    typeof instance === 'string' &&
    isCount(min) &&
    isCount(max) &&
    instance.length <= MAX_NAME_BYTES &&
    isCount(maxMessageBytes) &&
    maxMessageBytes >= MIN_MESSAGE_BYTES &&
    isCount(attempt);
  if (!sound) throw frameInvalid('a greeting that lacks a field, or has one out of its range');
  return { name, instance, versions: { min, max }, maxMessageBytes, attempt };
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

/** The highest version that both speak. Throws `protocol_version` with both ranges. */
export function negotiate(
  own: VersionRange,
  { name, versions }: Pick<Greeting, 'name' | 'versions'>,
): number {
  const version = Math.min(own.max, versions.max);
  if (version >= Math.max(own.min, versions.min)) return version;
  const message =
    `no common protocol version: ${name} speaks ${versions.min} to ${versions.max}, ` +
    `the other node ${own.min} to ${own.max}`;
  throw new FlotillaError('protocol_version', message, {
    details: { peer: name, min: versions.min, max: versions.max },
  });
}
