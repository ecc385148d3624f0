// What the policies are put through. Rates are such that round-robin keeps the engines busy for
// about 80 % of their time (half of it where one is slow); what share it was is among the figures.
import type { Rates } from './workload.ts';

export interface Scenario {
  /** Names its figures. */
  readonly id: string;
  /** For the reader of a table. */
  readonly name: string;
  readonly rates: Rates;
  readonly nodes: number;
  readonly gateways: number;
  /** A node that becomes slower: to which share of its speed, and when as a share of the time. */
  readonly straggler?: { readonly node: number; readonly speed: number; readonly from: number };
}

export const NODES = 8;
/** When the crowd is there, as shares of the run: what the crowd's figures are about. */
export const CROWD_FROM = 0.5;
export const CROWD_UNTIL = 0.75;
/** What starts before is not counted. */
export const WARM_UP = 0.2;

const fleet = { nodes: NODES, gateways: 1 };
const MIXED: Rates = { chats: 1.7, agents: 0.16 };

export const SCENARIOS: readonly Scenario[] = [
  { ...fleet, id: 'chats', name: 'chats', rates: { chats: 3.1 } },
  { ...fleet, id: 'agents', name: 'agents', rates: { agents: 0.35 } },
  { ...fleet, id: 'mixed', name: 'chats and agents', rates: MIXED },
  { ...fleet, id: 'mixed2', name: 'the same, 2 gateways', rates: MIXED, gateways: 2 },
  { ...fleet, id: 'mixed8', name: 'the same, 8 gateways', rates: MIXED, gateways: 8 },
  { ...fleet, id: 'crowd', name: 'chats, flash crowd', rates: { chats: 2.6, crowd: 14 } },
  {
    ...fleet,
    id: 'slowNode',
    name: 'chats and agents, one slow node',
    rates: { chats: 1.2, agents: 0.11 },
    straggler: { node: 3, speed: 0.3, from: 0.3 },
  },
];
