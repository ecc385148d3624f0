// Prompts for the tests of routing.
import { PromptKeyBuilder } from '../../src/routing/index.ts';
import type { PromptKey } from '../../src/routing/index.ts';

const builder = new PromptKeyBuilder();

/** A text of which no two blocks are alike; other seeds, other blocks. */
export function textOf(seed: number, characters: number): string {
  let text = '';
  for (let at = 0; text.length < characters; at++) text += `${seed}.${at};`;
  return text.slice(0, characters);
}

/** The key of a prompt without messages. */
export function keyOfText(text: string, model = 'm'): PromptKey {
  builder.begin(model);
  builder.text(text);
  return builder.finish();
}

/** The key of a conversation: roles and contents in turn. */
export function keyOfMessages(...messages: readonly (readonly [string, string])[]): PromptKey {
  builder.begin('m');
  for (const [role, content] of messages) builder.message(role, content);
  return builder.finish();
}
