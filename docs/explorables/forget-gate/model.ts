/** Solution 6(d): an LSTM and an RNN, and how their states depend on the first one. */

import { uniforms } from "../kit/random";

export type Vector = readonly number[];
export type Matrix = readonly Vector[];

/** Weights of the blocks of a cell, one above the other, and what its inputs and biases add in each step. */
export interface Network {
  W: Matrix;
  drives: Matrix;
}

/** What an LSTM's state after some steps owes to its first cell. */
export interface Memory {
  hidden: Vector;
  cell: Vector;
  /** ∂h_t/∂c₀ and ∂c_t/∂c₀. */
  hiddenByCell: Matrix;
  cellByCell: Matrix;
  /** The product of all forget gates: the direct path. */
  kept: Vector;
}

/**
 * Return a network distributed as PyTorch initialises it, driven by noise of variance 1.
 *
 * Weights and both biases are uniform within ±1/√units; there are as many inputs as units.
 */
export function network(seed: number, blocks: number, units: number, steps: number): Network {
  const rows = blocks * units;
  const random = uniforms(seed, rows * (2 * units + 2) + steps * units).map((each) => 2 * each - 1);
  const take = (count: number, scale: number) => random.splice(0, count).map((each) => scale * each);
  const matrix = (height: number, width: number, scale: number) => Array.from({ length: height }, () => take(width, scale));
  const bound = 1 / Math.sqrt(units);
  const W = matrix(rows, units, bound);
  const V = matrix(rows, units, bound);
  const biases = matrix(rows, 2, bound);
  const inputs = matrix(steps, units, Math.sqrt(3));
  return { W, drives: inputs.map((x) => V.map((row, index) => dot(row, x) + biases[index]![0]! + biases[index]![1]!)) };
}

/** Return an LSTM's memory after 1 … T steps, with a number added to its forget biases; blocks: i, f, g, o. */
export function lstmMemories({ W, drives }: Network, forgetBias: number, hidden: Vector, cell: Vector): Memory[] {
  const zeros = hidden.map(() => hidden.map(() => 0));
  const first = { hidden, cell, hiddenByCell: zeros, cellByCell: identity(hidden.length), kept: hidden.map(() => 1) };
  const all: Memory[] = [first];
  for (const drive of drives) all.push(lstmStep(W, drive, forgetBias, all.at(-1)!));
  return all.slice(1);
}

/** Return what one step makes of an LSTM's memory. */
function lstmStep(W: Matrix, drive: Vector, forgetBias: number, before: Memory): Memory {
  const p = before.cell.length;
  const sums = drive.map((value, row) => value + dot(W[row]!, before.hidden));
  const sumsByCell = times(W, before.hiddenByCell);
  const hidden: number[] = [];
  const cell: number[] = [];
  const kept: number[] = [];
  const hiddenByCell: number[][] = [];
  const cellByCell: number[][] = [];
  for (let unit = 0; unit < p; unit++) {
    const i = sigmoid(sums[unit]!);
    const f = sigmoid(sums[p + unit]! + forgetBias);
    const g = Math.tanh(sums[2 * p + unit]!);
    const o = sigmoid(sums[3 * p + unit]!);
    const old = before.cell[unit]!;
    const now = f * old + i * g;
    const tau = Math.tanh(now);
    const [byI, byF, byG, byO] = [g * i * (1 - i), old * f * (1 - f), i * (1 - g * g), tau * o * (1 - o)];
    const sum = (block: number, j: number) => sumsByCell[block * p + unit]![j]!;
    const row = before.cellByCell[unit]!.map((value, j) => f * value + byI * sum(0, j) + byF * sum(1, j) + byG * sum(2, j));
    cellByCell.push(row);
    hiddenByCell.push(row.map((value, j) => o * (1 - tau * tau) * value + byO * sum(3, j)));
    cell.push(now);
    hidden.push(o * tau);
    kept.push(f * before.kept[unit]!);
  }
  return { hidden, cell, hiddenByCell, cellByCell, kept };
}

/** Return ∂h_t/∂h₀ of a tanh RNN after 1 … T steps: D_t W ⋯ D_1 W, the latest factor on the left. */
export function rnnJacobians({ W, drives }: Network, hidden: Vector): Matrix[] {
  const all = [identity(hidden.length)];
  let h = hidden;
  for (const drive of drives) {
    const sums = drive.map((value, row) => value + dot(W[row]!, h));
    h = sums.map((sum) => Math.tanh(sum));
    const slopes = sums.map((sum) => Math.cosh(sum) ** -2); // 1 − tanh² would cancel
    all.push(times(W, all.at(-1)!).map((row, unit) => row.map((value) => slopes[unit]! * value)));
  }
  return all.slice(1);
}

/**
 * Return the spectral norm: the largest singular value.
 *
 * Rotations make the columns orthogonal pair by pair (one-sided Jacobi); the longest is the norm.
 */
export function norm(J: Matrix): number {
  const columns = J[0]!.map((_, j) => J.map((row) => row[j]!));
  for (let sweep = 0, turned = true; turned && sweep < 30; sweep++) {
    turned = false;
    for (let a = 0; a < columns.length; a++) {
      for (let b = a + 1; b < columns.length; b++) turned = orthogonalise(columns[a]!, columns[b]!) || turned;
    }
  }
  return Math.max(...columns.map((column) => Math.hypot(...column)));
}

/** Rotate two columns within their plane until they are orthogonal; say whether they were not. */
function orthogonalise(x: number[], y: number[]): boolean {
  const [xx, xy, yy] = [dot(x, x), dot(x, y), dot(y, y)];
  if (Math.abs(xy) <= 1e-12 * Math.sqrt(xx * yy)) return false;
  const ratio = (yy - xx) / (2 * xy);
  const tangent = (ratio < 0 ? -1 : 1) / (Math.abs(ratio) + Math.hypot(1, ratio));
  const cosine = 1 / Math.hypot(1, tangent);
  for (let k = 0; k < x.length; k++) {
    const [u, v] = [x[k]!, y[k]!];
    x[k] = cosine * (u - tangent * v);
    y[k] = cosine * (v + tangent * u);
  }
  return true;
}

function times(A: Matrix, B: Matrix): number[][] {
  const columns = B[0]!.map((_, j) => B.map((row) => row[j]!));
  return A.map((row) => columns.map((column) => dot(row, column)));
}

function dot(x: Vector, y: Vector): number {
  let sum = 0;
  for (let k = 0; k < x.length; k++) sum += x[k]! * y[k]!;
  return sum;
}

function identity(size: number): number[][] {
  return Array.from({ length: size }, (_, i) => Array.from({ length: size }, (_, j) => Number(i === j)));
}

function sigmoid(z: number): number {
  return 1 / (1 + Math.exp(-z));
}
