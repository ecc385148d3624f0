// Serves the training jobs that other nodes, or this one, give to this node. A job ends with its
// trainer: when the node that runs it is gone, so is the job.
import { FlotillaError } from '../core/index.ts';
import { TrainingJob } from './job.ts';
import { BODIES, parseBody, PROCEDURES } from './messages.ts';
import type { Logger } from '../core/index.ts';
import type { Payload, RpcHost } from '../peer/index.ts';
import type { JobComponents } from './job.ts';

/** A node's end of its RPC connections, and the news of those that ended. */
export interface JobHost extends RpcHost {
  onDisconnect(listener: (peer: { readonly name: string }) => void): void;
}

export interface WorkerComponents extends JobComponents {
  readonly host: JobHost;
  readonly log: Logger;
}

const DONE: Payload = { body: {} };

export class TrainingWorker {
  readonly #components: WorkerComponents;
  readonly #jobs = new Map<string, { readonly job: TrainingJob; readonly trainer: string }>();

  constructor(components: WorkerComponents) {
    this.#components = components;
  }

  /** Registers the procedures. */
  start(): void {
    const { host } = this.#components;
    host.handle(PROCEDURES.open, ({ body }, { peer }) => {
      const spec = parseBody(BODIES.open, body);
      this.#jobs.set(spec.job, { job: new TrainingJob(this.#components, spec), trainer: peer });
      return DONE;
    });
    host.handle(PROCEDURES.load, ({ body, bytes }) => {
      const { job, section, offset } = parseBody(BODIES.load, body);
      this.#job(job).load(section, offset, bytes ?? new Uint8Array(0));
      return DONE;
    });
    host.handle(PROCEDURES.start, async ({ body }) => {
      await this.#job(parseBody(BODIES.job, body).job).start();
      return DONE;
    });
    host.handle(PROCEDURES.run, async ({ body }) => {
      const chunk = parseBody(BODIES.run, body);
      return { body: await this.#job(chunk.job).run(chunk) };
    });
    host.handle(PROCEDURES.close, async ({ body }) => {
      await this.#close(parseBody(BODIES.job, body).job);
      return DONE;
    });
    host.onDisconnect(({ name }) => void this.#closeWhere((trainer) => trainer === name));
  }

  /** Closes all jobs. */
  async stop(): Promise<void> {
    await this.#closeWhere(() => true);
  }

  #job(id: string): TrainingJob {
    const held = this.#jobs.get(id);
    if (held !== undefined) return held.job;
    const { name } = this.#components.host;
    throw new FlotillaError('job_unknown', `${name} has no training job ${id}`, {
      details: { job: id, node: name },
    });
  }

  async #close(id: string): Promise<void> {
    const held = this.#jobs.get(id);
    this.#jobs.delete(id);
    try {
      await held?.job.close();
    } catch (err) {
      this.#components.log.warn({ err, job: id }, 'closing a training job failed');
    }
  }

  async #closeWhere(matches: (trainer: string) => boolean): Promise<void> {
    const ids = [...this.#jobs].filter(([, { trainer }]) => matches(trainer)).map(([id]) => id);
    await Promise.all(ids.map((id) => this.#close(id)));
  }
}
