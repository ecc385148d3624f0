// The configuration of a node, as options, as `flotilla.config.ts` and as flags: one schema for
// all.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import { FlotillaError, messageOf } from '../core/index.ts';
import { SELECTOR_NAMES } from '../load/index.ts';
import { isEntityType } from '../sharding/index.ts';
import { NODE_DEFAULTS } from './defaults.ts';
import { devicesSchema } from './device-config.ts';
import { enginesSchema, inferenceSchema } from './engine-config.ts';

const port = z.int('a whole number').min(0, '0 to 65535').max(65_535, '0 to 65535');
const host = z.string().min(1, 'a host name or address');
const endpoint = (defaultPort: number) =>
  z
    .strictObject({
      host: host.default(NODE_DEFAULTS.host),
      port: port.default(defaultPort),
    })
    .prefault({});

const httpSchema = z
  .strictObject({
    host: host.default(NODE_DEFAULTS.host),
    port: port.default(NODE_DEFAULTS.httpPort),
    /** PEM files of the server's certificate, with its chain, and of its key: HTTPS. */
    tls: z.strictObject({ certificateFile: z.string(), keyFile: z.string() }).exactOptional(),
    /** How long answers under way may go on when the node stops. @default 3 s */
    stopTimeoutMs: z.number().nonnegative().exactOptional(),
    /** Networks (CIDR) from which API keys may be managed. @default this machine's loopback */
    operators: z.array(z.string()).exactOptional(),
    ...inferenceSchema,
  })
  .prefault({});

const etcdSchema = z.strictObject({
  /** `host:port` of the members of etcd. */
  hosts: z.array(z.string().regex(/^[^/]+:\d{1,5}$/, { error: 'host:port' })).min(1, 'one or more'),
  /** What its keys begin with. @default one of the fleet's own, from its CA */
  prefix: z
    .string()
    .regex(/^[!-~]+\/$/, { error: 'text that ends with /' })
    .optional(),
  user: z.strictObject({ name: z.string().min(1), password: z.string() }).optional(),
  /** PEM files; certificate and key for an etcd that asks for them. */
  tls: z
    .strictObject({
      caFile: z.string(),
      certificateFile: z.string().optional(),
      keyFile: z.string().optional(),
    })
    .optional(),
  /** The deadline of a call. @default 5 s */
  callTimeoutMs: z.number().positive().optional(),
});

export type EtcdConfig = z.output<typeof etcdSchema>;

/** What one node is told. Every field has a default but the name and the data directory. */
export const nodeConfigSchema = z.strictObject({
  /** The node's name: lower-case letters, digits, `.` and `-`; unique in the cluster. */
  name: z.string().regex(/^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$/, {
    error: 'lower-case letters, digits, "." and "-", at most 63',
  }),
  /** Where keys, the store, tables and the log are kept. Nothing is written elsewhere. */
  dataDir: z.string().min(1, 'a path'),
  /** Where peers connect. @default 127.0.0.1:7400 */
  listen: endpoint(NODE_DEFAULTS.peerPort),
  /** Where clients connect; false for a node without HTTP. @default 127.0.0.1:8080 */
  http: z.literal(false).or(httpSchema).prefault({}),
  /** What answers requests for inference behind this node. */
  engines: enginesSchema,
  /** What computes here for the fleet. @default one CPU device */
  devices: devicesSchema,
  /** Kinds of entities that this node hosts from its start, as `fleet.host` does later. */
  entities: z
    .array(z.custom<EntityTypeLike>(isEntityType, { error: 'what defineEntity returns' }))
    .default([]),
  /** `host:port` of members to join through; the first that answers is used. */
  seeds: z.array(z.string().regex(/^.+:\d+$/, { error: 'host:port' })).default([]),
  /** Join token (`flotilla token`); needed once, until the node has its certificate. */
  token: z.string().optional(),
  /**
   * What lies between the nodes. `local` and `lan` speak TLS; `wan` speaks QUIC, which keeps a lane
   * moving when packets of another are lost. It also sets how often members are probed and how soon
   * a silent one is dead. All nodes of a cluster have the same.
   * @default "local"
   */
  preset: z.enum(['local', 'lan', 'wan']).default('local'),
  /**
   * Where decisions are kept: on the founding node, or in an etcd that every node reaches, for a
   * fleet that must outlive any one machine. All nodes of a cluster have the same.
   * @default "embedded"
   */
  store: z
    .union([z.literal('embedded'), z.strictObject({ etcd: etcdSchema })], {
      error: '"embedded" or { etcd: { hosts: ["host:port"] } }',
    })
    .default('embedded'),
  /** What this node is, for people and for what places work; small, since gossip carries it. */
  metadata: z
    .strictObject({
      role: z.string().optional(),
      capacity: z.number().nonnegative().optional(),
      devices: z.array(z.string()).optional(),
    })
    .default({}),
  /**
   * The Prometheus endpoint of an inference engine that the node has to do with but does not send
   * to: its queue and its KV cache are part of the node's load. Those of `engines` are anyway.
   */
  engineMetricsUrl: z.url({ protocol: /^https?$/, error: 'an http or https address' }).optional(),
  /**
   * What the balancers `adaptive` and `weighted` measure a node's room by: one figure, or several
   * with their weights, such as `{ cpu: 1, 'kv-cache': 3 }`.
   * @default "mix" of CPU and heap
   */
  balanceBy: z
    .union(
      [z.enum(SELECTOR_NAMES), z.partialRecord(z.enum(SELECTOR_NAMES), z.number().positive())],
      {
        error: `one of ${SELECTOR_NAMES.join(', ')}, or weights above 0 by those names`,
      },
    )
    .default('mix'),
  /** Where the log goes: the data directory, standard error, or nowhere. @default "file" */
  log: z.enum(['file', 'stderr', 'silent']).default('file'),
});

/** A kind of entity, whatever its state and handlers are. */
export type EntityTypeLike = { readonly name: string; readonly handlers: object };

/** What a user writes. */
export type NodeConfigInput = z.input<typeof nodeConfigSchema>;
export type NodeConfig = z.output<typeof nodeConfigSchema>;

/** A configuration file's content: any part of a node's configuration; flags override it. */
export type FlotillaConfig = Partial<NodeConfigInput>;

/** Types the default export of `flotilla.config.ts`; it is validated when it is loaded. */
export function defineConfig(config: FlotillaConfig): FlotillaConfig {
  return config;
}

/**
 * Checks a whole configuration. Raises `config_invalid` with the first broken option and its rule.
 */
export function parseConfig(input: unknown, source = 'the configuration'): NodeConfig {
  return parseWith(nodeConfigSchema, input, source);
}

/** Checks a configuration file's content. */
export function parseConfigFile(input: unknown, source: string): FlotillaConfig {
  return parseWith(nodeConfigSchema.partial(), input, source) as FlotillaConfig;
}

function parseWith<T>(schema: z.ZodType<T>, input: unknown, source: string): T {
  const { success, data, error } = schema.safeParse(input);
  if (success) return data;
  const { path: at = [], message: rule = 'valid' } = firstIssue(error.issues);
  const option = at.join('.');
  const where = option === '' ? '' : ` ${option}:`;
  throw new FlotillaError('config_invalid', `${source} is invalid:${where} ${rule}`, {
    details: { option, rule },
  });
}

/** Of several shapes, none of which fits and that say no rule together, the one that was meant. */
function firstIssue([issue]: readonly z.core.$ZodIssue[]): Partial<z.core.$ZodIssue> {
  if (issue?.code !== 'invalid_union' || issue.errors.length < 2) return issue ?? {};
  const inner = issue.errors.flat().find(({ path }) => path.length > 0);
  return inner === undefined ? issue : { ...inner, path: [...issue.path, ...inner.path] };
}

/** A file that the configuration names. Errors: `config_invalid`. */
export function readConfigured(option: string, file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    const message = `the configuration is invalid: ${option}: ${messageOf(cause)}`;
    throw new FlotillaError('config_invalid', message, { details: { option }, cause });
  }
}

/** The folders and files of a data directory. */
export function layoutOf(dataDir: string) {
  return {
    root: dataDir,
    lock: path.join(dataDir, 'node.lock'),
    members: path.join(dataDir, 'members.json'),
    identity: path.join(dataDir, 'identity'),
    store: path.join(dataDir, 'store.sqlite'),
    journal: path.join(dataDir, 'entities.journal'),
    tables: path.join(dataDir, 'tables'),
    log: path.join(dataDir, 'node.log'),
  };
}
