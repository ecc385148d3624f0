// What an answer says of its route, in one header.
import type { Choice, PolicyName } from './endpoint.ts';

/** The value of `x-flotilla-route`: `<endpoint>; policy=…; reason=…; key=…; of=…; cached=…/…`. */
export function routeHeader(choice: Choice, policy: PolicyName): string {
  const { endpoint, reason, keyKind, candidates, promptTokens, cachedTokens } = choice;
  const tokens = promptTokens > 0 ? `; cached=${cachedTokens}/${promptTokens}` : '';
  const route = `policy=${policy}; reason=${reason}; key=${keyKind}; of=${candidates}`;
  return `${endpoint.id}; ${route}${tokens}`;
}
