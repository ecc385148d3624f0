import type { ErrorCodes } from '../core/index.ts';

export const ROUTING_ERRORS = {
  too_many_endpoints: 'The router knows as many endpoints as it can; remove one first.',
  endpoint_invalid: 'An endpoint breaks a rule; the message names the field and the rule.',
} as const satisfies ErrorCodes;
