// A reporter that prints one line for each suite that was skipped, as the last of the run: what was
// not tested, and the command that enables it. Nothing when everything ran.

interface TestEvent {
  readonly type: string;
  readonly data: { readonly name?: string; readonly skip?: string | boolean };
}

/** `source`: the events of `node:test`. */
export default async function* skippedReporter(
  source: AsyncIterable<TestEvent>,
): AsyncGenerator<string> {
  const skipped = new Map<string, number>();
  for await (const { type, data } of source) {
    if (type !== 'test:pass' || typeof data.skip !== 'string') continue;
    skipped.set(data.skip, (skipped.get(data.skip) ?? 0) + 1);
  }
  for (const [why, count] of skipped) {
    yield `skipped: ${count === 1 ? '1 test' : `${count} tests`}: ${why}\n`;
  }
}
