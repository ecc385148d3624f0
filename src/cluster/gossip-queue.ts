// The news that this node passes on: one account of each name, the least often sent first, each
// sent a limited number of times. Bounded in names and in bytes a message.
import type { MemberUpdate } from './member.ts';

interface News {
  readonly update: MemberUpdate;
  readonly bytes: number;
  sent: number;
  /** False once a later account took its place. */
  live: boolean;
}

/** What an update takes beside its texts. */
const UPDATE_BYTES = 32;

/** About as many bytes as the update has in a message. */
export function updateBytes({ member, by }: MemberUpdate): number {
  const { name, address, httpAddress, metadata } = member;
  const texts = name.length + address.length + httpAddress.length + by.length;
  return UPDATE_BYTES + texts + JSON.stringify(metadata).length;
}

export class GossipQueue {
  readonly #maxNames: number;
  readonly #byName = new Map<string, News>();
  /** `tiers[n]` holds the news that was sent n times, oldest first, with some that is not live. */
  readonly #tiers: News[][] = [];

  constructor(maxNames: number) {
    this.#maxNames = maxNames;
  }

  /** Names with news. */
  get size(): number {
    return this.#byName.size;
  }

  /** Adds news, in place of what was to be said of that name. */
  put(update: MemberUpdate): void {
    const { name } = update.member;
    const earlier = this.#byName.get(name);
    if (earlier !== undefined) this.#drop(earlier);
    else if (this.#byName.size >= this.#maxNames) this.#dropMostSent();
    const news = { update, bytes: updateBytes(update), sent: 0, live: true };
    this.#byName.set(name, news);
    this.#tier(0).push(news);
  }

  /**
   * News for one message: to `maxBytes`, one item at least. What was sent `limit` times is let go.
   */
  take(maxBytes: number, limit: number): MemberUpdate[] {
    const picked: News[] = [];
    let room = maxBytes;
    for (const tier of this.#tiers) {
      let taken = 0;
      while (taken < tier.length) {
        const news = tier[taken]!;
        if (news.live && picked.length > 0 && news.bytes > room) break;
        taken++;
        if (!news.live) continue;
        room -= news.bytes;
        picked.push(news);
        if (room <= 0) break;
      }
      const rest = tier.length - taken;
      tier.splice(0, taken);
      if (rest > 0) break;
    }
    for (const news of picked) this.#sent(news, limit);
    return picked.map(({ update }) => update);
  }

  #sent(news: News, limit: number): void {
    news.sent++;
    if (news.sent < limit) this.#tier(news.sent).push(news);
    else this.#drop(news);
  }

  #dropMostSent(): void {
    for (const tier of this.#tiers.toReversed()) {
      const news = tier.find(({ live }) => live);
      if (news === undefined) continue;
      this.#drop(news);
      return;
    }
  }

  #drop(news: News): void {
    news.live = false;
    this.#byName.delete(news.update.member.name);
  }

  #tier(sent: number): News[] {
    while (this.#tiers.length <= sent) this.#tiers.push([]);
    return this.#tiers[sent]!;
  }
}
