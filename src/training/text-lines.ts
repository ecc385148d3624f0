// Cuts a stream of bytes into lines of text. Memory is bounded by the longest allowed line: a
// longer one is passed over as undefined.

/** One line, without its line break; `text` is undefined when it was too long. */
export interface TextLine {
  text: string | undefined;
}

/**
 * The lines of a UTF-8 stream (`\n` or `\r\n`; a byte-order mark is dropped). The object yielded is
 * the same each time: take the text, do not keep the object.
 */
export async function* splitLines(
  source: AsyncIterable<Uint8Array | string>,
  maxLineBytes: number,
): AsyncGenerator<TextLine> {
  const decoder = new TextDecoder();
  const line: TextLine = { text: undefined };
  let rest = '';
  let tooLong = false;
  for await (const chunk of source) {
    const text = typeof chunk === 'string' ? chunk : decoder.decode(chunk, { stream: true });
    let at = 0;
    for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n', at)) {
      const whole = rest === '' ? text.slice(at, end) : rest + text.slice(at, end);
      line.text = tooLong || whole.length > maxLineBytes ? undefined : withoutReturn(whole);
      rest = '';
      tooLong = false;
      at = end + 1;
      yield line;
    }
    if (!tooLong) rest += text.slice(at);
    if (rest.length > maxLineBytes) {
      tooLong = true;
      rest = '';
    }
  }
  rest += decoder.decode();
  if (rest === '' && !tooLong) return;
  line.text = tooLong ? undefined : withoutReturn(rest);
  yield line;
}

function withoutReturn(text: string): string {
  return text.endsWith('\r') ? text.slice(0, -1) : text;
}
