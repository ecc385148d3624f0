import type { ErrorCodes } from '../core/index.ts';

export const NODE_ERRORS = {
  config_invalid: 'The configuration breaks a rule; the message names the option and the rule.',
  token_required: 'The node has no certificate yet and was given no join token.',
  directory_in_use: 'Another node runs in the data directory; the message names it.',
  member_unknown: 'No member of the fleet has the name.',
} as const satisfies ErrorCodes;
