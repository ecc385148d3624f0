// What a gateway needs to know of an engine, whoever runs it: where it is, which models it serves
// under which names, and whether it can take requests now. Requests themselves go past it.
import type { FlotillaError } from '../core/index.ts';
import type { EngineLoad } from '../load/index.ts';

/**
 * `stopped` before its start and after its stop; `starting` until it first answers a check; `up`;
 * `down`: it does not answer any more, or its process has ended.
 */
export type EngineState = 'stopped' | 'starting' | 'up' | 'down';

/** Where requests to an engine go, and what they carry. */
export interface EngineTarget {
  /** `http://host:port` */
  readonly origin: string;
  /** What stands before `/chat/completions` in a path: usually `/v1`. */
  readonly apiPath: string;
  /** Added to every request: lower-case names, the key of the engine among them. */
  readonly headers: Readonly<Record<string, string>>;
}

export interface Engine {
  /** Unique among the engines of its node. */
  readonly name: string;
  readonly state: EngineState;
  /** Why it is not up; undefined when it is, or when nothing is known. */
  readonly problem: FlotillaError | undefined;
  /** Undefined while it has no address: an engine process that is not running. */
  readonly target: EngineTarget | undefined;
  /** How much it can do compared with others: 2 gets twice the requests. */
  readonly capacity: number;
  /** Every name under which clients can ask for a model of it, aliases included. */
  readonly models: readonly string[];
  /** What the engine itself calls `model`; undefined when it does not serve it. */
  modelNamed(model: string): string | undefined;
  /** Begins to run and check it. Whether it is up comes by `onChange`. */
  start(): void;
  stop(): Promise<void>;
  /** Its queue and its cache now. Errors: `engine_unreachable`. */
  load(): Promise<EngineLoad>;
}

export interface EngineEvents {
  /** State, models or target changed. */
  readonly onChange?: (engine: Engine) => void;
}
