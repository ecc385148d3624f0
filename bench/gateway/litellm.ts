// Peer: LiteLLM's proxy with one worker, the backend as a provider that speaks OpenAI's protocol.
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import type { ProxyPlace } from './workload.ts';

/** Writes the configuration and gives the command line. */
export function litellmCommand({ folder, port, upstreamPort }: ProxyPlace): string[] {
  const file = path.join(folder, 'litellm.yaml');
  writeFileSync(
    file,
    `model_list:
  - model_name: m
    litellm_params:
      model: openai/m
      api_base: http://127.0.0.1:${upstreamPort}/v1
      api_key: none
litellm_settings:
  set_verbose: false
general_settings:
  dangerously_permit_weak_or_unset_master_key: true
`,
  );
  return ['litellm', '--config', file, '--host', '127.0.0.1', '--port', String(port)];
}
