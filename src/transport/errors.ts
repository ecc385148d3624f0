// What can go wrong between two nodes before any message is read.
import type { ErrorCodes } from '../core/index.ts';

export const TRANSPORT_ERRORS = {
  peer_unreachable:
    'A node could not be dialled: nothing answers at its address, or none is known.',
  identity_refused: 'The other side did not prove that it belongs to this cluster under its name.',
  port_in_use: 'Another process already listens on the address that this node wants.',
  address_unusable: 'This node cannot listen on the address that it was given.',
  link_closed: 'The connection to a node ended.',
  link_stuck: 'The other end of a connection reads nothing while short frames pile up for it.',
  quic_unavailable: 'The optional package that QUIC needs is absent, or is another version.',
  join_refused: 'The node that was asked cannot admit anyone, or broke off the join.',
} as const satisfies ErrorCodes;
