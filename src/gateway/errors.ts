import type { ErrorCodes } from '../core/index.ts';

export const GATEWAY_ERRORS = {
  port_in_use: 'Another program listens on the address; the message names it.',
  listen_failed: 'The address cannot be listened on: it is not this machine’s, or not permitted.',
  body_malformed: 'The request body is not valid JSON, or not valid gzip.',
  request_invalid:
    'A field of the request breaks its rule; the message names field, rule and value.',
  body_too_large: 'The request body is over the limit of the route.',
  content_type_unsupported: 'The route does not read bodies of this content type.',
  route_unknown: 'No route of this server has the path.',
  method_not_allowed: 'The path exists, but not for this HTTP method.',
  model_unknown: 'No model has the name, or none was trained yet.',
  training_busy: 'A training of this model is already running.',
  operator_required: 'The route is for operators: ask from a machine, and in a way, that they use.',
  engine_unavailable: 'No engine that serves the model takes requests now; retry soon.',
  engine_broke_off: 'The engine’s answer ended before it was whole; in a stream its last event.',
  gateway_stopped: 'The node is stopping; ask another node.',
} as const satisfies ErrorCodes;
