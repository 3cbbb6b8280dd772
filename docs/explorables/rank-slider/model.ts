/** Solution 2(b): digits from the first directions of the singular value decomposition. */

/** Return the mean and the part of x − mean along the first directions (orthonormal rows). */
export function reconstruct(
  directions: readonly (readonly number[])[],
  mean: readonly number[],
  x: readonly number[],
  rank: number,
): number[] {
  const result = [...mean];
  for (const direction of directions.slice(0, rank)) {
    const code = direction.reduce((sum, entry, j) => sum + entry * (x[j]! - mean[j]!), 0);
    direction.forEach((entry, j) => {
      result[j]! += code * entry;
    });
  }
  return result;
}

/** Return the sum of the squared singular values after the first so many. */
export function tail(singularValues: readonly number[], rank: number): number {
  return singularValues.slice(rank).reduce((sum, value) => sum + value * value, 0);
}

/** Return each square's share of their sum. */
export function shares(singularValues: readonly number[]): number[] {
  const all = tail(singularValues, 0);
  return singularValues.map((value) => (value * value) / all);
}
