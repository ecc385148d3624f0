// AssemblyScript. Conversions between float32 and what else a buffer may hold. To integers: towards
// zero, saturating, not-a-number to 0. To float16: to the nearest, ties to even.

/** The float32 of half-precision bits: the exponent is rebiased by a multiplication with 2^112. */
@inline
function widen(half: u32): f32 {
  const magnitude = reinterpret<f32>((half & 0x7fff) << 13) * reinterpret<f32>(0x77800000);
  // Infinity and not-a-number come out as 2^16 and above: their exponent is all ones.
  const bits = reinterpret<u32>(magnitude) | (magnitude >= 65536 ? 0x7f800000 : 0);
  return reinterpret<f32>(bits | ((half & 0x8000) << 16));
}

/** Half-precision bits of a float32. */
@inline
function narrow(value: f32): u32 {
  const bits = reinterpret<u32>(value);
  const sign = (bits >> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00;
  // 65520 is the first float32 that rounds to infinity.
  if (magnitude >= 0x477ff000) return sign | 0x7c00;
  if (magnitude < 0x38800000) {
    // Subnormal: adding ½ makes the unit of the sum 2^-24, so that the addition rounds.
    return sign | (reinterpret<u32>(reinterpret<f32>(magnitude) + 0.5) - 0x3f000000);
  }
  const odd = (magnitude >> 13) & 1;
  return sign | ((magnitude + 0xc8000fff + odd) >> 13);
}

export function float16ToFloat32(n: usize, source: usize, target: usize): void {
  for (let i: usize = 0; i < n; i++) store<f32>(target + (i << 2), widen(load<u16>(source + (i << 1))));
}

export function float32ToFloat16(n: usize, source: usize, target: usize): void {
  for (let i: usize = 0; i < n; i++) {
    store<u16>(target + (i << 1), narrow(load<f32>(source + (i << 2))) as u16);
  }
}

export function int32ToFloat32(n: usize, source: usize, target: usize): void {
  for (let i: usize = 0; i < n; i++) store<f32>(target + (i << 2), load<i32>(source + (i << 2)) as f32);
}

export function float32ToInt32(n: usize, source: usize, target: usize): void {
  for (let i: usize = 0; i < n; i++) {
    const lanes = i32x4.trunc_sat_f32x4_s(f32x4.splat(load<f32>(source + (i << 2))));
    store<i32>(target + (i << 2), i32x4.extract_lane(lanes, 0));
  }
}

export function uint8ToFloat32(n: usize, source: usize, target: usize): void {
  for (let i: usize = 0; i < n; i++) store<f32>(target + (i << 2), load<u8>(source + i) as f32);
}

export function float32ToUint8(n: usize, source: usize, target: usize): void {
  for (let i: usize = 0; i < n; i++) {
    const lanes = i32x4.trunc_sat_f32x4_s(f32x4.splat(load<f32>(source + (i << 2))));
    store<u8>(target + i, min(max(i32x4.extract_lane(lanes, 0), 0), 255) as u8);
  }
}

/** Zeroes n bytes. */
export function zero(n: usize, target: usize): void {
  memory.fill(target, 0, n);
}
