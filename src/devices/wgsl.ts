// The kernels in WGSL. Every shader has its parameters at binding 0 as 32-bit words, and walks its
// elements in strides of the whole grid, so that any size fits any grid. Where scores or ids may be
// anything they are read as bits: WGSL lets an implementation assume that floats are finite.

/** Threads of a workgroup, in every shader. */
export const GROUP_SIZE = 256;
/** Rows and columns of C that a workgroup of `gemm` computes at a time. */
export const GEMM_TILE = 64;
/** Workgroups of the first pass of `dot`, at most: the second adds one partial sum a thread. */
export const DOT_GROUPS = 256;
/** A status word that says that nothing is wrong. */
export const FINE = 0xffffffff;

const ARGUMENTS = `
  @builtin(local_invocation_index) lane: u32,
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
`;

/** A shader over `count` elements; `body` handles element `i`. */
function elementwise(head: string, count: string, body: string): string {
  return `${head}
@compute @workgroup_size(${GROUP_SIZE})
fn main(${ARGUMENTS}) {
  for (var i = group.x * ${GROUP_SIZE}u + lane; i < ${count}; i += groups.x * ${GROUP_SIZE}u) {
${body}
  }
}`;
}

function bindings(params: string, ...variables: readonly string[]): string {
  const storage = variables.map((text, i) => {
    const [access, ...rest] = text.split(' ');
    return `@group(0) @binding(${i + 1}) var<storage, ${access}> ${rest.join(' ')};`;
  });
  return [
    `struct Params { ${params} }`,
    '@group(0) @binding(0) var<uniform> p: Params;',
    ...storage,
  ].join('\n');
}

/** The sum over a workgroup of one float a thread, in `shared0`. */
const SUM = `
var<workgroup> sums: array<f32, ${GROUP_SIZE}>;
fn sumOfGroup(lane: u32, value: f32) -> f32 {
  sums[lane] = value;
  workgroupBarrier();
  for (var half = ${GROUP_SIZE / 2}u; half > 0u; half >>= 1u) {
    if (lane < half) { sums[lane] += sums[lane + half]; }
    workgroupBarrier();
  }
  let total = workgroupUniformLoad(&sums[0]);
  return total;
}`;

const UNLESS_REFUSED = `if (status[0] != ${FINE}u || status[1] != ${FINE}u) { return; }`;

const axpy = elementwise(
  bindings('n: u32, alpha: f32', 'read x: array<f32>', 'read_write y: array<f32>'),
  'p.n',
  'y[i] = fma(p.alpha, x[i], y[i]);',
);

const dot = `${bindings(
  'n: u32',
  'read x: array<f32>',
  'read y: array<f32>',
  'read_write partials: array<f32>',
)}
${SUM}
@compute @workgroup_size(${GROUP_SIZE})
fn main(${ARGUMENTS}) {
  var sum = 0.0;
  for (var i = group.x * ${GROUP_SIZE}u + lane; i < p.n; i += groups.x * ${GROUP_SIZE}u) {
    sum = fma(x[i], y[i], sum);
  }
  let total = sumOfGroup(lane, sum);
  if (lane == 0u) { partials[group.x] = total; }
}`;

const total = `${bindings('count: u32', 'read partials: array<f32>', 'read_write out: array<f32>')}
${SUM}
@compute @workgroup_size(${GROUP_SIZE})
fn main(@builtin(local_invocation_index) lane: u32) {
  var own = 0.0;
  if (lane < p.count) { own = partials[lane]; }
  let sum = sumOfGroup(lane, own);
  if (lane == 0u) { out[0] = sum; }
}`;

/** Lowers status[0] to an id that is outside, status[1] to one that comes again. */
const checkIds = (distinct: boolean) =>
  elementwise(
    bindings(
      'rows: u32, limit: u32',
      'read ids: array<u32>',
      'read_write status: array<atomic<u32>>',
      ...(distinct ? ['read_write seen: array<atomic<u32>>'] : []),
    ),
    'p.rows',
    `let id = ids[i];
    if (id >= p.limit) { atomicMin(&status[0], i); }
    ${
      distinct
        ? `else {
      let bit = 1u << (id & 31u);
      if ((atomicOr(&seen[id >> 5u], bit) & bit) != 0u) { atomicMin(&status[1], i); }
    }`
        : ''
    }`,
  );

const gather = elementwise(
  bindings(
    'n: u32, dim: u32',
    'read table: array<u32>',
    'read ids: array<u32>',
    'read_write out: array<u32>',
    'read status: array<u32>',
  ),
  'p.n',
  `${UNLESS_REFUSED}
    out[i] = table[ids[i / p.dim] * p.dim + i % p.dim];`,
);

const scatterAdd = elementwise(
  bindings(
    'n: u32, dim: u32',
    'read source: array<f32>',
    'read ids: array<u32>',
    'read_write table: array<atomic<u32>>',
    'read status: array<u32>',
  ),
  'p.n',
  `${UNLESS_REFUSED}
    let at = ids[i / p.dim] * p.dim + i % p.dim;
    var old = atomicLoad(&table[at]);
    loop {
      let sum = bitcast<u32>(bitcast<f32>(old) + source[i]);
      let result = atomicCompareExchangeWeak(&table[at], old, sum);
      if (result.exchanged) { break; }
      old = result.old_value;
    }`,
);

const adagrad = (sparse: boolean) =>
  elementwise(
    bindings(
      'n: u32, dim: u32, rate: f32, epsilon: f32',
      'read_write params: array<f32>',
      'read_write states: array<f32>',
      'read gradients: array<f32>',
      ...(sparse ? ['read ids: array<u32>', 'read status: array<u32>'] : []),
    ),
    'p.n',
    `${sparse ? UNLESS_REFUSED : ''}
    let at = ${sparse ? 'ids[i / p.dim] * p.dim + i % p.dim' : 'i'};
    let g = gradients[i];
    let sum = fma(g, g, states[at]);
    states[at] = sum;
    params[at] -= p.rate * g / (sqrt(sum) + p.epsilon);`,
  );

/** Each thread computes 4 × 4 elements of a 64 × 64 tile, 16 steps of k at a time. */
const gemm = `${bindings(
  'm: u32, n: u32, k: u32, transA: u32, transB: u32, accumulate: u32',
  'read a: array<f32>',
  'read b: array<f32>',
  'read_write c: array<f32>',
)}
var<workgroup> tileA: array<f32, 1024>;
var<workgroup> tileB: array<f32, 1024>;
@compute @workgroup_size(${GROUP_SIZE})
fn main(${ARGUMENTS}) {
  let across = (p.n + 63u) / 64u;
  let tiles = across * ((p.m + 63u) / 64u);
  let x = lane % 16u;
  let y = lane / 16u;
  for (var tile = group.x; tile < tiles; tile += groups.x) {
    let row0 = tile / across * 64u;
    let column0 = tile % across * 64u;
    var sums: array<vec4f, 4>;
    for (var k0 = 0u; k0 < p.k; k0 += 16u) {
      for (var e = lane; e < 1024u; e += ${GROUP_SIZE}u) {
        // Neighbouring threads read neighbouring floats, whichever way the operand is stored.
        var q = e % 16u;
        var r = e / 16u;
        if (p.transA != 0u) { q = e / 64u; r = e % 64u; }
        var va = 0.0;
        if (row0 + r < p.m && k0 + q < p.k) {
          va = a[select((row0 + r) * p.k + k0 + q, (k0 + q) * p.m + row0 + r, p.transA != 0u)];
        }
        tileA[q * 64u + r] = va;
        q = e / 64u;
        var s = e % 64u;
        if (p.transB != 0u) { q = e % 16u; s = e / 16u; }
        var vb = 0.0;
        if (column0 + s < p.n && k0 + q < p.k) {
          let at = (k0 + q) * p.n + column0 + s;
          vb = b[select(at, (column0 + s) * p.k + k0 + q, p.transB != 0u)];
        }
        tileB[q * 64u + s] = vb;
      }
      workgroupBarrier();
      for (var q = 0u; q < 16u; q++) {
        let at = q * 64u + x * 4u;
        let right = vec4f(tileB[at], tileB[at + 1u], tileB[at + 2u], tileB[at + 3u]);
        for (var r = 0u; r < 4u; r++) {
          sums[r] = fma(vec4f(tileA[q * 64u + y * 4u + r]), right, sums[r]);
        }
      }
      workgroupBarrier();
    }
    for (var r = 0u; r < 4u; r++) {
      let row = row0 + y * 4u + r;
      for (var s = 0u; s < 4u; s++) {
        let column = column0 + x * 4u + s;
        if (row < p.m && column < p.n) {
          let at = row * p.n + column;
          var sum = sums[r][s];
          if (p.accumulate != 0u) { sum += c[at]; }
          c[at] = sum;
        }
      }
    }
  }
}`;

/** A workgroup a row. −Infinity is masked; anything else that is not finite spoils the row. */
const softmax = `${bindings(
  'rows: u32, n: u32, scale: f32',
  'read_write scores: array<u32>',
  'read_write positives: array<u32>',
  'read_write losses: array<u32>',
)}
const MASKED = 0xff800000u;
const NOT_A_NUMBER = 0x7fc00000u;
const LEAST = -3.4e38;
var<workgroup> maxima: array<f32, ${GROUP_SIZE}>;
var<workgroup> spoiled: atomic<u32>;
${SUM}
fn shifted(bits: u32, most: f32) -> f32 {
  if (bits == MASKED) { return 0.0; }
  return exp(bitcast<f32>(bits) - most);
}
@compute @workgroup_size(${GROUP_SIZE})
fn main(${ARGUMENTS}) {
  for (var row = group.x; row < p.rows; row += groups.x) {
    let start = row * p.n;
    let own = positives[row];
    if (lane == 0u) { atomicStore(&spoiled, 0u); }
    workgroupBarrier();
    var most = LEAST;
    for (var i = lane; i <= p.n; i += ${GROUP_SIZE}u) {
      var bits = own;
      if (i < p.n) { bits = scores[start + i]; }
      if ((bits & 0x7f800000u) != 0x7f800000u) { most = max(most, bitcast<f32>(bits)); }
      else if (bits != MASKED) { atomicStore(&spoiled, 1u); }
    }
    maxima[lane] = most;
    workgroupBarrier();
    for (var half = ${GROUP_SIZE / 2}u; half > 0u; half >>= 1u) {
      if (lane < half) { maxima[lane] = max(maxima[lane], maxima[lane + half]); }
      workgroupBarrier();
    }
    most = workgroupUniformLoad(&maxima[0]);
    let bad = workgroupUniformLoad(&spoiled) != 0u;
    var sum = 0.0;
    for (var i = lane; i < p.n; i += ${GROUP_SIZE}u) { sum += shifted(scores[start + i], most); }
    let others = sumOfGroup(lane, sum);
    let total = others + shifted(own, most);
    let factor = p.scale / total;
    for (var i = lane; i < p.n; i += ${GROUP_SIZE}u) {
      var gradient = bitcast<u32>(shifted(scores[start + i], most) * factor);
      if (bad) { gradient = NOT_A_NUMBER; } else if (most == LEAST) { gradient = 0u; }
      scores[start + i] = gradient;
    }
    workgroupBarrier();
    if (lane == 0u) {
      if (bad) {
        positives[row] = NOT_A_NUMBER;
        losses[row] = NOT_A_NUMBER;
      } else if (most == LEAST) {
        positives[row] = 0u;
        losses[row] = 0u;
      } else {
        positives[row] = bitcast<u32>(-(others / total) * p.scale);
        losses[row] = bitcast<u32>(log(total) - (bitcast<f32>(own) - most));
        if (own == MASKED) { losses[row] = 0x7f800000u; }
      }
    }
    workgroupBarrier();
  }
}`;

/** Bits of float32 from bits of float16. */
const WIDEN = `fn widen(half: u32) -> u32 {
  let sign = (half & 0x8000u) << 16u;
  let magnitude = half & 0x7fffu;
  if (magnitude >= 0x7c00u) { return sign | 0x7f800000u | ((magnitude & 0x3ffu) << 13u); }
  if (magnitude < 0x400u) { return sign | bitcast<u32>(f32(magnitude) * 5.9604644775390625e-8); }
  return sign | ((magnitude << 13u) + 0x38000000u);
}`;

/** Bits of float16 from bits of float32: to the nearest, ties to even. */
const NARROW = `fn narrow(bits: u32) -> u32 {
  let sign = (bits >> 16u) & 0x8000u;
  let magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) { return sign | 0x7e00u; }
  if (magnitude >= 0x477ff000u) { return sign | 0x7c00u; }
  if (magnitude >= 0x38800000u) {
    return sign | ((magnitude - 0x38000000u + 0xfffu + ((magnitude >> 13u) & 1u)) >> 13u);
  }
  let exponent = magnitude >> 23u;
  if (exponent < 102u) { return sign; }
  let mantissa = (magnitude & 0x7fffffu) | 0x800000u;
  let shift = 126u - exponent;
  let rest = mantissa & ((1u << shift) - 1u);
  let half = 1u << (shift - 1u);
  let low = mantissa >> shift;
  return sign | (low + select(0u, 1u, rest > half || (rest == half && (low & 1u) == 1u)));
}`;

const CAST_HEAD = bindings('n: u32', 'read input: array<u32>', 'read_write result: array<u32>');

/** A thread a word of the target, so that no two write the same; what follows n stays as it is. */
function packed(perWord: number, convert: string, functions: string): string {
  const bits = 32 / perWord;
  const mask = perWord === 2 ? '0xffffu' : '0xffu';
  return elementwise(
    `${CAST_HEAD}\n${functions}`,
    `(p.n + ${perWord - 1}u) / ${perWord}u`,
    `var word = result[i];
    for (var j = 0u; j < ${perWord}u; j++) {
      let at = i * ${perWord}u + j;
      if (at < p.n) {
        let value = ${convert};
        word = (word & ~(${mask} << (j * ${bits}u))) | (value << (j * ${bits}u));
      }
    }
    result[i] = word;`,
  );
}

/** Towards zero, saturating, not-a-number to 0. */
const TRUNCATE = `fn truncated(bits: u32) -> i32 {
  if ((bits & 0x7fffffffu) > 0x7f800000u) { return 0; }
  let negative = (bits >> 31u) == 1u;
  // 2^31 and more, infinity included.
  let large = (bits & 0x7fffffffu) >= 0x4f000000u;
  if (large) { return select(0x7fffffff, i32(0x80000000u), negative); }
  return i32(bitcast<f32>(bits));
}`;

/** Adds bits under a mask to one word: what a copy that does not end on a word needs. */
const patch = `${bindings('at: u32, mask: u32, bits: u32', 'read_write data: array<u32>')}
@compute @workgroup_size(1)
fn main() { data[p.at] = (data[p.at] & ~p.mask) | p.bits; }`;

export const SHADERS = {
  axpy,
  dot,
  total,
  checkIds: checkIds(false),
  checkDistinctIds: checkIds(true),
  gather,
  scatterAdd,
  gemm,
  softmax,
  adagradDense: adagrad(false),
  adagradIds: adagrad(true),
  patch,
  'float16 float32': elementwise(
    `${CAST_HEAD}\n${WIDEN}`,
    'p.n',
    'result[i] = widen((input[i >> 1u] >> ((i & 1u) * 16u)) & 0xffffu);',
  ),
  'float32 float16': packed(2, 'narrow(input[at])', NARROW),
  'int32 float32': elementwise(CAST_HEAD, 'p.n', 'result[i] = bitcast<u32>(f32(i32(input[i])));'),
  'float32 int32': elementwise(
    `${CAST_HEAD}\n${TRUNCATE}`,
    'p.n',
    'result[i] = u32(truncated(input[i]));',
  ),
  'uint8 float32': elementwise(
    CAST_HEAD,
    'p.n',
    'result[i] = bitcast<u32>(f32((input[i >> 2u] >> ((i & 3u) * 8u)) & 0xffu));',
  ),
  'float32 uint8': packed(4, 'u32(clamp(truncated(input[at]), 0, 255))', TRUNCATE),
} as const;

export type ShaderName = keyof typeof SHADERS;
