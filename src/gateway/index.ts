export { GATEWAY_DEFAULTS } from './defaults.ts';
export { EngineDirectory, stampOf } from './engines/engine-directory.ts';
export { EngineService } from './engines/engine-service.ts';
export { LocalEngines } from './engines/local-engines.ts';
export { GATEWAY_ERRORS } from './errors.ts';
export { Gateway } from './gateway.ts';
export { Tracer } from './tracing/tracer.ts';
export type {
  CoordinatorView,
  Embedded,
  EngineView,
  GatewayComponents,
  KeyControl,
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
export type { EngineDirectoryComponents, EngineInfo } from './engines/engine-directory.ts';
export type { EngineDescription, LocalEngine } from './engines/local-engines.ts';
export type { InferenceOptions } from './proxy/inference.ts';
export type { TracerComponents, TracingCounters, TracingOptions } from './tracing/tracer.ts';
