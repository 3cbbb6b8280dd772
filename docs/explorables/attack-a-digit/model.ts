/** Solution 5: a linear classifier, the gradient of its loss at a picture, and changes of one size. */

export interface Classifier {
  weights: readonly (readonly number[])[];
  bias: readonly number[];
}

/** Return a score for each class. */
export function logits({ weights, bias }: Classifier, x: readonly number[]): number[] {
  return weights.map((row, k) => row.reduce((sum, weight, j) => sum + weight * x[j]!, bias[k]!));
}

/** Return the softmax of scores, without overflow. */
export function probabilities(scores: readonly number[]): number[] {
  const most = Math.max(...scores);
  const powers = scores.map((score) => Math.exp(score - most));
  const sum = powers.reduce((total, power) => total + power, 0);
  return powers.map((power) => power / sum);
}

/** Return the cross-entropy loss at a picture. */
export function loss(classifier: Classifier, x: readonly number[], label: number): number {
  const scores = logits(classifier, x);
  const most = Math.max(...scores);
  const sum = scores.reduce((total, score) => total + Math.exp(score - most), 0);
  return Math.log(sum) + most - scores[label]!;
}

/** Return the gradient of the loss with respect to the pixels: Σ p_k (W_k − W_label), in which nothing cancels. */
export function inputGradient(classifier: Classifier, x: readonly number[], label: number): number[] {
  const { weights } = classifier;
  const p = probabilities(logits(classifier, x));
  return x.map((_, j) => weights.reduce((sum, row, k) => sum + p[k]! * (row[j]! - weights[label]![j]!), 0));
}

/** Return the change of size ε in the sense of the largest entry: ε times the signs of a direction. */
export function corner(direction: readonly number[], eps: number): number[] {
  return direction.map((entry) => eps * Math.sign(entry));
}

/** Return the change along a direction whose largest entry is ε. */
export function along(direction: readonly number[], eps: number): number[] {
  const most = Math.max(...direction.map(Math.abs));
  return direction.map((entry) => (most === 0 ? 0 : (eps * entry) / most));
}

/** Return a changed picture; a pixel stays within 0 and 1. */
export function changed(x: readonly number[], change: readonly number[]): number[] {
  return x.map((value, j) => Math.min(Math.max(value + change[j]!, 0), 1));
}
