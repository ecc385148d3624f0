// Input of the gateway bench, and what it tells a proxy.
import type { Workload } from '../harness.ts';

export interface GatewayWorkload extends Workload {
  readonly connections: number;
  /** Other numbers of connections, for how the speed goes with them. */
  readonly steps: readonly number[];
  readonly warmUpSeconds: number;
  /** Of each load at `connections`. */
  readonly seconds: number;
  /** Of each step. */
  readonly stepSeconds: number;
  /** Requests a second at which the added latency is measured. */
  readonly rate: number;
}

/** Where a proxy is to be, and where its backend is. */
export interface ProxyPlace {
  /** For its files; removed afterwards. */
  readonly folder: string;
  readonly port: number;
  readonly upstreamPort: number;
}
