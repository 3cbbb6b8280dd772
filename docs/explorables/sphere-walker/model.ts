/** Solution 3(b): gradient descent on scale-invariant losses of two weights, with decay and momentum. */

export type Vector = readonly [number, number];
export type Pushes = "one way" | "by a coin";

/** How a walk goes: learning rate η, weight decay λ, momentum β. */
export interface Rates {
  rate: number;
  decay: number;
  momentum: number;
}

/**
 * Return the gradient at x of a scale-invariant loss that pushes with the size |g| on the unit circle.
 *
 * It is orthogonal to x and has the size |g|/‖x‖; for g > 0 its step turns x to the left.
 */
export function gradient([x, y]: Vector, g: number): Vector {
  const square = x * x + y * y;
  return [(g * y) / square, (-g * x) / square];
}

/** Return one push a step, all of size 1: all to the left, or left and right by a seeded coin. */
export function pushes(kind: Pushes, steps: number): number[] {
  let state = 546;
  return Array.from({ length: steps }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return kind === "one way" || state < 2 ** 31 ? 1 : -1;
  });
}

/** Return the points of the walk v ← βv + ∇f(x) + λx, x ← x − ηv from rest, the start first. */
export function walk(start: Vector, { rate, decay, momentum }: Rates, pushes: readonly number[]): Vector[] {
  const points = [start];
  let velocity: Vector = [0, 0];
  for (const [k, push] of pushes.entries()) {
    const [x, y] = points[k]!;
    const [down, along] = gradient([x, y], push);
    velocity = [momentum * velocity[0] + down + decay * x, momentum * velocity[1] + along + decay * y];
    points.push([x - rate * velocity[0], y - rate * velocity[1]]);
  }
  return points;
}

/** Return the angle by which each step turns the direction. */
export function angles(points: readonly Vector[]): number[] {
  return points.slice(1).map(([x, y], k) => {
    const [a, b] = points[k]!;
    return Math.abs(Math.atan2(a * y - b * x, a * x + b * y));
  });
}

/** Return the angle at which decay and the growth of the length balance, if the length is constant. */
export function equilibriumAngle({ rate, decay, momentum }: Rates): number {
  return 2 * Math.asin(Math.sqrt((rate * decay) / (1 + momentum) / 2));
}

/**
 * Return the length at which they balance, for pushes of size 1 that all go one way.
 *
 * In the balance velocity and x turn alike, by the angle θ. So ‖v‖ |1 − β e^{−iθ}| = ‖∇f(x) + λx‖,
 * in which the two terms on the right are orthogonal, and ‖v‖² = 2λr²/(η(1 + β)).
 */
export function equilibriumLength({ rate, decay, momentum }: Rates): number {
  const ratio = (1 + momentum) / (1 - momentum);
  return ((rate * ratio ** 2) / (decay * (2 * (1 + momentum) - rate * decay))) ** 0.25;
}
