// `flotilla train`: reads a graph here, sends it to a fleet, and shows what the training says.
import { FlotillaError } from '../core/index.ts';
import { listenForInterrupts } from './context.ts';
import { EXIT } from './report-error.ts';
import { FleetClient } from './fleet-client.ts';
import { loadData, modelNameOf, uploadOf } from './graph-data.ts';
import { TrainingView } from './progress.ts';
import type { Graph, ResultEvent } from '../training/index.ts';
import type { CliContext } from './context.ts';
import type { ClientFlags } from './commands-client.ts';

export type TrainerOptions = Readonly<Record<string, string | number>>;

export interface TrainFlags extends ClientFlags {
  /** A file or folder; WordNet without it. */
  readonly data?: string;
  readonly name?: string;
}

export async function runTrain(
  context: CliContext,
  flags: TrainFlags,
  options: TrainerOptions,
): Promise<void> {
  const client = new FleetClient(flags.url);
  using interrupts = listenForInterrupts(() => process.exit(EXIT.interrupted));
  // With --json, standard output belongs to the events.
  const terminal = flags.json ? context.err : context.out;
  const graph = await loadData({ terminal, clock: context.clock }, flags.data);
  const name = flags.name ?? modelNameOf(flags.data);
  const job = { graph, name, options, signal: interrupts.signal };
  await sendTraining(context, client, { ...job, json: flags.json === true });
}

export interface TrainingJob {
  readonly graph: Graph;
  readonly name: string;
  readonly options: TrainerOptions;
  readonly signal: AbortSignal;
  /** Events as JSON lines instead of a view for people. */
  readonly json?: boolean;
}

/** Trains and shows it. Errors: those of the fleet; `cancelled` when the signal aborts. */
export async function sendTraining(
  { out, clock }: CliContext,
  client: FleetClient,
  { graph, name, options, signal, json = false }: TrainingJob,
): Promise<ResultEvent> {
  const view = new TrainingView({ terminal: out, clock });
  const upload = uploadOf(graph, name, options);
  try {
    for await (const event of client.train({ ...upload, signal })) {
      if (json) out.line(JSON.stringify(event));
      else view.show(event);
      if (event.type === 'result') return event;
    }
  } finally {
    view.end();
  }
  throw new FlotillaError('training_interrupted', 'the training ended without a result');
}
