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
  const next = multiplication(W, z0);
  const all = [z0];
  for (let k = 0; k < steps; k++) all.push(next(all[k]!));
  return all;
}

/** Return the gradients after 1 … t steps: the sum of (Wᵀ)^{t−1−k} z̄ (W^k z₀)ᵀ over k < t. */
export function gradients(W: Matrix, z0: Vector, zbar: Vector, steps: number): Matrix[] {
  const back = multiplication(transposed(W), zbar);
  const all: Matrix[] = [];
  let [left, right]: Matrix = [[0, 0], [0, 0]]; // the gradient's columns
  for (const [x, y] of states(W, z0, steps - 1)) {
    const [before, after] = [back(left), back(right)];
    left = [before[0] + zbar[0] * x, before[1] + zbar[1] * x];
    right = [after[0] + zbar[0] * y, after[1] + zbar[1] * y];
    all.push([[left[0], right[0]], [left[1], right[1]]]);
  }
  return all;
}

/** Return the gradients' Frobenius norms after 1 … t steps: 0 where their terms cancel but for rounding errors. */
export function sizes(W: Matrix, z0: Vector, zbar: Vector, steps: number): number[] {
  const length = (vector: Vector) => Math.hypot(...vector);
  const forward = states(W, z0, steps - 1).map(length);
  const backward = states(transposed(W), zbar, steps - 1).map(length);
  return gradients(W, z0, zbar, steps).map((gradient, t) => {
    const terms = forward.slice(0, t + 1).reduce((sum, each, k) => sum + each * backward[t - k]!, 0);
    return norm(gradient) < 1e-13 * terms ? 0 : norm(gradient);
  });
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

/**
 * Return how to multiply a vector and its images by W: by the eigenvalue alone if it is an eigenvector up to rounding.
 *
 * A product would excite the other mode by a rounding error, which grows.
 */
function multiplication(W: Matrix, [x, y]: Vector): (z: Vector) => Vector {
  const [p, q] = times(W, [x, y]);
  const square = x * x + y * y;
  const value = (p * x + q * y) / square;
  const isMode = Math.hypot(p - value * x, q - value * y) < 1e-9 * Math.sqrt(square);
  return isMode ? ([a, b]) => [value * a, value * b] : (z) => times(W, z);
}

function transposed([[a, b], [c, d]]: Matrix): Matrix {
  return [[a, c], [b, d]];
}

function times([[a, b], [c, d]]: Matrix, [x, y]: Vector): Vector {
  return [a * x + b * y, c * x + d * y];
}
