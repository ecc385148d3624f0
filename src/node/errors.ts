import type { ErrorCodes } from '../core/index.ts';

export const NODE_ERRORS = {
  config_invalid: 'The configuration breaks a rule; the message names the option and the rule.',
  token_required: 'The node has no certificate yet and was given no join token.',
} as const satisfies ErrorCodes;
