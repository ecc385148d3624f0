// `flotilla key` as commander sees it.
import { addCommand, examples } from './command-help.ts';
import { CLI_DEFAULTS } from './defaults.ts';
import { addClientOptions, names, wholeNumber } from './options.ts';
import type { Command } from 'commander';
import type { KeyFlags } from './command-key.ts';
import type { ClientFlags } from './commands-client.ts';
import type { CliContext } from './context.ts';

export function addKeyCommands(program: Command, context: CliContext): void {
  const key = addCommand(program, 'key', 'make, list and revoke the API keys of clients');
  key.helpCommand(false).addHelpText(
    'after',
    examples([
      ['flotilla key create app', 'prints a key: from now on every client needs one'],
      ['flotilla key create batch --rpm 60 --tpm 100000', 'with limits per minute'],
      ['flotilla key create demo --models llama-8b', 'for one model only'],
      ['flotilla key list', 'ids, names, limits; never the keys'],
      ['flotilla key revoke 3f9a12c04b7e', 'by id: no node takes it any more'],
    ]),
  );
  const limit = wholeNumber(1, CLI_DEFAULTS.maxKeyLimit);
  addClientOptions(addCommand(key, 'create', 'print a new API key, which is shown only once'))
    .argument('<name>', 'whose it is; for people')
    .option('--models <a,b>', 'the models it is for (default: all)', names)
    .option('--rpm <n>', 'requests per minute (default: no limit)', limit)
    .option('--tpm <n>', 'tokens per minute, of prompts and answers (default: no limit)', limit)
    .option('--concurrency <n>', 'requests that run at once (default: no limit)', limit)
    .action(async (name: string, options: KeyFlags) => {
      const { runKeyCreate } = await import('./command-key.ts');
      await runKeyCreate(context, name, options);
    });
  addClientOptions(addCommand(key, 'list', 'list the API keys: id, name, age, limits')).action(
    async (options: ClientFlags) => {
      const { runKeyList } = await import('./command-key.ts');
      await runKeyList(context, options);
    },
  );
  addClientOptions(addCommand(key, 'revoke', 'end an API key'))
    .argument('<id>', 'as "flotilla key list" shows it')
    .action(async (id: string, options: ClientFlags) => {
      const { runKeyRevoke } = await import('./command-key.ts');
      await runKeyRevoke(context, id, options);
    });
}
