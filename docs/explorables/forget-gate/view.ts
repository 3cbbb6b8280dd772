/** The forget gate: one bias by hand, and what an LSTM's last cell still owes to its first. */

import { computed, signal } from "@preact/signals-core";
import { svg } from "../kit/element";
import { finest, typeset } from "../kit/numbers";
import { curve, dots, label, panel, type Panel, type Point } from "../kit/panel";
import { button, slider, stage } from "../kit/stage";
import { lstmMemories, network, norm, rnnJacobians } from "./model";

const UNITS = 8;
const STEPS = 50;
const SEED = 13;
const LABEL = 36; // the step over which a curve's name begins
const EXPONENTS: Point = [-16, 3];
const REST = Array<number>(UNITS).fill(0); // hidden states and cells start at 0

export function view(): HTMLElement {
  const bias = signal(1);
  const steps = signal(20);
  const seed = signal(SEED);
  const lstm = computed(() => network(seed.value, 4, UNITS, STEPS));
  const memories = computed(() => lstmMemories(lstm.value, bias.value, REST, REST));
  const direct = computed(() => memories.value.map(({ kept }) => Math.max(...kept)));
  const whole = computed(() => memories.value.map(({ cellByCell }) => norm(cellByCell)));
  const rnn = computed(() => rnnJacobians(network(seed.value, 1, UNITS, STEPS), REST).map(norm));
  const now = computed(() => memories.value[steps.value - 1]!);
  const above = () => (whole.value[STEPS - 1]! > direct.value[STEPS - 1]! ? 1 : -1);

  const sizes = panel("size of ∂*c*/∂*c*₀ (RNN: ∂*h*/∂*h*₀)", { range: [0, STEPS + 1], label: "steps *t*" }, { range: EXPONENTS, label: "", powers: true });
  const line = (values: typeof direct, kind: string) => curve(sizes, () => exponents(values.value), { class: `line ${kind}` });
  const mark = (values: typeof direct, kind: string) =>
    dots(sizes, () => [exponents(values.value)[steps.value]!], 4, { class: `fill ${kind}` });
  sizes.draw(
    curve(sizes, () => [[steps.value, -99], [steps.value, 99]], { class: "mode" }),
    line(rnn, "is-faint"),
    line(whole, "is-warm"),
    line(direct, "is-accent"),
    mark(rnn, "is-faint"),
    mark(whole, "is-warm"),
    mark(direct, "is-accent"),
    label(sizes, () => end(whole.value, above()), "whole LSTM", [-4, 4], { class: "is-warm", "text-anchor": "end" }),
    label(sizes, () => end(direct.value, -above()), "direct path", [-4, 4], { class: "is-accent", "text-anchor": "end" }),
    label(sizes, () => leaving(rnn.value), "RNN", [-7, 4], { class: "is-faint", "text-anchor": "end" }),
  );

  const entries = panel("∂*c*/∂*c*₀: areas are sizes, blue is direct", { range: [0, UNITS], label: "column: unit at 0, row: unit at *T*", bare: true }, { range: [0, UNITS], label: "", bare: true }, { equal: true, className: "is-matrix" });
  const largest = () => Math.max(...now.value.kept, ...now.value.cellByCell.flat().map(Math.abs));
  entries.draw(
    curve(entries, () => [[0, 0], [UNITS, 0], [UNITS, UNITS], [0, UNITS], [0, 0]], { class: "mode" }),
    squares(entries, () => now.value.cellByCell.map((row) => row.map((value) => value / largest())), "is-warm"),
    squares(entries, () => now.value.kept.map((value, i) => REST.map((_, j) => (i === j ? value / largest() : 0))), "is-accent"),
  );

  return stage({
    name: "Forget gate",
    panels: [sizes, entries],
    controls: [
      slider({ name: "forget bias", value: bias, range: [0, 6], step: 0.1, show: (value) => finest(value, 1) }),
      slider({ name: "steps *T*", value: steps, range: [1, STEPS], step: 1, show: String }),
      button("Other weights", () => seed.value++),
    ],
    summary: () =>
      `With ${finest(bias.value, 1)} added to the forget biases and *T* = ${steps.value}, the direct path keeps at most ${typeset(direct.value[steps.value - 1]!, 2)}; ` +
      `the whole Jacobian has norm ${typeset(whole.value[steps.value - 1]!, 2)}, the RNN’s ${typeset(rnn.value[steps.value - 1]!, 2)}.`,
    state: [bias, steps, seed],
  });
}

/** Return a matrix as squares whose areas are the sizes of its entries; 1 fills its place. */
function squares(on: Panel, entries: () => readonly (readonly number[])[], kind: string): SVGElement {
  const square = (value: number, row: number, column: number) => {
    const half = 0.47 * Math.sqrt(Math.abs(value));
    const [left, top] = on.toPixels([column + 0.5 - half, UNITS - row - 0.5 + half]);
    const [right] = on.toPixels([column + 0.5 + half, 0]);
    const side = (right - left).toFixed(2);
    return `M${left.toFixed(2)} ${top.toFixed(2)}h${side}v${side}h-${side}z`;
  };
  return svg("path", { class: `fill ${kind}`, d: () => entries().flatMap((row, i) => row.map((value, j) => square(value, i, j))).join("") });
}

/** Return the points of a curve that starts at 1. */
function exponents(values: readonly number[]): Point[] {
  return [1, ...values].map((size, t) => [t, Math.log10(size)]);
}

/** Return where a curve's name stands: over its end or under it, inside the panel. */
function end(values: readonly number[], side: number): Point {
  const [last, earlier] = [STEPS, LABEL].map((t) => Math.log10(values[t - 1]!)) as [number, number];
  const exponent = side > 0 ? Math.max(last + 0.9, earlier + 0.5) : Math.min(last, earlier) - 1.4;
  return [STEPS, Math.min(Math.max(exponent, EXPONENTS[0] + 2), EXPONENTS[1] - 0.6)];
}

/** Return where a falling curve is near the lower edge. */
function leaving(values: readonly number[]): Point {
  const at = exponents(values).find(([, exponent]) => exponent < EXPONENTS[0] + 0.8);
  return at ?? end(values, -1);
}
