/** Random numbers that are the same for the same seed, in every browser. */

/** Return numbers between 0 and 1 (mulberry32). */
export function uniforms(seed: number, count: number): number[] {
  return Array.from({ length: count }, (_, index) => {
    let a = (seed + (index + 1) * 0x6d2b79f5) | 0;
    a = Math.imul(a ^ (a >>> 15), a | 1);
    a ^= a + Math.imul(a ^ (a >>> 7), a | 61);
    return ((a ^ (a >>> 14)) >>> 0) / 2 ** 32;
  });
}

/** Return standard normal numbers (Box and Muller). */
export function normals(seed: number, count: number): number[] {
  const random = uniforms(seed, 2 * count);
  return Array.from({ length: count }, (_, index) => {
    const radius = Math.sqrt(-2 * Math.log(1 - random[2 * index]!));
    return radius * Math.cos(2 * Math.PI * random[2 * index + 1]!);
  });
}
