// `flotilla up`: a fleet on this machine from one command. It founds the nodes, trains the model
// unless it is there already, shows what was learnt, and serves until Ctrl-C.
import { FlotillaError } from '../core/index.ts';
import { loadConfigFile } from './config-file.ts';
import { abortable, listenForInterrupts } from './context.ts';
import { CLI_DEFAULTS } from './defaults.ts';
import { FleetClient } from './fleet-client.ts';
import { checkDataExists, loadData, modelNameOf } from './graph-data.ts';
import { EXIT, errorLine } from './report-error.ts';
import { sendTraining } from './command-train.ts';
import {
  chooseExamples,
  curlLines,
  loadExamples,
  saveExamples,
  showAnswers,
  showStoredFigures,
} from './showcase.ts';
import { Supervisor } from './supervisor.ts';
import { formatSeconds, formatTable, plural } from './text.ts';
import type { FlotillaConfig } from '../node/index.ts';
import type { TrainerOptions } from './command-train.ts';
import type { CliContext } from './context.ts';
import type { ReadyMessage } from './node-messages.ts';
import type { ModelBody } from './showcase.ts';
import type { SupervisorOptions } from './supervisor.ts';

export interface UpFlags {
  readonly nodes: number;
  readonly data?: string;
  readonly name?: string;
  readonly host?: string;
  readonly port?: number;
  readonly peerPort?: number;
  readonly dataDir?: string;
  readonly config?: string;
  /** False with --no-train. */
  readonly train: boolean;
}

/** Resolves after Ctrl-C, when every node has stopped. */
export async function runUp(
  context: CliContext,
  flags: UpFlags,
  training: TrainerOptions,
): Promise<void> {
  if (flags.data !== undefined) await checkDataExists(flags.data);
  const { config, file } = await loadConfigFile(flags.config);
  const options = supervisorOptions(context, flags, config);
  const lost = new LostNodes(context, options.nodes);
  const supervisor = new Supervisor(
    { clock: context.clock, onLost: (name, exit) => lost.add(name, exit) },
    file === undefined ? options : { ...options, nodeArgs: ['--config', file] },
  );
  using interrupts = listenForInterrupts(() => {
    supervisor.kill();
    process.exit(EXIT.interrupted);
  });
  const signal = AbortSignal.any([interrupts.signal, lost.all]);
  const up = { context, flags, training, signal, dataDir: options.dataDir };
  try {
    const nodes = await found(up, supervisor, options);
    if (flags.train) await teach(up, nodes, lost);
    context.out.line(`\nserving until Ctrl-C; everything is kept in ${options.dataDir}`);
    await abortable(new Promise<never>(() => {}), signal);
  } catch (error) {
    if (!interrupts.signal.aborted) throw error;
    context.out.line('stopping');
  } finally {
    await supervisor.stop();
  }
}

interface Up {
  readonly context: CliContext;
  readonly flags: UpFlags;
  readonly training: TrainerOptions;
  readonly signal: AbortSignal;
  readonly dataDir: string;
}

/** Tells of nodes that ended by themselves; when none is left, there is nothing to serve. */
class LostNodes {
  readonly all: AbortSignal;
  readonly #controller = new AbortController();
  readonly #context: CliContext;
  readonly #nodes: number;
  #count = 0;

  constructor(context: CliContext, nodes: number) {
    this.all = this.#controller.signal;
    this.#context = context;
    this.#nodes = nodes;
  }

  get any(): boolean {
    return this.#count > 0;
  }

  add(name: string, { how, lastWords }: { how: string; lastWords: string }): void {
    this.#count += 1;
    const words = lastWords === '' ? '' : `: ${lastWords}`;
    const others = this.#nodes - this.#count;
    const rest = others === 0 ? 'no node is left' : `${plural(others, 'node')} left`;
    // A node ends in good order when it was asked to leave the fleet.
    const end = how === 'exit code 0' ? 'has left the fleet' : `ended unexpectedly (${how})`;
    this.#context.err.line(`flotilla: ${name} ${end}${words}; ${rest}`);
    if (others > 0) return;
    this.#controller.abort(new FlotillaError('node_failed', 'every node has ended'));
  }
}

function supervisorOptions(
  context: CliContext,
  flags: UpFlags,
  config: FlotillaConfig,
): SupervisorOptions {
  const http = config.http === false ? undefined : config.http;
  return {
    entry: context.entry,
    env: context.env,
    nodes: flags.nodes,
    dataDir: flags.dataDir ?? config.dataDir ?? CLI_DEFAULTS.dataDir,
    host: flags.host ?? http?.host ?? CLI_DEFAULTS.host,
    httpPort: flags.port ?? http?.port ?? CLI_DEFAULTS.httpPort,
    peerPort: flags.peerPort ?? config.listen?.port ?? CLI_DEFAULTS.peerPort,
  };
}

async function found(
  { context: { out, clock }, dataDir, signal }: Up,
  supervisor: Supervisor,
  { nodes }: SupervisorOptions,
): Promise<ReadyMessage[]> {
  const startedMs = clock.now();
  await supervisor.check();
  out.line(`starting a fleet of ${plural(nodes, 'node')} in ${dataDir}`);
  const ready = await abortable(supervisor.start(), signal);
  const rows = ready.map(({ name, address, httpUrl = '' }) => [`  ${name}`, httpUrl, address]);
  for (const line of formatTable(rows)) out.line(line);
  const seconds = formatSeconds((clock.now() - startedMs) / 1000);
  out.line(`the fleet stands after ${seconds}: ${out.style('bold', urlOf(ready))}`);
  return ready;
}

function urlOf(nodes: readonly ReadyMessage[]): string {
  return nodes.find(({ httpUrl }) => httpUrl !== undefined)?.httpUrl ?? '';
}

/** Trains the model, or finds it trained, and shows it. A lost node must not end the others. */
async function teach(up: Up, nodes: readonly ReadyMessage[], lost: LostNodes): Promise<void> {
  const { context, flags, signal } = up;
  try {
    await trainAndShow(up, urlOf(nodes), flags.name ?? modelNameOf(flags.data));
  } catch (error) {
    if (signal.aborted || !lost.any) throw error;
    const line = errorLine(error);
    if (line !== undefined) context.err.line(line);
  }
}

async function trainAndShow(up: Up, url: string, name: string): Promise<void> {
  const { context, flags, training: options, signal, dataDir } = up;
  const { out } = context;
  const client = new FleetClient(url);
  const { data: models } = await client.get<{ data: ModelBody[] }>('/v1/models');
  const model = models.find(({ id }) => id === name);
  let examples = loadExamples(dataDir, name);
  if (model?.status === 'ready') {
    showStoredFigures(out, model);
  } else {
    const graph = await loadData({ terminal: out, clock: context.clock }, flags.data);
    await sendTraining(context, client, { graph, name, options, signal });
    examples = chooseExamples(graph);
    saveExamples(dataDir, name, examples);
  }
  await showAnswers(out, client, { model: name, examples });
  out.line(out.style('bold', '\ntry'));
  const others = models.some(({ id }) => id !== name);
  for (const line of curlLines(url, examples, others ? name : undefined)) out.line(`  ${line}`);
}
