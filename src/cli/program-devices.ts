// `flotilla devices` as commander sees it.
import { addCommand, examples } from './command-help.ts';
import { addClientOptions } from './options.ts';
import type { Command } from 'commander';
import type { ClientFlags } from './commands-client.ts';
import type { CliContext } from './context.ts';

export function addDeviceCommand(program: Command, context: CliContext): void {
  const devices = addCommand(
    program,
    'devices',
    'show what computes, how busy it is, what is missing',
  );
  addClientOptions(devices.argument('[node]', 'only of this node')).addHelpText(
    'after',
    examples([
      ['flotilla devices', 'of all nodes; this opens none of them'],
      ['flotilla devices node-1 --json', 'of one, for a script'],
    ]),
  );
  devices.action(async (node: string | undefined, options: ClientFlags) => {
    const { runDevices } = await import('./commands-devices.ts');
    await runDevices(context, node, options);
  });
}
