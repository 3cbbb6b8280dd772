/** Solution 6(c): the loss of a recurrent unit after 50 steps, its gradient, clipping, and descent. */

export type Vector = readonly [number, number];

const STEPS = 50;
const START = 0.5;
const TARGET = 0.7;

/** Return σ(x₅₀) − 0.7, where x₀ = ½ and x ← w σ(x) + b in each step. */
export function residual([w, b]: Vector): number {
  let x = START;
  for (let k = 0; k < STEPS; k++) x = w * sigmoid(x) + b;
  return sigmoid(x) - TARGET;
}

/** Return the loss, the square of the residual. */
export function loss(point: Vector): number {
  return residual(point) ** 2;
}

/** Return the gradient of the loss, its derivatives carried along with the state. */
export function gradient([w, b]: Vector): Vector {
  let [x, alongW, alongB] = [START, 0, 0];
  for (let k = 0; k < STEPS; k++) {
    const s = sigmoid(x);
    const slope = w * s * (1 - s);
    [x, alongW, alongB] = [w * s + b, s + slope * alongW, 1 + slope * alongB];
  }
  const s = sigmoid(x);
  const outer = 2 * (s - TARGET) * s * (1 - s);
  return [outer * alongW, outer * alongB];
}

/** Return a gradient shortened to a length, if it is longer. */
export function clipByNorm(gradient: Vector, limit: number): Vector {
  const norm = Math.hypot(...gradient);
  return norm > limit ? [(limit * gradient[0]) / norm, (limit * gradient[1]) / norm] : gradient;
}

/** Return a gradient with each entry clipped to [−limit, limit]. */
export function clipByValue(gradient: Vector, limit: number): Vector {
  const [first, second] = gradient.map((entry) => Math.min(Math.max(entry, -limit), limit));
  return [first!, second!];
}

const CLIPS = { norm: clipByNorm, value: clipByValue, not: (gradient: Vector) => gradient };
export type Clip = keyof typeof CLIPS;

/** Return the points of gradient descent, the start first; it ends early where a double overflows. */
export function descend(start: Vector, rate: number, clip: Clip, limit: number, steps: number): Vector[] {
  const path = [start];
  for (let k = 0; k < steps; k++) {
    const [w, b] = path[k]!;
    const [first, second] = CLIPS[clip](gradient([w, b]), limit);
    const next = [w - rate * first, b - rate * second] as const;
    if (!next.every(Number.isFinite)) break;
    path.push(next);
  }
  return path;
}

/** Return the length of the longest step that clipping allows. */
export function ceiling(rate: number, clip: Clip, limit: number): number {
  return { norm: 1, value: Math.SQRT2, not: Infinity }[clip] * rate * limit;
}

/** Return the lengths of a path's steps. */
export function steps(path: readonly Vector[]): number[] {
  return path.slice(1).map(([w, b], k) => Math.hypot(w - path[k]![0], b - path[k]![1]));
}

/**
 * Return the b in a range at which the residual has a value, or the end of the range that is nearer.
 *
 * For w > 0 the residual grows with b, as each step does. So every contour of the loss is the graph
 * of a function of w, one on either side of the loss's zeros, and bisection finds it.
 */
export function contour(w: number, value: number, [from, to]: Vector, halvings: number): number {
  for (let k = 0; k < halvings; k++) {
    const middle = (from + to) / 2;
    [from, to] = residual([w, middle]) < value ? [middle, to] : [from, middle];
  }
  return (from + to) / 2;
}

function sigmoid(x: number): number {
  return 1 / (1 + Math.exp(-x));
}
