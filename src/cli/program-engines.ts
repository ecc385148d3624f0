// `flotilla engine`, `flotilla engines` and `flotilla explain` as commander sees them.
import { addCommand, examples } from './command-help.ts';
import { CLI_DEFAULTS } from './defaults.ts';
import { addClientOptions, decimal, endpoint, names, wholeNumber } from './options.ts';
import type { Command } from 'commander';
import type { SimulateFlags } from './command-engine.ts';
import type { ExplainFlags } from './commands-engines.ts';
import type { ClientFlags } from './commands-client.ts';
import type { CliContext } from './context.ts';

export function addEngineCommands(program: Command, context: CliContext): void {
  addSimulate(program, context);
  const engines = addCommand(program, 'engines', 'list the inference engines of a fleet');
  addClientOptions(engines).addHelpText(
    'after',
    examples([
      ['flotilla engines', 'where they are, how they do, what they serve'],
      ['flotilla engines --json', 'for a script'],
    ]),
  );
  engines.action(async (options: ClientFlags) => {
    const { runEngines } = await import('./commands-engines.ts');
    await runEngines(context, options);
  });

  const explain = addCommand(program, 'explain', 'tell which engine a request goes to, and why')
    .requiredOption('--model <name>', 'the model that it asks for')
    .option('--session <text>', 'what the session header says')
    .option('--user <text>', 'the field "user" of the request')
    .option('--prompt <text>', 'the first message of the user');
  addClientOptions(explain).addHelpText(
    'after',
    examples([
      ['flotilla explain --model llama --session chat-7', 'by the name of a conversation'],
      ["flotilla explain --model llama --prompt 'You are a …'", 'by how its prompt begins'],
    ]),
  );
  explain.action(async (options: ExplainFlags) => {
    const { runExplain } = await import('./commands-engines.ts');
    await runExplain(context, options);
  });
}

function addSimulate(program: Command, context: CliContext): void {
  const engine = addCommand(program, 'engine', 'engines for trying things out');
  engine.helpCommand(false).addHelpText(
    'after',
    examples([
      ['flotilla engine simulate', 'answers like vLLM, computes nothing'],
      ['flotilla engine simulate --listen 127.0.0.1:8001 --speed 0.25', 'a straggler'],
    ]),
  );
  const count = wholeNumber(1, CLI_DEFAULTS.maxEngineFigure);
  addCommand(engine, 'simulate', 'run a simulated inference server until Ctrl-C')
    .option('--listen <host:port>', `(default: ${CLI_DEFAULTS.engine})`, endpoint)
    .option('--models <a,b>', 'the names that it serves (default: simulated)', names)
    .option('--speed <x>', 'times as fast as its rates say (default: 1)', decimal)
    .option('--output-tokens <n>', 'of an answer left open (default: 64)', count)
    .option('--block-tokens <n>', 'tokens of a block of its cache (default: 16)', count)
    .option('--cache-blocks <n>', 'blocks of its cache (default: 8192)', count)
    .option('--max-running <n>', 'requests of a batch (default: 32)', count)
    .option('--max-waiting <n>', 'requests that may wait (default: 1024)', count)
    .option('--prefill <n>', 'prompt tokens a second (default: 8000)', decimal)
    .option('--decode <n>', 'tokens a second of one answer (default: 50)', decimal)
    .addHelpText(
      'after',
      examples([
        ['flotilla engine simulate --models llama,qwen', 'at http://127.0.0.1:8000'],
        ['flotilla engine simulate --listen 127.0.0.1:0', 'on a free port, which it prints'],
        ['flotilla engine simulate --cache-blocks 1000', 'with room for 16,000 tokens'],
      ]),
    )
    .action(async (options: SimulateFlags) => {
      const { runSimulate } = await import('./command-engine.ts');
      await runSimulate(context, options);
    });
}
