// `flotilla engine simulate`: an inference server that computes nothing, in the foreground.
import { startSimulatedEngine } from '../engines/index.ts';
import { listenForInterrupts } from './context.ts';
import { EXIT } from './report-error.ts';
import type { CliContext } from './context.ts';

export interface SimulateFlags {
  readonly listen?: { readonly host: string; readonly port: number };
  readonly models?: readonly string[];
  readonly speed?: number;
  readonly outputTokens?: number;
  readonly blockTokens?: number;
  readonly cacheBlocks?: number;
  readonly maxRunning?: number;
  readonly maxWaiting?: number;
  readonly prefill?: number;
  readonly decode?: number;
}

/** Until Ctrl-C. Errors: `engine_listen_failed`, `invalid_option`. */
export async function runSimulate(
  { out, clock }: CliContext,
  { listen, prefill, decode, ...options }: SimulateFlags,
): Promise<void> {
  using interrupts = listenForInterrupts(() => process.exit(EXIT.interrupted));
  const stopped = Promise.withResolvers<void>();
  interrupts.signal.addEventListener('abort', () => stopped.resolve());
  await using engine = await startSimulatedEngine(
    { clock },
    {
      ...options,
      ...listen,
      ...(prefill !== undefined && { prefillTokensPerSecond: prefill }),
      ...(decode !== undefined && { decodeTokensPerSecond: decode }),
    },
  );
  out.line(`a simulated engine answers at ${engine.url}; Ctrl-C stops it`);
  await stopped.promise;
}
