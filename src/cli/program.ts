// The command line as commander sees it: commands, options, help that teaches by example. What a
// command does is in its own file and loaded when it is called, so that asking is quick.
import { Command } from 'commander';
import { CLI_DEFAULTS } from './defaults.ts';
import { addCommand, examples } from './command-help.ts';
import {
  addClientOptions,
  addTrainingOptions,
  addUrlOption,
  duration,
  endpoint,
  endpointOrOff,
  port,
  storeChoice,
  trainingOptionsOf,
  wholeNumber,
} from './options.ts';
import { addDeviceCommand } from './program-devices.ts';
import { addEngineCommands } from './program-engines.ts';
import { addKeyCommands } from './program-keys.ts';
import { oneLine } from './report-error.ts';
import type { AskFlags, ClientFlags } from './commands-client.ts';
import type { Argument } from 'commander';
import type { NodeFlags } from './command-node.ts';
import type { AuthorityFlags, TokenFlags, TokenListFlags } from './command-token.ts';
import type { DrainFlags } from './commands-members.ts';
import type { ShardsFlags } from './commands-shards.ts';
import type { TopFlags } from './command-top.ts';
import type { TrainFlags } from './command-train.ts';
import type { UpFlags } from './command-up.ts';
import type { CliContext } from './context.ts';
import type { ParsedOptions } from './options.ts';

const { httpPort, k, maxNodes, nodes, peerPort, dataDir } = CLI_DEFAULTS;
const CONFIG_OPTION = ['--config <file>', 'configuration (default: ./flotilla.config.ts)'] as const;

/** Parsed and run by `parseAsync`; every failure is thrown. */
export function createProgram(context: CliContext): Command {
  const program = new Command('flotilla')
    .description('One fleet out of many machines: found it, train on it, ask it.')
    .helpOption('-h, --help', 'show help')
    .helpCommand(false)
    .option('--verbose', 'show what lies behind an error');
  program.configureOutput({
    writeOut: (text) => context.out.line(text.trimEnd()),
    writeErr: (text) => context.err.line(text.trimEnd()),
    outputError: (text, write) => write(`flotilla: ${oneLine(text.replace(/^error: /, ''))}`),
  });
  program.configureHelp({
    subcommandTerm: (command) =>
      [command.name(), ...command.registeredArguments.map(argumentTerm)].join(' '),
  });
  program.exitOverride();
  addUp(program, context);
  addNodeCommands(program, context);
  addIdentityCommands(program, context);
  addClusterCommands(program, context);
  addLoadCommands(program, context);
  addMemberCommands(program, context);
  addDeviceCommand(program, context);
  addEngineCommands(program, context);
  addKeyCommands(program, context);
  addModelCommands(program, context);
  return program.addHelpText(
    'after',
    examples([
      ['flotilla up', 'three nodes, trained on WordNet, at :8080'],
      ['flotilla up --data graph.tsv', 'your own graph: TSV, CSV, N-Triples, .gz'],
      ['flotilla status', 'who is there, and how it does'],
      ['flotilla top', 'how loaded every node is, each second'],
      ['flotilla neighbors dog', 'what the model holds to be near'],
      ['flotilla complete dog hypernym', 'what the model believes a dog is'],
    ]),
  );
}

function argumentTerm(argument: Argument): string {
  return argument.required ? `<${argument.name()}>` : `[${argument.name()}]`;
}

function addUp(program: Command, context: CliContext): void {
  const command = addCommand(program, 'up', 'found a fleet on this machine, train it, serve it')
    .option('--nodes <n>', 'node processes', wholeNumber(1, maxNodes), nodes)
    .option('--data <path>', 'graph file or folder (default: WordNet)')
    .option('--name <model>', 'the model (default: the name of the data)')
    .option('--host <address>', `where to listen (default: ${CLI_DEFAULTS.host})`)
    .option('--port <n>', `HTTP of the first node, next ones above (default: ${httpPort})`, port)
    .option('--peer-port <n>', `peers of the first node (default: ${peerPort})`, port)
    .option('--data-dir <dir>', `where everything is kept (default: ${dataDir})`)
    .option(...CONFIG_OPTION)
    .option('--no-train', 'found the fleet only');
  addTrainingOptions(command).addHelpText(
    'after',
    examples([
      ['flotilla up', 'WordNet on three nodes; Ctrl-C stops, the next start finds it trained'],
      ['flotilla up --data graph.tsv --epochs 50', 'lines of head<TAB>relation<TAB>tail'],
      ['flotilla up --data folder', 'with train.tsv, valid.tsv and test.tsv in it'],
      ['flotilla up --nodes 5 --no-train', 'a fleet to work with'],
      ['flotilla up --port 9080 --peer-port 9400', 'when others use the ports'],
    ]),
  );
  command.action(async (options: UpFlags & ParsedOptions) => {
    const { runUp } = await import('./command-up.ts');
    await runUp(context, options, trainingOptionsOf(options));
  });
}

function addNodeCommands(program: Command, context: CliContext): void {
  const addNodeOptions = (command: Command) =>
    command
      .option('--name <name>', 'unique in the fleet (default: this machine’s)')
      .option('--data-dir <dir>', `where the node keeps all it has (default: ${dataDir}/NAME)`)
      .option('--listen <host:port>', `for peers (default: 127.0.0.1:${peerPort})`, endpoint)
      .option(
        '--http <host:port|off>',
        `for clients (default: 127.0.0.1:${httpPort})`,
        endpointOrOff,
      )
      .option(
        '--store <where>',
        'etcd://HOST:PORT,… on every node (default: embedded)',
        storeChoice,
      )
      .option('--no-engines', 'without the engines of the configuration')
      .option(...CONFIG_OPTION);

  const node = addCommand(program, 'node', 'run one node in the foreground')
    .option('--found', 'found a fleet, or start its founder again')
    .option('--join <host:port...>', 'join through any of these nodes')
    .option(
      '--token <token>',
      'join token; "-" reads it from standard input (env: FLOTILLA_TOKEN)',
    );
  addNodeOptions(node).addHelpText(
    'after',
    examples([
      ['flotilla node --found --name node-0 --listen 10.0.0.1:7400', 'the first machine'],
      ['flotilla node --join 10.0.0.1:7400', 'another, once it has its certificate'],
    ]),
  );
  node.action(async (options: NodeFlags) => {
    const { runNode } = await import('./command-node.ts');
    await runNode(context, options);
  });

  const join = addCommand(program, 'join', 'join a fleet with this machine')
    .argument('<host:port>', 'where any node of the fleet listens for peers')
    .option('--token <token>', '"-" reads it from standard input (env: FLOTILLA_TOKEN)');
  addNodeOptions(join).addHelpText(
    'after',
    examples([
      ['flotilla token', 'on the founder: prints a token'],
      ['flotilla join 10.0.0.1:7400 --token flt1.…', 'here: this machine is a node now'],
      ['ssh founder flotilla token | flotilla join 10.0.0.1:7400 --token -', 'both at once'],
    ]),
  );
  join.action(async (address: string, options: NodeFlags) => {
    const { runNode } = await import('./command-node.ts');
    await runNode(context, { ...options, join: [address] });
  });
}

function addIdentityCommands(program: Command, context: CliContext): void {
  const addFounder = (command: Command) =>
    command
      .option('--data-dir <dir>', `of the founding node, or of "up" (default: ${dataDir})`)
      .option(...CONFIG_OPTION);

  const token = addCommand(program, 'token', 'make, list and revoke join tokens');
  token.helpCommand(false).addHelpText(
    'after',
    examples([
      ['flotilla token', 'one machine may join in the next hour'],
      ['flotilla token --ttl 15m --uses 3', 'three, in the next 15 minutes'],
      ['flotilla token list', 'what is still good'],
    ]),
  );
  const create = token.command('create', { isDefault: true });
  addFounder(create.description('print a token that lets a node join (the default)'))
    .option('--ttl <time>', 'how long it is valid: 90s, 15m, 1h, 7d (default: 1h)', duration)
    .option('--uses <n>', 'how many nodes may join with it', wholeNumber(1, 10_000), 1)
    .option('--replace', 'may take over the name of a member that is up')
    .option('--verbose', 'explain errors')
    .action(async (options: TokenFlags) => {
      const { runTokenCreate } = await import('./command-token.ts');
      await runTokenCreate(context, options);
    });
  addFounder(addCommand(token, 'list', 'list the tokens: id, age, expiry, uses left'))
    .option('--json', 'print JSON')
    .action(async (options: TokenListFlags) => {
      const { runTokenList } = await import('./command-token.ts');
      await runTokenList(context, options);
    });
  addFounder(addCommand(token, 'revoke', 'end a token'))
    .argument('<id>', 'as "flotilla token list" shows it')
    .action(async (id: string, options: AuthorityFlags) => {
      const { runTokenRevoke } = await import('./command-token.ts');
      await runTokenRevoke(context, id, options);
    });

  const revoke = addCommand(program, 'revoke', 'end the certificate of a node: it is shut out');
  addFounder(revoke)
    .argument('<name>', 'the node')
    .addHelpText(
      'after',
      examples([
        ['flotilla revoke node-2', 'on the founder: all nodes close their links with it'],
        ['flotilla token', 'lets the name in again, with a new key'],
      ]),
    )
    .action(async (name: string, options: AuthorityFlags) => {
      const { runRevoke } = await import('./command-token.ts');
      await runRevoke(context, name, options);
    });
}

function addMemberCommands(program: Command, context: CliContext): void {
  const members = addCommand(program, 'members', 'list the members and what is known of them');
  addClientOptions(members).addHelpText(
    'after',
    examples([
      ['flotilla members', 'status, addresses, role, load'],
      ['flotilla members --json', 'for a script'],
    ]),
  );
  members.action(async (options: ClientFlags) => {
    const { runMembers } = await import('./commands-members.ts');
    await runMembers(context, options);
  });

  const shards = addCommand(program, 'shards', 'show who owns the shards of entities')
    .argument('[type]', 'only of this type')
    .option('--all', 'every shard, with its epoch and state');
  addClientOptions(shards).addHelpText(
    'after',
    examples([
      ['flotilla shards', 'how many each node has'],
      ['flotilla shards counter --all', 'one by one'],
    ]),
  );
  shards.action(async (type: string | undefined, options: ShardsFlags) => {
    const { runShards } = await import('./commands-shards.ts');
    await runShards(context, type, options);
  });

  const drain = addCommand(
    program,
    'drain',
    'have requests and entities go elsewhere; the node goes on',
  )
    .argument('<name>', 'the node')
    .option('--cancel', 'let it take requests again');
  addClientOptions(drain).addHelpText(
    'after',
    examples([
      ['flotilla drain node-1', 'requests and entities go to the others'],
      ['flotilla drain node-1 --cancel', 'and may come back'],
    ]),
  );
  drain.action(async (name: string, options: DrainFlags) => {
    const { runDrain } = await import('./commands-members.ts');
    await runDrain(context, name, options);
  });

  const leave = addCommand(program, 'leave', 'let a node drain, say good-bye and stop').argument(
    '[name]',
    'the node (default: the one that is asked)',
  );
  addClientOptions(leave).addHelpText(
    'after',
    examples([
      ['flotilla leave', 'the node of this machine'],
      ['flotilla leave node-1 --url http://10.0.0.1:8080', 'another, through any'],
    ]),
  );
  leave.action(async (name: string | undefined, options: ClientFlags) => {
    const { runLeave } = await import('./commands-members.ts');
    await runLeave(context, name, options);
  });
}

function addClusterCommands(program: Command, context: CliContext): void {
  const status = addCommand(program, 'status', 'list the nodes of a fleet and their health');
  addClientOptions(status).addHelpText(
    'after',
    examples([
      ['flotilla status', 'as a table'],
      ['flotilla status --json --url http://10.0.0.1:8080', 'for a script, of another fleet'],
    ]),
  );
  status.action(async (options: ClientFlags) => {
    const { runStatus } = await import('./commands-client.ts');
    await runStatus(context, options);
  });

  const route = addCommand(program, 'route', 'tell which node serves a key, and why');
  addClientOptions(route.argument('<key>', 'any text')).addHelpText(
    'after',
    examples([['flotilla route user-42', 'the node, then those next in line']]),
  );
  route.action(async (key: string, options: ClientFlags) => {
    const { runRoute } = await import('./commands-client.ts');
    await runRoute(context, key, options);
  });
}

function addLoadCommands(program: Command, context: CliContext): void {
  const top = addCommand(program, 'top', 'watch the load of every node').option(
    '--once',
    'show it once and end',
  );
  addUrlOption(top).addHelpText(
    'after',
    `\nA narrow terminal goes without lanes, heap, GPUs, age, bars, engine, loop,
memory, queue and status, in this order.\n${examples([
      ['flotilla top', 'until q or Ctrl-C'],
      ['flotilla top --url http://10.0.0.1:8080', 'as another node sees it'],
    ])}`,
  );
  top.action(async (options: TopFlags) => {
    const { runTop } = await import('./command-top.ts');
    await runTop(context, options);
  });

  const load = addCommand(program, 'load', 'show the load of every node once');
  addClientOptions(load).addHelpText(
    'after',
    examples([
      ['flotilla load', 'as a table'],
      ['flotilla load --json', 'the records, and what routing makes of them'],
    ]),
  );
  load.action(async (options: ClientFlags) => {
    const { runLoad } = await import('./command-top.ts');
    await runLoad(context, options);
  });
}

function addModelCommands(program: Command, context: CliContext): void {
  const train = addCommand(program, 'train', 'train a graph on a running fleet')
    .option('--data <path>', 'graph file or folder (default: WordNet)')
    .option('--name <model>', 'the model (default: the name of the data)');
  addClientOptions(addTrainingOptions(train)).addHelpText(
    'after',
    examples([
      ['flotilla train --data graph.tsv', 'split without leaks, trained, evaluated'],
      ['flotilla train --data WN18RR --epochs 20', 'a folder with train, valid and test files'],
      ['flotilla train --json > events.ndjson', 'every event as a line of JSON'],
    ]),
  );
  train.action(async (options: TrainFlags & ParsedOptions) => {
    const { runTrain } = await import('./command-train.ts');
    await runTrain(context, options, trainingOptionsOf(options));
  });

  const addAskOptions = (command: Command) =>
    addClientOptions(
      command
        .option('--model <name>', 'needed when the fleet has several')
        .option('-k <n>', 'how many answers', wholeNumber(1, 1_000), k),
    );
  const neighbors = addCommand(program, 'neighbors', 'list what a model holds to be near a word');
  addAskOptions(neighbors.argument('<word>', 'an entity of the graph')).addHelpText(
    'after',
    examples([
      ['flotilla neighbors dog', 'WordNet: the first sense of the word'],
      ['flotilla neighbors wolf.n.01 -k 3 --json', 'one sense; for a script'],
    ]),
  );
  neighbors.action(async (word: string, options: AskFlags) => {
    const { runNeighbors } = await import('./commands-client.ts');
    await runNeighbors(context, word, options);
  });

  const complete = addCommand(program, 'complete', 'complete a triple: head, relation, and what?')
    .argument('<head>', 'an entity of the graph')
    .argument('<relation>', 'a relation of the graph');
  addAskOptions(complete).addHelpText(
    'after',
    examples([
      ['flotilla complete dog hypernym', 'what is a dog?'],
      ["flotilla complete dog '~hypernym'", 'the other direction: what is a dog, too?'],
    ]),
  );
  complete.action(async (head: string, relation: string, options: AskFlags) => {
    const { runComplete } = await import('./commands-client.ts');
    await runComplete(context, { head, relation }, options);
  });
}
