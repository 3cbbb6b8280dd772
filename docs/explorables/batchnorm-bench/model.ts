/** Solutions 1(a) and 1(b): batch norm of one channel in both modes, its running statistics, and a ReLU after it. */

export type Values = readonly number[];

export interface Statistics {
  mean: number;
  variance: number;
}

export const EPSILON = 1e-5; // PyTorch's

/** Return γ (z − mean) / √(variance + ε) + β: in eval mode the statistics are the running ones. */
export function normalise(z: Values, { mean, variance }: Statistics, gamma: number, beta: number): number[] {
  const factor = gamma / Math.sqrt(variance + EPSILON);
  return z.map((value) => factor * (value - mean) + beta);
}

/** Return what training mode does: normalise by the batch's own mean and biased variance. */
export function normaliseInTraining(z: Values, gamma: number, beta: number): number[] {
  return normalise(z, { mean: mean(z), variance: deviations(z) / z.length }, gamma, beta);
}

/** Return the running mean and the running *unbiased* variance after batches in training mode. */
export function runningStatistics(batches: readonly Values[], momentum: number, start: Statistics = { mean: 0, variance: 1 }): Statistics {
  return batches.reduce(
    (running, z) => ({
      mean: (1 - momentum) * running.mean + momentum * mean(z),
      variance: (1 - momentum) * running.variance + (momentum * deviations(z)) / (z.length - 1),
    }),
    start,
  );
}

/** Return by what the output in eval mode is off, some training batches after a bias before batch norm was moved. */
export function offsetInEval(shift: number, batches: number, gamma: number, variance: number, momentum: number): number {
  return (gamma * shift * (1 - momentum) ** batches) / Math.sqrt(variance + EPSILON);
}

/** Return the share of normal values with mean β and standard deviation |γ| that a ReLU sets to 0: Φ(−β/|γ|). */
export function shareOff(beta: number, gamma: number): number {
  return normalCdf(-beta / Math.abs(gamma));
}

/** Return Φ(z): near 0 by its series, in the tails by a continued fraction. */
function normalCdf(z: number): number {
  if (z > 0) return 1 - normalCdf(-z);
  const density = Math.exp((-z * z) / 2) / Math.sqrt(2 * Math.PI);
  if (z > -3) {
    let term = z;
    let sum = z;
    for (let odd = 3; odd < 100; odd += 2) sum += term *= (z * z) / odd;
    return 0.5 + density * sum;
  }
  let tail = -z;
  for (let k = 60; k > 0; k--) tail = k / tail - z;
  return density / tail;
}

function mean(z: Values): number {
  return z.reduce((sum, value) => sum + value, 0) / z.length;
}

/** Return the sum of the squared deviations from the mean. */
function deviations(z: Values): number {
  const middle = mean(z);
  return z.reduce((sum, value) => sum + (value - middle) ** 2, 0);
}
