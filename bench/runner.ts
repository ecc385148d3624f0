// Runs one bench: contestants take turns in fresh processes; figures become medians, medians become
// ratios. What a bench consists of is in `harness.ts`, how its outcome is shown in `run.ts`.
import { spawn } from 'node:child_process';
import os from 'node:os';
import { digestOf, median } from './harness.ts';
import type { Bench, Contestant, Figure, Ratio, Workload } from './harness.ts';

const DEFAULT_ROUNDS = 5;
const DEFAULT_TIMEOUT_MS = 120_000;
const MAX_OUTPUT_CHARACTERS = 1_000_000;

/** What the last line of a contestant's output says. */
interface Line {
  readonly figures?: Readonly<Record<string, number>>;
  readonly input?: string;
  readonly unavailable?: string;
}

export interface RatioOutcome extends Ratio {
  readonly id: string;
  /** A number, or the reason why there is none. */
  readonly value: number | string;
  readonly reached: boolean;
}

export interface Outcome {
  readonly workload: string;
  readonly machine: string;
  readonly rounds: number;
  readonly medians: Readonly<Record<string, Readonly<Record<string, number>>>>;
  readonly ratios: readonly RatioOutcome[];
}

/** The machine in one line, without its name. */
export function machineLine(): string {
  const cpus = os.cpus();
  const memoryGib = Math.round(os.totalmem() / 2 ** 30);
  const runtime = `Node ${process.version}, ${os.platform()} ${os.arch()}`;
  const model = cpus[0]?.model.trim() ?? 'unknown CPU';
  return `${model}, ${cpus.length} cores, ${memoryGib} GiB, ${runtime}`;
}

/** Runs all rounds. Rejects when a contestant fails; one that cannot take part is no failure. */
export async function runBench(
  bench: Bench,
  options: { quick: boolean; onRun?: (contestant: string, round: number) => void },
): Promise<Outcome> {
  const workload = options.quick ? bench.quickWorkload : bench.workload;
  const rounds = options.quick ? 1 : (bench.rounds ?? DEFAULT_ROUNDS);
  const absent = new Map<string, string>();
  const samples = new Map<string, Map<string, number[]>>();
  const inputs = new Map<string, string>();

  for (const contestant of bench.contestants) {
    const reason = await contestant.prepare?.();
    if (reason !== undefined) absent.set(contestant.name, reason);
  }
  for (let round = 1; round <= rounds; round++) {
    for (const contestant of bench.contestants) {
      if (absent.has(contestant.name)) continue;
      options.onRun?.(contestant.name, round);
      const line = await runOnce(contestant, workload, bench.timeoutMs ?? DEFAULT_TIMEOUT_MS);
      if (line.unavailable !== undefined) {
        absent.set(contestant.name, line.unavailable);
        samples.delete(contestant.name);
        continue;
      }
      if (line.input !== undefined) inputs.set(contestant.name, line.input);
      collect(samples, contestant.name, line.figures ?? {});
    }
  }
  const distinct = [...new Set(inputs.values())];
  if (distinct.length > 1) {
    throw new Error(`contestants worked on different data: ${JSON.stringify([...inputs])}`);
  }
  const medians = mediansOf(samples);
  return {
    workload: digestOf(JSON.stringify({ bench: bench.name, workload, input: distinct[0] ?? null })),
    machine: machineLine(),
    rounds,
    medians,
    ratios: Object.entries(bench.ratios).map(([id, ratio]) => judge(id, ratio, medians, absent)),
  };
}

function collect(
  samples: Map<string, Map<string, number[]>>,
  contestant: string,
  figures: Readonly<Record<string, number>>,
): void {
  const own = samples.get(contestant) ?? new Map<string, number[]>();
  samples.set(contestant, own);
  for (const [figure, value] of Object.entries(figures)) {
    const values = own.get(figure);
    if (values === undefined) own.set(figure, [value]);
    else values.push(value);
  }
}

function mediansOf(samples: Map<string, Map<string, number[]>>): Outcome['medians'] {
  return Object.fromEntries(
    [...samples].map(([contestant, figures]) => [
      contestant,
      Object.fromEntries([...figures].map(([name, values]) => [name, median(values)])),
    ]),
  );
}

function judge(
  id: string,
  ratio: Ratio,
  medians: Outcome['medians'],
  absent: ReadonlyMap<string, string>,
): RatioOutcome {
  const read = ([contestant, figure]: Figure): number | string => {
    const reason = absent.get(contestant);
    if (reason !== undefined) return `not measured: ${contestant}: ${reason}`;
    const value = medians[contestant]?.[figure];
    if (value !== undefined) return value;
    throw new Error(`${id} needs the figure ${contestant}.${figure}, which nobody reported`);
  };
  const of = read(ratio.of);
  const over = ratio.over === undefined ? 1 : read(ratio.over);
  if (typeof of === 'string') return { ...ratio, id, value: of, reached: false };
  if (typeof over === 'string') return { ...ratio, id, value: over, reached: false };
  const value = of / over;
  const { target } = ratio;
  const reached = 'atLeast' in target ? value >= target.atLeast : value <= target.atMost;
  return { ...ratio, id, value, reached };
}

function runOnce(contestant: Contestant, workload: Workload, timeoutMs: number): Promise<Line> {
  const [program = '', ...args] = contestant.command(workload);
  const fail = (what: string, output = '') =>
    new Error(`contestant ${contestant.name} ${what}${output && `:\n${output.trim()}`}`);
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      env: { ...process.env, ...contestant.environment },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    // Not spawn's own timeout: that one keeps this process alive when the start fails.
    const limit = setTimeout(() => child.kill('SIGKILL'), timeoutMs);
    let output = '';
    let complaints = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output = (output + text).slice(-MAX_OUTPUT_CHARACTERS);
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      complaints = (complaints + text).slice(-MAX_OUTPUT_CHARACTERS);
    });
    child.on('error', (error: NodeJS.ErrnoException) => {
      clearTimeout(limit);
      if (error.code === 'ENOENT') resolve({ unavailable: `${program} is not installed` });
      else reject(error);
    });
    child.on('close', (code, signal) => {
      clearTimeout(limit);
      if (signal !== null)
        reject(fail(`was ended by ${signal} (limit ${timeoutMs} ms)`, complaints));
      else if (code !== 0) reject(fail(`ended with status ${code}`, complaints));
      else {
        const line = parseLine(output);
        if (line !== undefined) resolve(line);
        else reject(fail('did not end with a line of figures', output));
      }
    });
  });
}

/** The last line of `output` when it has the agreed shape. */
function parseLine(output: string): Line | undefined {
  const last = output.trimEnd().split('\n').at(-1) ?? '';
  let line: unknown;
  try {
    line = JSON.parse(last);
  } catch {
    return undefined;
  }
  if (typeof line !== 'object' || line === null) return undefined;
  const { figures, unavailable, input } = line as Record<string, unknown>;
  if (typeof unavailable === 'string') return { unavailable };
  if (typeof figures !== 'object' || figures === null) return undefined;
  if (!Object.values(figures).every((value) => Number.isFinite(value))) return undefined;
  return {
    figures: figures as Record<string, number>,
    ...(typeof input === 'string' && { input }),
  };
}
