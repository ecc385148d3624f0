// Contestant: one proxy, named by the mode, between the two ends of `ends.c`. The proxy has a core
// of its own, both ends share the other. Its processor time is read from the kernel, for itself and
// for its children, so that it tells what a busy machine does to nobody else.
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { readMode, readWorkload, report, reportUnavailable } from '../harness.ts';
import { programOf } from '../messaging/compile.ts';
import { absenceOf, proxyCommand } from './proxies.ts';
import type { ChildProcess } from 'node:child_process';
import type { GatewayWorkload, ProxyPlace } from './workload.ts';

const here = (file: string) => path.join(import.meta.dirname, file);
const ENDS = programOf(here('ends.c'));
const KINDS = ['json', 'sse'] as const;
const START_TIMEOUT_MS = 60_000;
const WARM_UP_TRIES = 20;
/** Clock ticks of `/proc/PID/stat`; fixed on Linux for user space. */
const TICKS_PER_SECOND = 100;

interface Load {
  readonly done: number;
  readonly failed: number;
  readonly seconds: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

function pinned(core: number, command: readonly string[]): string[] {
  const canPin = process.platform === 'linux' && os.availableParallelism() >= 2;
  return canPin ? ['taskset', '-c', String(core), ...command] : [...command];
}

/** What it says of its own accord is dropped: some tell every failure at length. */
function start(command: readonly string[]): ChildProcess {
  const [program, ...parameters] = command;
  return spawn(program!, parameters, { stdio: ['ignore', 'pipe', 'ignore'] });
}

async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as net.AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

/** Resolves once something listens. */
async function listening(port: number, proxy: ChildProcess): Promise<void> {
  const end = Date.now() + START_TIMEOUT_MS;
  while (Date.now() < end && proxy.exitCode === null) {
    const socket = net.connect(port, '127.0.0.1');
    const isOpen = await new Promise((resolve) => {
      socket.once('connect', () => resolve(true));
      socket.once('error', () => resolve(false));
    });
    socket.destroy();
    if (isOpen) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error('the proxy does not listen');
}

/** The process and its children, of which nginx has one. */
function family(pid: number): number[] {
  const children = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((name) => statOf(Number(name))[1] === String(pid));
  return [pid, ...children.map(Number)];
}

/** Fields of `/proc/PID/stat` from the state on. */
function statOf(pid: number): string[] {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return text.slice(text.lastIndexOf(')') + 2).split(' ');
  } catch {
    return [];
  }
}

function processorSeconds(pid: number): number {
  const ticks = (each: number) => Number(statOf(each)[11] ?? 0) + Number(statOf(each)[12] ?? 0);
  return family(pid).reduce((sum, each) => sum + ticks(each), 0) / TICKS_PER_SECOND;
}

interface LoadOptions {
  readonly connections: number;
  readonly seconds: number;
  readonly kind: (typeof KINDS)[number];
  /** Requests a second; 0: each connection sends its next one as soon as it has an answer. */
  readonly rate: number;
}

type Figures = Record<string, number>;

/** The two ends and the proxy between them. */
class Site {
  readonly #upstreamPort: number;
  readonly #port: number;
  readonly #pid: number;

  constructor({ upstreamPort, port }: ProxyPlace, pid: number) {
    this.#upstreamPort = upstreamPort;
    this.#port = port;
    this.#pid = pid;
  }

  /** Speed and cost, at `connections` at once. */
  speed(options: LoadOptions): { perSecond: number; cpuMicros: number } & Load {
    const before = processorSeconds(this.#pid);
    const load = this.load(options);
    const used = processorSeconds(this.#pid) - before;
    return { ...load, perSecond: load.done / load.seconds, cpuMicros: (used / load.done) * 1e6 };
  }

  /** What the proxy adds to the time of an answer, at an even pace far from what it can do. */
  added(options: LoadOptions): Figures {
    const direct = this.load(options, this.#upstreamPort);
    const proxied = this.load(options);
    if (proxied.done === 0) return {};
    return {
      addedP50Ms: proxied.p50Ms - direct.p50Ms,
      addedP99Ms: proxied.p99Ms - direct.p99Ms,
    };
  }

  /** Until it has answered: on a machine that is busy the first answer may take longer. */
  warmUp(options: LoadOptions): void {
    for (let left = WARM_UP_TRIES; this.load(options).done === 0; left--) {
      if (left === 0) throw new Error('the proxy gives no answer');
    }
  }

  /** Throws `AnswersFailed` when the proxy did not pass on every answer. */
  load({ connections, seconds, kind, rate }: LoadOptions, port = this.#port): Load {
    const parameters = [port, connections, seconds, kind, this.#upstreamPort, rate];
    const [program, ...rest] = pinned(1, [ENDS, 'load', ...parameters.map(String)]);
    const stdio = ['ignore', 'pipe', 'ignore'] as const;
    const text = execFileSync(program!, rest, { encoding: 'utf8', stdio: [...stdio] });
    const load = JSON.parse(text) as Load;
    if (load.failed > 0) throw new AnswersFailed(load);
    return load;
  }
}

class AnswersFailed extends Error {
  constructor({ failed, done }: Load) {
    super(`${failed} of ${done} answers were errors`);
  }
}

function measureKind(site: Site, kind: LoadOptions['kind'], workload: GatewayWorkload): Figures {
  const { connections, warmUpSeconds, seconds, stepSeconds } = workload;
  site.warmUp({ connections, seconds: warmUpSeconds, kind, rate: 0 });
  const speed = site.speed({ connections, seconds, kind, rate: 0 });
  const steps = workload.steps.flatMap((at) => {
    const step = site.speed({ connections: at, seconds: stepSeconds, kind, rate: 0 });
    return step.done === 0 ? [] : [[`${kind}PerSecondAt${at}`, step.perSecond] as const];
  });
  // There are proxies that have answered nothing by then.
  return {
    ...(speed.done > 0 && {
      [`${kind}PerSecond`]: speed.perSecond,
      [`${kind}CpuMicros`]: speed.cpuMicros,
      [`${kind}P50Ms`]: speed.p50Ms,
      [`${kind}P99Ms`]: speed.p99Ms,
    }),
    ...Object.fromEntries(steps),
  };
}

/** A kind that a proxy answers with errors is left out. */
function measure(site: Site, workload: GatewayWorkload): Figures {
  const figures: Figures = {};
  for (const kind of KINDS) {
    try {
      Object.assign(figures, measureKind(site, kind, workload));
    } catch (error) {
      if (!(error instanceof AnswersFailed)) throw error;
      process.stderr.write(`${readMode()}, ${kind}: ${error.message}\n`);
    }
  }
  const { connections, seconds, rate } = workload;
  const added = site.added({ connections, seconds, kind: 'json', rate });
  return { ...figures, ...added };
}

async function main(): Promise<void> {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'flotilla-proxy-'));
  const backend = start(pinned(1, [ENDS, 'backend', '0']));
  const children = [backend];
  try {
    const [line] = (await once(backend.stdout!, 'data')) as [Buffer];
    const place = { folder, port: await freePort(), upstreamPort: Number(line.toString()) };
    const proxy = start(pinned(0, proxyCommand(readMode(), place)));
    proxy.stdout!.resume();
    children.push(proxy);
    await listening(place.port, proxy);
    report(measure(new Site(place, proxy.pid!), readWorkload<GatewayWorkload>()));
  } catch (error) {
    if (!(error instanceof AnswersFailed)) throw error;
    reportUnavailable(error.message);
  } finally {
    for (const child of children) child.kill('SIGTERM');
    await Promise.all(children.map((child) => child.exitCode ?? once(child, 'exit')));
    rmSync(folder, { recursive: true });
  }
}

const absence = absenceOf(readMode());
if (absence === undefined) await main();
else reportUnavailable(absence);
