// The options that several commands share, and the checks that turn their text into values. A value
// outside its rule is a usage error that names option, rule and text.
import { InvalidArgumentError, Option } from 'commander';
import { CLI_DEFAULTS } from './defaults.ts';
import type { Command } from 'commander';

const DURATION_UNITS_MS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

export function wholeNumber(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= min && value <= max) return value;
    throw new InvalidArgumentError(`It must be a whole number from ${min} to ${max}.`);
  };
}

export const port = wholeNumber(0, 65_535);

export function decimal(text: string): number {
  const value = Number(text);
  if (text.trim() !== '' && Number.isFinite(value) && value >= 0) return value;
  throw new InvalidArgumentError('It must be a number of at least 0.');
}

/** `90s`, `15m`, `1h`, `7d` as milliseconds. */
export function duration(text: string): number {
  const [, amount, unit] = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(text) ?? [];
  const factor = DURATION_UNITS_MS[unit as keyof typeof DURATION_UNITS_MS];
  const value = Number(amount) * factor;
  if (value > 0) return Math.round(value);
  throw new InvalidArgumentError('It must be a duration such as 90s, 15m, 1h or 7d.');
}

/** `a,b,c`, without empty ones. */
export function names(text: string): string[] {
  const list = text.split(',').map((name) => name.trim());
  if (list.every((name) => name !== '')) return list;
  throw new InvalidArgumentError('It must be names with commas between them.');
}

/** `host:port`, with IPv6 addresses in brackets. */
export function endpoint(text: string): { host: string; port: number } {
  const [, bracketed, plain, digits] = /^(?:\[([^\]]+)\]|([^:]+)):(\d+)$/.exec(text) ?? [];
  const host = bracketed ?? plain;
  if (host !== undefined && Number(digits) <= 65_535) return { host, port: Number(digits) };
  throw new InvalidArgumentError('It must be HOST:PORT, for example 127.0.0.1:7400.');
}

export function endpointOrOff(text: string): { host: string; port: number } | false {
  return text === 'off' ? false : endpoint(text);
}

export type StoreFlag =
  | 'embedded'
  | { readonly etcd: { readonly hosts: string[]; readonly prefix?: string } };

/** `embedded`, or `etcd://host:port,host:port`, with the prefix of the keys as its path. */
export function storeChoice(text: string): StoreFlag {
  if (text === 'embedded') return text;
  const [, list, prefix] = /^etcd:\/\/([^/]+:\d{1,5})(\/.+\/)?\/?$/.exec(text) ?? [];
  const hosts = list?.split(',') ?? [];
  if (hosts.length > 0 && hosts.every((host) => /:\d{1,5}$/.test(host))) {
    return { etcd: { hosts, ...(prefix !== undefined && { prefix }) } };
  }
  throw new InvalidArgumentError('It must be embedded, or etcd://HOST:PORT,HOST:PORT.');
}

/** The trainer's options; it has the defaults and the last word on their rules. */
const TRAINING_OPTIONS = [
  ['--dim <n>', 'numbers per row, even', wholeNumber(2, 65_536)],
  ['--epochs <n>', 'passes over the training triples', wholeNumber(1, 1_000_000)],
  ['--batch <n>', 'triples per step', wholeNumber(1, 1_000_000)],
  ['--negatives <n>', 'wrong answers that a batch shares', wholeNumber(1, 1_000_000)],
  ['--rate <x>', 'step size of Adagrad', decimal],
  ['--decay <none|linear>', 'how the step size falls', String],
  ['--regularisation <x>', 'weight of the N3 regulariser', decimal],
  ['--seed <n>', 'replays the same training', wholeNumber(0, 0xffff_ffff)],
  ['--validate-every <n>', 'epochs between validations, 0 for none', wholeNumber(0, 1_000_000)],
  ['--patience <n>', 'validations without a gain before stopping', wholeNumber(1, 1_000_000)],
] as const;

/** Options as commander parsed them. */
export type ParsedOptions = Readonly<Record<string, unknown>>;

export function addTrainingOptions(command: Command): Command {
  for (const [flags, description, parse] of TRAINING_OPTIONS) {
    const option = new Option(flags, description).argParser<string | number>(parse);
    command.addOption(option.helpGroup('Training options:'));
  }
  return command;
}

/** Those of the trainer's options that were given. */
export function trainingOptionsOf(options: ParsedOptions): Record<string, string | number> {
  const given: Record<string, string | number> = {};
  for (const [flags] of TRAINING_OPTIONS) {
    const name = new Option(flags).attributeName();
    const value = options[name];
    if (value !== undefined) given[name] = value as string | number;
  }
  return given;
}

export function addUrlOption(command: Command): Command {
  const url = new Option('--url <url>', 'HTTP address of any node').env('FLOTILLA_URL');
  return command.addOption(url.default(CLI_DEFAULTS.url));
}

export function addClientOptions(command: Command): Command {
  return addUrlOption(command).option('--json', 'print JSON');
}
