// Fetches an engine's gauges over HTTP, within a time and a size.
import { FlotillaError, messageOf } from '../../core/index.ts';
import { EngineGauges } from './engine-gauges.ts';
import type { EngineLoad } from '../node-load.ts';

export interface EngineScrapeOptions {
  /** The engine's Prometheus endpoint, for example `http://127.0.0.1:8000/metrics`. */
  readonly url: string;
  /** @default 900 */
  readonly timeoutMs?: number;
}

/** Asks one engine. Rejects with `probe_failed` when it does not answer as it should. */
export function engineScrape({ url, timeoutMs = 900 }: EngineScrapeOptions) {
  const gauges = new EngineGauges();
  return async (): Promise<EngineLoad> => {
    try {
      const response = await fetch(url, { signal: AbortSignal.timeout(timeoutMs) });
      if (!response.ok) throw new Error(`it answers ${response.status}`);
      return gauges.read(await response.text());
    } catch (error) {
      throw new FlotillaError('probe_failed', `${url} gave no gauges: ${messageOf(error)}`, {
        details: { url },
        cause: error,
      });
    }
  };
}
