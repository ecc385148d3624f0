// Writes a language model of a few hundred kilobytes with random weights, as a GGUF file that
// llama.cpp loads: it says nothing sensible, but reads, caches and generates as large ones do.
// Layout: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, version 3.
import type { Prng } from '../../../src/core/index.ts';

const ALIGNMENT = 32;
const EMBEDDING = 64;
const HEADS = 4;
const LAYERS = 2;
const FEED_FORWARD = 128;
const CONTEXT = 4_096;
const F32 = 0;

const TYPES = { uint32: 4, int32: 5, float32: 6, string: 8, array: 9 } as const;
/** What a token is to the tokenizer. */
const TOKEN = { normal: 1, unknown: 2, control: 3, byte: 6 } as const;

class Bytes {
  readonly #parts: Buffer[] = [];
  length = 0;

  add(part: Buffer): this {
    this.#parts.push(part);
    this.length += part.length;
    return this;
  }

  uint32(value: number): this {
    const part = Buffer.alloc(4);
    part.writeUInt32LE(value);
    return this.add(part);
  }

  uint64(value: number): this {
    const part = Buffer.alloc(8);
    part.writeBigUInt64LE(BigInt(value));
    return this.add(part);
  }

  float32(value: number): this {
    const part = Buffer.alloc(4);
    part.writeFloatLE(value);
    return this.add(part);
  }

  string(text: string): this {
    const part = Buffer.from(text);
    return this.uint64(part.length).add(part);
  }

  align(): this {
    return this.add(Buffer.alloc((ALIGNMENT - (this.length % ALIGNMENT)) % ALIGNMENT));
  }

  whole(): Buffer {
    return Buffer.concat(this.#parts);
  }
}

/** The tokens are the 256 bytes, after what every tokenizer of this kind begins with. */
function vocabulary(): { readonly text: string; readonly type: number }[] {
  const bytes = Array.from({ length: 256 }, (_, byte) => ({
    text: `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`,
    type: TOKEN.byte,
  }));
  return [
    { text: '<unk>', type: TOKEN.unknown },
    { text: '<s>', type: TOKEN.control },
    { text: '</s>', type: TOKEN.control },
    ...bytes,
    { text: '▁', type: TOKEN.normal },
  ];
}

type Field = readonly [key: string, type: keyof typeof TYPES, value: number | string];

const FIELDS: readonly Field[] = [
  ['general.architecture', 'string', 'llama'],
  ['general.name', 'string', 'tiny'],
  ['llama.context_length', 'uint32', CONTEXT],
  ['llama.embedding_length', 'uint32', EMBEDDING],
  ['llama.block_count', 'uint32', LAYERS],
  ['llama.feed_forward_length', 'uint32', FEED_FORWARD],
  ['llama.attention.head_count', 'uint32', HEADS],
  ['llama.attention.head_count_kv', 'uint32', HEADS],
  ['llama.rope.dimension_count', 'uint32', EMBEDDING / HEADS],
  ['llama.attention.layer_norm_rms_epsilon', 'float32', 1e-5],
  ['tokenizer.ggml.model', 'string', 'llama'],
  ['tokenizer.ggml.unknown_token_id', 'uint32', 0],
  ['tokenizer.ggml.bos_token_id', 'uint32', 1],
  ['tokenizer.ggml.eos_token_id', 'uint32', 2],
];

function shapes(tokens: number): [name: string, shape: readonly number[]][] {
  const square = [EMBEDDING, EMBEDDING];
  const layer = (index: number): [string, readonly number[]][] => [
    [`blk.${index}.attn_norm.weight`, [EMBEDDING]],
    [`blk.${index}.attn_q.weight`, square],
    [`blk.${index}.attn_k.weight`, square],
    [`blk.${index}.attn_v.weight`, square],
    [`blk.${index}.attn_output.weight`, square],
    [`blk.${index}.ffn_norm.weight`, [EMBEDDING]],
    [`blk.${index}.ffn_gate.weight`, [EMBEDDING, FEED_FORWARD]],
    [`blk.${index}.ffn_up.weight`, [EMBEDDING, FEED_FORWARD]],
    [`blk.${index}.ffn_down.weight`, [FEED_FORWARD, EMBEDDING]],
  ];
  return [
    ['token_embd.weight', [EMBEDDING, tokens]],
    ...Array.from({ length: LAYERS }, (_, index) => layer(index)).flat(),
    ['output_norm.weight', [EMBEDDING]],
    ['output.weight', [EMBEDDING, tokens]],
  ];
}

export function tinyModel(prng: Prng): Buffer {
  const tokens = vocabulary();
  const tensors = shapes(tokens.length);
  const head = new Bytes().add(Buffer.from('GGUF')).uint32(3);
  head.uint64(tensors.length).uint64(FIELDS.length + 3);
  for (const [key, type, value] of FIELDS) {
    head.string(key).uint32(TYPES[type]);
    if (type === 'string') head.string(String(value));
    else if (type === 'float32') head.float32(Number(value));
    else head.uint32(Number(value));
  }
  const array = (key: string, type: keyof typeof TYPES) =>
    head.string(key).uint32(TYPES.array).uint32(TYPES[type]).uint64(tokens.length);
  array('tokenizer.ggml.tokens', 'string');
  for (const { text } of tokens) head.string(text);
  array('tokenizer.ggml.scores', 'float32');
  for (const _ of tokens) head.float32(0);
  array('tokenizer.ggml.token_type', 'int32');
  for (const { type } of tokens) head.uint32(type);

  const data = new Bytes();
  for (const [name, shape] of tensors) {
    head.string(name).uint32(shape.length);
    for (const size of shape) head.uint64(size);
    head.uint32(F32).uint64(data.length);
    const count = shape.reduce((product, size) => product * size, 1);
    // Norms are around 1, and the rest is small, so that nothing grows from layer to layer.
    const values = Float32Array.from({ length: count }, () =>
      shape.length === 1 ? 1 : prng.normal() / Math.sqrt(EMBEDDING),
    );
    data.add(Buffer.from(values.buffer)).align();
  }
  return head.align().add(data.whole()).whole();
}
