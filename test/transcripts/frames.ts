// Cuts recorded bytes into frames and describes them for readers of a transcript.
import { MUX_FLAGS, MUX_HEADER_BYTES, readU32 } from '../../src/wire/index.ts';

const FLAG_NAMES = new Map<number, string>([
  [0, 'data'],
  ...Object.entries(MUX_FLAGS).map(([name, flag]): [number, string] => [flag, name]),
]);

/** Whole frames at the start of `bytes`, and what is left. */
export function cutFrames(bytes: Buffer): { frames: Buffer[]; rest: Buffer } {
  const frames: Buffer[] = [];
  let at = 0;
  while (bytes.length - at >= MUX_HEADER_BYTES) {
    const end = at + MUX_HEADER_BYTES + (readU32(bytes, at + 4) & 0xffffff);
    if (end > bytes.length) break;
    frames.push(bytes.subarray(at, end));
    at = end;
  }
  return { frames, rest: bytes.subarray(at) };
}

/** `stream 1: open control "hello"`, as a comment says it. */
export function describeFrame(frame: Buffer): string {
  const flag = frame[7]!;
  const name = FLAG_NAMES.get(flag) ?? `flag ${flag}`;
  const payload = frame.subarray(MUX_HEADER_BYTES);
  const readable = payload.toString('latin1').replaceAll(/[^ -~]/g, '.');
  return `stream ${readU32(frame, 0)}: ${name}, ${payload.length} bytes  ${readable}`.trimEnd();
}
