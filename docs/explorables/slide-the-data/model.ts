/** Solution 1(d): ridge regression on a line, with the intercept penalised like the slope or left free. */

import type { Point } from "../kit/panel";

export interface Line {
  slope: number;
  intercept: number;
}

/**
 * Return the line w x + c that minimises ∑ (w xᵢ + c − yᵢ)² + λ w², with λ c² added if the intercept is penalised.
 *
 * The derivative in c vanishes where c = v − w u, with u and v the sums of x and y over N, or N + λ; put into the
 * other equation that leaves w.
 */
export function ridge(points: readonly Point[], penalty: number, penalised: boolean): Line {
  const sum = (of: (point: Point) => number) => points.reduce((total, point) => total + of(point), 0);
  const count = points.length + (penalised ? penalty : 0);
  const u = sum(([x]) => x) / count;
  const v = sum(([, y]) => y) / count;
  const slope = sum(([x, y]) => x * (y - v)) / (sum(([x]) => x * (x - u)) + penalty);
  return { slope, intercept: v - slope * u };
}
