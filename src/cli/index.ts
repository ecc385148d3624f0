export { CLI_ERRORS } from './errors.ts';
export { runTop } from './command-top.ts';
export { FleetClient } from './fleet-client.ts';
export { loadSummary, loadTable } from './load-table.ts';
export { TrainingView } from './progress.ts';
export { Supervisor } from './supervisor.ts';
export { Terminal } from './terminal.ts';
export type { NodeExit } from './node-process.ts';
