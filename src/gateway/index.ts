export { GATEWAY_DEFAULTS } from './defaults.ts';
export { GATEWAY_ERRORS } from './errors.ts';
export { Gateway } from './gateway.ts';
export type {
  CoordinatorView,
  Embedded,
  GatewayComponents,
  LaneCounters,
  LoadView,
  MemberControl,
  MemberInfo,
  ModelCatalogue,
  ModelInfo,
  QuicCounters,
  Scored,
  TrainingControl,
  TrainingEvent,
  TrainingService,
} from './components.ts';
export type { GatewayOptions } from './gateway.ts';
export type { LaneSummary, LoadReport, NodeLoadReport } from './load-report.ts';
