/** Solution 6(a): a linear recurrence of two units, its states, and the gradient of its weights. */

export type Vector = readonly [number, number];
export type Matrix = readonly [Vector, Vector];

/**
 * Return a matrix with two given eigenvalues: both real, or one the conjugate of the other.
 *
 * Where they coincide it has one eigenvector only.
 */
export function matrixWith(first: Vector, second: Vector): Matrix {
  const [a, b] = first;
  return b === 0 ? [[a, 1], [0, second[0]]] : [[a, 1], [-b * b, a]];
}

/** Return the states z₀ … z_t. */
export function states(W: Matrix, z0: Vector, steps: number): Vector[] {
  const all = [z0];
  for (let k = 0; k < steps; k++) all.push(times(W, all[k]!));
  return all;
}

/** Return the gradients after 1 … t steps: the sum of (Wᵀ)^{t−1−k} z̄ (W^k z₀)ᵀ over k < t. */
export function gradients(W: Matrix, z0: Vector, zbar: Vector, steps: number): Matrix[] {
  const all: Matrix[] = [];
  let [[a, b], [c, d]]: Matrix = [[0, 0], [0, 0]];
  for (const [x, y] of states(W, z0, steps - 1)) {
    const [[p, q], [r, s]] = W;
    [a, b, c, d] = [
      p * a + r * c + zbar[0] * x,
      p * b + r * d + zbar[0] * y,
      q * a + s * c + zbar[1] * x,
      q * b + s * d + zbar[1] * y,
    ];
    all.push([[a, b], [c, d]]);
  }
  return all;
}

/** Return t ‖z̄‖ ‖W^{t−1} z₀‖ for 1 … t steps: right for one unit, for more a bound from neither side. */
export function sizesAsForNumbers(W: Matrix, z0: Vector, zbar: Vector, steps: number): number[] {
  return states(W, z0, steps - 1).map((z, k) => (k + 1) * Math.hypot(...zbar) * Math.hypot(...z));
}

/** Return the Frobenius norm. */
export function norm(W: Matrix): number {
  return Math.hypot(...W[0], ...W[1]);
}

/** Return the directions of real modes: of W (where the state stays) and of Wᵀ (the adjoint's). */
export function modes(first: Vector, second: Vector): { state: Vector[]; adjoint: Vector[] } {
  if (first[1] !== 0) return { state: [], adjoint: [] };
  const gap = second[0] - first[0];
  return { state: [[1, 0], [1, gap]], adjoint: [[-gap, 1], [0, 1]] };
}

function times([[a, b], [c, d]]: Matrix, [x, y]: Vector): Vector {
  return [a * x + b * y, c * x + d * y];
}
