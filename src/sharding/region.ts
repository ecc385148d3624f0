// The sender's end of a type: sends each message to its shard's owner, and keeps those that cannot
// go yet, in order. A pure machine: where messages go and who keeps deadlines is its driver's.
//
// What order rests on: messages of a shard leave in the order in which they came, over lanes that
// keep it; an owner that refused one at an epoch refuses every later one at that epoch; and no
// message is sent at the next epoch before each one that was sent before has come back or is lost.
import { bufferFull } from './errors.ts';
import type { Outgoing, OutgoingOwner } from './outgoing.ts';
import type { OwnershipView } from './ownership-view.ts';

export interface RegionActions {
  now(): number;
  /** Hands a message to the owner, which may be this node; ends with one call of `Outgoing`'s. */
  send(owner: string, message: Outgoing): void;
  /** The message has its outcome. */
  ended(message: Outgoing): void;
}

export interface RegionOptions {
  readonly shardBuffer: number;
  readonly regionBuffer: number;
  readonly resendMs: number;
}

/** Why a route does not take messages: its owner refused, or could not be reached. */
interface Hold {
  /** It takes them again at a later epoch than this, */
  readonly epoch: number;
  /** or at this time. */
  readonly untilMs: number;
}

/** The messages of one shard. */
class Route {
  /** Counts the times that this region has given up on what it had sent. */
  run = 0;
  /** Of this run, sent and without an outcome; all of one epoch. */
  sent = 0;
  sentEpoch = 0;
  sentTo = '';
  sentSession = 0;
  hold: Hold | undefined;
  order = 0;
  /** The last place of those of this run that were handled, or may have been. */
  doneOrder = -1;
  /** The last place of those that were sent in this run. */
  sentOrder = -1;
  flushing = false;
  /** In order. Those that have expired stay until there are as many of them as of the others. */
  waiting: Outgoing[] = [];
  alive = 0;
  /** Came back, and go first; in no order yet. */
  refused: Outgoing[] = [];
}

export class Region implements OutgoingOwner {
  readonly type: string;
  readonly #view: OwnershipView;
  readonly #actions: RegionActions;
  readonly #options: RegionOptions;
  readonly #routes = new Map<number, Route>();
  /** Shards with messages that wait. */
  readonly #held = new Set<number>();
  #waiting = 0;
  /** Messages that ended without being delivered, for want of room. */
  overflows = 0;
  #stopped = false;

  constructor(
    components: { type: string; view: OwnershipView; actions: RegionActions },
    options: RegionOptions,
  ) {
    this.type = components.type;
    this.#view = components.view;
    this.#actions = components.actions;
    this.#options = options;
  }

  /** Messages that wait here. */
  get waiting(): number {
    return this.#waiting;
  }

  /** Takes a message. Its outcome comes later, or at once when there is no room for it. */
  send(message: Outgoing): void {
    if (this.#stopped) {
      this.#drop(message, STOPS);
      return;
    }
    const route = this.#routeOf(message.shard);
    message.order = route.order++;
    if (route.alive === 0 && this.#isOpen(message.shard, route)) {
      this.#dispatch(message, route);
      return;
    }
    const { shardBuffer, regionBuffer } = this.#options;
    if (route.alive >= shardBuffer || this.#waiting >= regionBuffer) {
      this.overflows++;
      const limit = route.alive >= shardBuffer ? shardBuffer : regionBuffer;
      message.settle(bufferFull(message, limit));
      this.#actions.ended(message);
      return;
    }
    this.#wait(message, route);
  }

  /** The table changed, or the sessions did. */
  changed(): void {
    for (const [shard, route] of this.#routes) {
      if (route.sent > 0 && !this.#view.lives(route.sentTo, route.sentSession)) {
        // Nothing that was sent there will be handled any more; what became of it nobody can say.
        route.run++;
        route.sent = 0;
        route.doneOrder = route.sentOrder;
        this.#merge(route);
        route.doneOrder = -1;
        route.sentOrder = -1;
      }
      this.#flush(shard, route);
    }
  }

  /** Time passed: what could not be sent is tried again. */
  tick(): void {
    for (const shard of [...this.#held]) this.#flush(shard, this.#routeOf(shard));
  }

  /** Owners that could not be reached may be by now. */
  reachable(): void {
    for (const shard of [...this.#held]) {
      const route = this.#routeOf(shard);
      const { hold } = route;
      if (hold !== undefined && hold.untilMs < Infinity) {
        route.hold = { epoch: hold.epoch, untilMs: -Infinity };
      }
      this.#flush(shard, route);
    }
  }

  answered(message: Outgoing): void {
    this.#actions.ended(message);
    if (message.run < 0) return;
    const route = this.#routeOf(message.shard);
    if (message.run === route.run && message.order > route.doneOrder) {
      route.doneOrder = message.order;
    }
    this.#returned(message, route);
  }

  /** The owner did not handle it and handles nothing more at that epoch. */
  refused(message: Outgoing): void {
    this.#back(message, Infinity);
  }

  /** It never left, and may, at this epoch. */
  unsent(message: Outgoing): void {
    message.unsent = true;
    this.#back(message, this.#actions.now() + this.#options.resendMs);
  }

  expired(message: Outgoing): void {
    if (message.settled) return;
    if (message.run >= 0) {
      message.lose('no answer came before the deadline');
      return;
    }
    const route = this.#routeOf(message.shard);
    message.drop(this.#reasonToWait(message.shard, route));
    this.#actions.ended(message);
    // One that came back is not in the buffer before all others have.
    if (!message.waits) return;
    this.#left(message, route);
    if (route.waiting.length > 2 * route.alive + SLACK) {
      route.waiting = route.waiting.filter(({ settled }) => !settled);
    }
  }

  /** Ends everything that waits, and whatever comes back. */
  stop(): void {
    this.#stopped = true;
    for (const route of this.#routes.values()) {
      for (const message of [...route.refused, ...route.waiting]) {
        if (!message.settled) this.#drop(message, STOPS);
      }
      route.refused = [];
      route.waiting = [];
      route.alive = 0;
    }
    this.#waiting = 0;
    this.#held.clear();
  }

  #routeOf(shard: number): Route {
    let route = this.#routes.get(shard);
    if (route === undefined) {
      route = new Route();
      this.#routes.set(shard, route);
    }
    return route;
  }

  /** A refused message of this run: behind it nothing may leave until it has. */
  #back(message: Outgoing, untilMs: number): void {
    const route = this.#routeOf(message.shard);
    if (message.run !== route.run || this.#stopped) {
      // Others were sent after it in the meantime: it is too late to bring it in order.
      this.#drop(message, this.#stopped ? STOPS : 'its shard was lost while it was on its way');
      return;
    }
    const { epoch } = message;
    if (route.hold === undefined || route.hold.epoch < epoch || route.hold.untilMs < untilMs) {
      route.hold = { epoch, untilMs };
    }
    if (message.settled) this.#actions.ended(message);
    else route.refused.push(message);
    this.#returned(message, route);
  }

  #returned(message: Outgoing, route: Route): void {
    if (message.run !== route.run) return;
    message.run = -1;
    route.sent--;
    if (route.sent > 0) return;
    this.#merge(route);
    if (route.alive > 0) this.#flush(message.shard, route);
  }

  /** What came back goes before what has waited meanwhile, each in its order. */
  #merge(route: Route): void {
    if (route.refused.length === 0) return;
    const back = route.refused;
    route.refused = [];
    for (const message of back) {
      const { unsent } = message;
      message.unsent = false;
      if (message.settled) continue;
      if (unsent && message.order < route.doneOrder) {
        // A later one got through: this one would come after it.
        this.#drop(message, 'its owner could not be reached');
      } else {
        this.#wait(message, route);
      }
    }
    sortByOrder(route);
  }

  #wait(message: Outgoing, route: Route): void {
    message.run = -1;
    message.waits = true;
    route.waiting.push(message);
    route.alive++;
    this.#waiting++;
    this.#held.add(message.shard);
  }

  #drop(message: Outgoing, reason: string): void {
    message.drop(reason);
    this.#actions.ended(message);
  }

  #left(message: Outgoing, route: Route): void {
    message.waits = false;
    route.alive--;
    this.#waiting--;
  }

  #isOpen(shard: number, route: Route): boolean {
    const entry = this.#view.tables.get(this.type)?.entries[shard];
    if (entry === undefined || entry.owner === '') return false;
    if (route.refused.length > 0) return false;
    if (route.sent > 0 && route.sentEpoch !== entry.epoch) return false;
    const { hold } = route;
    if (hold !== undefined) {
      if (entry.epoch <= hold.epoch && this.#actions.now() < hold.untilMs) return false;
      // Those that wait go first.
      if (route.sent > 0 && entry.epoch <= hold.epoch) return false;
      route.hold = undefined;
    }
    return this.#view.lives(entry.owner, entry.session);
  }

  #flush(shard: number, route: Route): void {
    if (route.flushing) return;
    route.flushing = true;
    while (route.alive > 0 && this.#isOpen(shard, route)) {
      const messages = route.waiting;
      route.waiting = [];
      let at = 0;
      // A message that comes back at once closes the route again.
      while (at < messages.length && route.hold === undefined) {
        const message = messages[at++]!;
        if (message.settled) continue;
        this.#left(message, route);
        this.#dispatch(message, route);
      }
      if (at === messages.length) continue;
      for (; at < messages.length; at++) route.waiting.push(messages[at]!);
      sortByOrder(route);
    }
    route.flushing = false;
    if (route.alive > 0) return;
    route.waiting = [];
    this.#held.delete(shard);
  }

  #dispatch(message: Outgoing, route: Route): void {
    const { owner, session, epoch } = this.#view.tables.get(this.type)!.entries[message.shard]!;
    message.epoch = epoch;
    message.run = route.run;
    route.sent++;
    if (message.order > route.sentOrder) route.sentOrder = message.order;
    route.sentEpoch = epoch;
    route.sentTo = owner;
    route.sentSession = session;
    this.#actions.send(owner, message);
  }

  #reasonToWait(shard: number, route: Route): string {
    const table = this.#view.tables.get(this.type);
    if (table === undefined) return `no node hosts the type ${this.type}`;
    const entry = table.entries[shard];
    if (entry === undefined || entry.owner === '') return 'its shard has no owner yet';
    if (!this.#view.lives(entry.owner, entry.session)) {
      return `the owner of its shard, ${entry.owner}, is gone`;
    }
    if (route.hold?.untilMs === Infinity) return 'its shard is moving';
    return `the owner of its shard, ${entry.owner}, cannot be reached`;
  }
}

const STOPS = 'the node stops';

/** Expired messages that may lie in a buffer beside those that wait. */
const SLACK = 64;

function sortByOrder(route: Route): void {
  route.waiting.sort((a, b) => a.order - b.order);
}
