// What a watcher of the cluster hears, made from what membership changed.
import type { Member, MemberStatus } from './member.ts';
import type { MembershipEffect } from './membership-types.ts';

export type ClusterEvent =
  /** A member is new to this node. */
  | { readonly type: 'joined'; readonly member: Member }
  | { readonly type: 'status'; readonly member: Member; readonly previous: MemberStatus }
  /** Its address or its metadata is another. */
  | { readonly type: 'updated'; readonly member: Member }
  /** It left, or was dead for so long that it is listed no more. */
  | { readonly type: 'removed'; readonly member: Member };

export type ClusterListener = (event: ClusterEvent) => void;

export function eventOf(
  effect: Extract<MembershipEffect, { type: 'changed' | 'forgotten' }>,
): ClusterEvent {
  const { member } = effect;
  if (effect.type === 'forgotten' || member.status === 'left') return { type: 'removed', member };
  const { previous } = effect;
  // Who left was removed, so its return is as good as new.
  if (previous === undefined || previous === 'left') return { type: 'joined', member };
  if (previous === member.status) return { type: 'updated', member };
  return { type: 'status', member, previous };
}
