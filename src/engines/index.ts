export { ENGINE_DEFAULTS, PROCESS_DEFAULTS, SIMULATED_DEFAULTS } from './defaults.ts';
export { ENGINE_ERRORS } from './errors.ts';
export { OpenAiEngine } from './openai-engine.ts';
export { ProcessEngine } from './process-engine.ts';
export { EngineModel } from './simulated/model.ts';
export { startSimulatedEngine } from './simulated/engine.ts';
export type { Engine, EngineEvents, EngineState, EngineTarget } from './engine.ts';
export type { EngineOptions, OpenAiEngineOptions } from './openai-engine.ts';
export type { ProcessEngineComponents, ProcessEngineOptions } from './process-engine.ts';
export type { BackoffOptions } from './restart-backoff.ts';
export type { SimulatedEngine, SimulatedEngineOptions } from './simulated/engine.ts';
export type {
  EngineModelGauges,
  EngineModelOptions,
  EngineRequest,
  Sequence,
} from './simulated/model.ts';
