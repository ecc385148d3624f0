export { CLI_ERRORS } from './errors.ts';
export { FleetClient } from './fleet-client.ts';
export { TrainingView } from './progress.ts';
export { Supervisor } from './supervisor.ts';
export { Terminal } from './terminal.ts';
export type { NodeExit } from './node-process.ts';
