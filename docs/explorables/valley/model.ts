/** Solution 2(d): the loss (x − ab)² of three numbers, and gradient descent on it. */

export type Vector = readonly [number, number];

/** Return (x − ab)². */
export function loss(x: number, [a, b]: Vector): number {
  return (x - a * b) ** 2;
}

/** Return the gradient with respect to (a, b): −2Rb and −2Ra with the residual R = x − ab. */
export function gradient(x: number, [a, b]: Vector): Vector {
  const residual = x - a * b;
  return [-2 * residual * b, -2 * residual * a];
}

/**
 * Return the points of gradient descent, the start first.
 *
 * It ends early at the last point whose loss a double can hold.
 */
export function descend(x: number, start: Vector, rate: number, steps: number): Vector[] {
  const path = [start];
  for (let k = 0; k < steps; k++) {
    const [a, b] = path[k]!;
    const [down, along] = gradient(x, [a, b]);
    const next = [a - rate * down, b - rate * along] as const;
    if (!Number.isFinite(loss(x, next))) break;
    path.push(next);
  }
  return path;
}

/**
 * Return points of the upper branch, b > 0, of the hyperbola on which ab has a value.
 *
 * The other branch is its mirror image in the origin. Each is a contour, because the loss depends
 * on ab alone. For ab = 0 they are the axes, and the branch has a corner.
 */
export function branch(product: number, reach: number, count: number): Vector[] {
  if (product === 0) return [[0, reach], [0, 0], [reach, 0]];
  if (product < 0) return branch(-product, reach, count).map(([a, b]) => [-a, b]);
  const nearest = product / reach;
  return Array.from({ length: count }, (_, k) => {
    const a = nearest * (reach / nearest) ** (k / (count - 1));
    return [a, product / a];
  });
}
