// Connections between simulated nodes as the peer layer makes them: calls in the order in which
// they were sent, none twice, and on a break the loss of whatever is under way. What is on an old
// connection never arrives after its receiver has taken a new one.
import { failed, NEVER, throughCodec } from '../../sim/calls.ts';
import { Ways } from '../../sim/ways.ts';
import type { Clock, FlotillaError, Prng } from '../../../src/core/index.ts';
import type { CallOptions, Handler, Payload, RpcHost } from '../../../src/peer/index.ts';
import type { Process, World } from '../../sim/world.ts';

/** Bugs on purpose. */
export interface WireBugs {
  /** Messages pass each other. */
  readonly reorders?: boolean;
  /** What may have arrived is reported as if it had not left. */
  readonly deniesSending?: boolean;
}

export interface WireConditions {
  readonly delayMs: number;
  readonly jitterMs: number;
  /** The probability that a message is late by up to `lateMs`, and all after it with it. */
  late: number;
  readonly lateMs: number;
}

export type CallMoment = 'sent' | 'arrived' | 'answered';

const CONNECT_TIMEOUT_MS = 1_000;
const CALL_TIMEOUT_MS = 30_000;
/** A message that does not pass is tried again, as TCP does. */
const RESEND_MS = 150;

/** One direction of a connection. */
class Lane {
  lastAtMs = 0;
}

class Connection {
  readonly ends: readonly [WireHost, WireHost];
  readonly lanes = [new Lane(), new Lane()] as const;
  /** Whether each end still takes part. */
  readonly open: [boolean, boolean] = [true, true];

  constructor(a: WireHost, b: WireHost) {
    this.ends = [a, b];
  }
}

interface Call {
  readonly connection: Connection | undefined;
  settle(outcome: () => void): void;
  reject(error: FlotillaError): void;
}

export class Wires {
  readonly world: World;
  readonly conditions: WireConditions;
  readonly prng: Prng;
  readonly hosts = new Map<string, WireHost>();
  readonly bugs: WireBugs;
  /** A call left, arrived or was answered. */
  onCall: (node: string, procedure: string, moment: CallMoment) => void = () => {};
  readonly ways = new Ways();
  readonly #stuckLanes = new Map<Lane, (() => void)[]>();

  constructor(world: World, conditions: WireConditions, bugs: WireBugs = {}) {
    this.world = world;
    this.bugs = bugs;
    this.conditions = conditions;
    this.prng = world.prng(2);
  }

  /** Sends over one end of a connection; `deliver` runs at the other, in order, or never. */
  send(connection: Connection, side: 0 | 1, deliver: () => void): void {
    const { delayMs, jitterMs, late, lateMs } = this.conditions;
    const lane = connection.lanes[side];
    let way = delayMs + jitterMs * this.prng.next();
    if (late > 0 && this.prng.next() < late) way += lateMs * this.prng.next();
    const soonest = this.bugs.reorders === true ? 0 : lane.lastAtMs;
    this.#travel(connection, side, Math.max(soonest, this.world.now + way), deliver);
  }

  #travel(connection: Connection, side: 0 | 1, atMs: number, deliver: () => void): void {
    const lane = connection.lanes[side];
    lane.lastAtMs = Math.max(lane.lastAtMs, atMs);
    const from = connection.ends[side];
    const to = connection.ends[1 - side]!;
    this.world.at(atMs - this.world.now, undefined, () => {
      if (!connection.open[1 - side]) return;
      // In order still: those behind one that is stuck wait as long.
      if (this.#stuckLanes.has(lane) || !this.ways.pass(from.name, to.name)) {
        this.#stuck(connection, side, deliver);
        return;
      }
      this.world.at(0, to.process, () => {
        if (connection.open[1 - side]) deliver();
      });
    });
  }

  /** Keeps the order of a lane that does not pass at the moment. */
  #stuck(connection: Connection, side: 0 | 1, deliver: () => void): void {
    const lane = connection.lanes[side];
    const waiting = this.#stuckLanes.get(lane);
    if (waiting !== undefined) {
      waiting.push(deliver);
      return;
    }
    const queue = [deliver];
    this.#stuckLanes.set(lane, queue);
    const [from, to] = [connection.ends[side], connection.ends[1 - side]!];
    const again = () => {
      if (!connection.open[1 - side]) {
        this.#stuckLanes.delete(lane);
      } else if (this.ways.pass(from.name, to.name)) {
        this.#stuckLanes.delete(lane);
        for (const run of queue) {
          this.world.at(0, to.process, () => {
            if (connection.open[1 - side]) run();
          });
        }
      } else {
        this.world.at(RESEND_MS, undefined, again);
      }
    };
    this.world.at(RESEND_MS, undefined, again);
  }
}

export class WireHost implements RpcHost {
  readonly name: string;
  readonly process: Process;
  readonly #wires: Wires;
  readonly #clock: Clock;
  readonly #handlers = new Map<string, Handler>();
  readonly #connections = new Map<string, Connection>();
  readonly #calls = new Set<Call>();

  constructor(wires: Wires, process: Process, clock: Clock) {
    this.#wires = wires;
    this.process = process;
    this.#clock = clock;
    this.name = process.name;
    wires.hosts.set(this.name, this);
  }

  /** Calls that wait for their answer. */
  get pending(): number {
    return this.#calls.size;
  }

  handle(procedure: string, handler: Handler): void {
    this.#handlers.set(procedure, handler);
  }

  call(
    name: string,
    procedure: string,
    request: Payload,
    options: CallOptions = {},
  ): Promise<Payload> {
    const { world } = this.#wires;
    world.unsettle();
    const { promise, resolve, reject } = Promise.withResolvers<Payload>();
    const connection = name === this.name ? undefined : this.#connect(name);
    const timeoutMs = options.timeoutMs ?? CALL_TIMEOUT_MS;
    const settle = (outcome: () => void) => {
      if (!this.#calls.delete(call)) return;
      timer.cancel();
      world.unsettle();
      outcome();
      this.#wires.onCall(this.name, procedure, 'answered');
    };
    const fail = (code: string) => settle(() => reject(failed(code, name)));
    const timer = this.#clock.schedule(timeoutMs, () => fail('deadline_exceeded'));
    const call: Call = { connection, settle, reject };
    this.#calls.add(call);
    const travelled = copyOf(request);
    this.#wires.onCall(this.name, procedure, 'sent');
    if (connection === undefined && name === this.name) {
      world.at(0, this.process, () => this.#serve(this.name, procedure, travelled, call, resolve));
    } else if (connection === undefined) {
      const waitMs = Math.min(timeoutMs, this.#wires.prng.next() * CONNECT_TIMEOUT_MS);
      this.#clock.schedule(waitMs, () => fail('peer_unreachable'));
    } else {
      const side = connection.ends[0] === this ? 0 : 1;
      const remote = connection.ends[1 - side]!;
      this.#wires.send(connection, side, () => {
        remote.#answer(connection, { procedure, request: travelled, from: this, call, resolve });
      });
    }
    return promise;
  }

  /** Ends this end of a connection; who waits on it hears of it. Returns how to end the other. */
  break(name: string, only?: WireHost): () => void {
    const connection = this.#connections.get(name);
    if (connection === undefined) return () => {};
    if (only !== undefined && !connection.ends.includes(only)) return () => {};
    this.#close(name, connection);
    const far = connection.ends[connection.ends[0] === this ? 1 : 0];
    return () => {
      this.#wires.world.at(0, far.process, () => {
        if (far.#connections.get(this.name) === connection) far.#close(this.name, connection);
      });
    };
  }

  #close(name: string, connection: Connection): void {
    this.#connections.delete(name);
    connection.open[connection.ends[0] === this ? 0 : 1] = false;
    for (const call of [...this.#calls]) {
      if (call.connection !== connection) continue;
      const code = this.#wires.bugs.deniesSending ? 'peer_unreachable' : 'peer_disconnected';
      call.settle(() => call.reject(failed(code, name)));
    }
  }

  /** What a handler of this node says at once. */
  ask(procedure: string): unknown {
    const handler = this.#handlers.get(procedure);
    const answer = handler?.({ body: {} }, { peer: this.name, signal: NEVER });
    return answer instanceof Promise ? undefined : answer?.body;
  }

  linked(): string[] {
    return [...this.#connections.keys()];
  }

  #connect(name: string): Connection | undefined {
    const standing = this.#connections.get(name);
    if (standing !== undefined) return standing;
    const remote = this.#wires.hosts.get(name);
    const { name: own } = this;
    const reachable = remote?.process.alive === true && !remote.process.paused;
    const { ways } = this.#wires;
    if (!reachable || !ways.pass(own, name) || !ways.pass(name, own)) return undefined;
    const connection = new Connection(this, remote);
    this.#connections.set(name, connection);
    // The other end may still believe in an older one.
    remote.break(own);
    remote.#connections.set(own, connection);
    return connection;
  }

  #answer(
    connection: Connection,
    what: {
      procedure: string;
      request: Payload;
      from: WireHost;
      call: Call;
      resolve: (payload: Payload) => void;
    },
  ): void {
    const { procedure, request, from, call, resolve } = what;
    const side = connection.ends[0] === this ? 0 : 1;
    const reply = (outcome: () => void) => {
      this.#wires.send(connection, side, () => call.settle(outcome));
    };
    const sendBack = (payload: Payload) => {
      const travelled = copyOf(payload);
      reply(() => resolve(travelled));
    };
    const refuse = (error: unknown) => reply(() => call.reject(error as FlotillaError));
    this.#run(procedure, request, { peer: from.name, sendBack, refuse });
  }

  #serve(
    peer: string,
    procedure: string,
    request: Payload,
    call: Call,
    resolve: (payload: Payload) => void,
  ): void {
    const later = (outcome: () => void) =>
      this.#wires.world.at(0, this.process, () => call.settle(outcome));
    const sendBack = (payload: Payload) => {
      const travelled = copyOf(payload);
      later(() => resolve(travelled));
    };
    const refuse = (error: unknown) => later(() => call.reject(error as FlotillaError));
    this.#run(procedure, request, { peer, sendBack, refuse });
  }

  #run(
    procedure: string,
    request: Payload,
    to: { peer: string; sendBack(payload: Payload): void; refuse(error: unknown): void },
  ): void {
    this.#wires.world.unsettle();
    this.#wires.onCall(this.name, procedure, 'arrived');
    const handler = this.#handlers.get(procedure);
    try {
      if (handler === undefined) throw failed('unknown_procedure', procedure);
      const result = handler(request, { peer: to.peer, signal: NEVER });
      if (result instanceof Promise) result.then(to.sendBack, to.refuse);
      else to.sendBack(result);
    } catch (error) {
      to.refuse(error);
    }
  }
}

function copyOf({ body, bytes }: Payload): Payload {
  const copy = throughCodec(body);
  return bytes === undefined ? { body: copy } : { body: copy, bytes: new Uint8Array(bytes) };
}
