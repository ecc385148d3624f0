// What a WebGPU device and its thread say to each other.
import type { ErrorDetails } from '../core/index.ts';
import type { BoundLaunch } from './launch.ts';

/** How the thread starts. */
export interface WebGpuWorkerData {
  /** Module to import: the npm package. */
  readonly module: string;
}

export type WebGpuCall =
  | { readonly call: 'allocate'; readonly bytes: number }
  | { readonly call: 'free'; readonly handle: number }
  | {
      readonly call: 'write';
      readonly handle: number;
      readonly offset: number;
      readonly data: Uint8Array;
    }
  | {
      readonly call: 'read';
      readonly handle: number;
      readonly offset: number;
      readonly bytes: number;
    }
  | { readonly call: 'launch'; readonly launch: BoundLaunch };

export type WebGpuRequest = { readonly id: number } & (WebGpuCall | { readonly call: 'close' });

/** An error, as it crosses between threads. */
export interface WebGpuFailure {
  readonly code: string;
  readonly message: string;
  readonly details: ErrorDetails;
}

export type WebGpuReply =
  | { readonly type: 'ready'; readonly description: string; readonly capabilities: string[] }
  | { readonly type: 'unavailable'; readonly failure: WebGpuFailure }
  | { readonly type: 'lost'; readonly message: string }
  | { readonly type: 'done'; readonly id: number; readonly result?: number | Uint8Array }
  | { readonly type: 'failed'; readonly id: number; readonly failure: WebGpuFailure };
