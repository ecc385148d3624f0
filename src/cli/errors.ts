import type { ErrorCodes } from '../core/index.ts';

export const CLI_ERRORS = {
  usage_invalid: 'An argument of the command line breaks its rule.',
  fleet_unreachable: 'No fleet answers at the URL; the message says how to start one.',
  answer_unexpected: 'What answers at the URL does not answer as a Flotilla node does.',
  training_interrupted: 'The connection ended before the training had a result.',
  node_failed: 'A node process ended before it was ready; the message has its last words.',
} as const satisfies ErrorCodes;
