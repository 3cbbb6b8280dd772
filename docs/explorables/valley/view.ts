/** The valley: gradient descent on (x − ab)² from a start that is moved by hand. */

import { computed, signal } from "@preact/signals-core";
import { handle } from "../kit/handle";
import { decimals, typeset } from "../kit/numbers";
import { curve, dots, label, panel, type Point } from "../kit/panel";
import { slider, stage } from "../kit/stage";
import { branch, descend, loss } from "./model";

const STEPS = 160;
const REACH = 2.2;
const PLANE: Point = [-REACH, REACH];
const LIMITS: Point = [-2, 2];
const EXPONENTS: Point = [-8, 2];
const NEAR = 0.02; // a + b this small is meant to be 0, where it is set with a pointer
const SPACING = 0.4; // of the contours, in the root of the loss

export function view(): HTMLElement {
  const start = signal<Point>([-1.199, 1.2]);
  const x = signal(1);
  const rate = signal(0.05);
  const path = computed(() => descend(x.value, start.value, rate.value, STEPS));
  const losses = computed(() => path.value.map((point) => loss(x.value, point)));
  const hasEnd = () => path.value.length > STEPS;
  const distances = computed(() => path.value.map((point) => Math.hypot(...point)));

  const plane = panel("loss (*x* − *ab*)²", { range: PLANE, label: "*a*", bare: true }, { range: PLANE, label: "*b*", bare: true }, { equal: true });
  const hyperbola = (product: () => number, attributes: { class: string }) =>
    [1, -1].map((sign) => curve(plane, () => branch(product(), 2 * REACH, 60).map(([a, b]) => [sign * a, sign * b] as const), attributes));
  plane.draw(
    ...[1, 2, 3, 4, 5, 6, 7, 8].flatMap((k) => [
      ...hyperbola(() => x.value - k * SPACING, { class: "contour" }),
      ...hyperbola(() => x.value + k * SPACING, { class: "contour" }),
    ]),
    ...hyperbola(() => x.value, { class: "line is-good" }),
    curve(plane, () => [[-9, 9], [9, -9]], { class: "mode is-warm" }),
    curve(plane, () => path.value, { class: "trail is-accent" }),
    dots(plane, () => path.value, 2, { class: "fill is-accent" }),
    dots(plane, () => [[0, 0]], 4.5, { class: "fill is-warm" }),
    label(plane, () => [0, 0], "saddle", [-8, 18], { class: "is-warm", "text-anchor": "end" }),
    label(plane, () => [1.45, -1.45], "*a* = −*b*", [8, 0], { class: "is-warm" }),
    label(plane, () => [-0.55 * Math.sqrt(x.value), -REACH], "minima", [-6, -10], { class: "is-good", "text-anchor": "end" }),
  );
  handle(plane, {
    name: "start (a, b)",
    sign: "start",
    at: () => start.value,
    move: (to) => (start.value = to),
    snap: ([a, b]) => (Math.abs(a + b) < NEAR ? [(a - b) / 2, (b - a) / 2] : [a, b]),
    x: LIMITS,
    y: LIMITS,
    className: "is-accent",
  });

  const steps = panel("over the steps", { range: [0, STEPS], label: "steps" }, { range: EXPONENTS, label: "", powers: true });
  steps.draw(
    curve(steps, () => exponents(distances.value), { class: "line is-warm" }),
    curve(steps, () => exponents(losses.value), { class: "line is-accent" }),
    label(steps, () => last(distances.value), () => (hasEnd() ? "distance to the saddle" : ""), [-6, -8], { class: "is-warm", "text-anchor": "end" }),
    label(steps, lossName, () => (hasEnd() ? "loss" : ""), [-6, -8], { class: "is-accent", "text-anchor": "end" }),
  );

  /** Return where the loss is named: above or below the other name, if that is near. */
  function lossName(): Point {
    const [at, other] = [losses.value, distances.value].map((values) => steps.toPixels(last(values))) as [Point, Point];
    const isNear = Math.abs(at[0] - other[0]) < 180 && Math.abs(at[1] - other[1]) < 24;
    return isNear ? steps.fromPixels([at[0], other[1] + (at[1] < other[1] ? -16 : 24)]) : last(losses.value);
  }

  return stage({
    name: "Valley",
    panels: [plane, steps],
    controls: [
      slider({ name: "number *x*", value: x, range: [0.5, 2], step: 0.1, show: (value) => decimals(value, 2) }),
      slider({ name: "learning rate", value: rate, range: [0.01, 0.3], step: 0.01, show: (value) => decimals(value, 3) }),
    ],
    summary: () => sentence(start.value, losses.value, distances.value),
    state: [start, x, rate],
  });
}

/** Say where a run ends. */
function sentence([a, b]: Point, losses: readonly number[], distances: readonly number[]): string {
  const end = losses.length - 1;
  if (end < STEPS) return `The learning rate is too large for this start: after ${end + 1} steps the loss is beyond 10³⁰⁰.`;
  const size = typeset(losses[end]!, 2);
  if (a + b === 0) return `On the line: *a* + *b* = 0. After ${STEPS} steps the path is ${typeset(distances[end]!, 2)} from the saddle, and the loss is ${size}.`;
  const nearest = Math.min(...distances);
  const isLast = nearest > 0.999 * distances[end]!; // what is left of the way is below what one sees
  return (
    `*a* + *b* = ${typeset(a + b, 2)} at the start. ` +
    (isLast
      ? `The path comes no nearer to the saddle than its end, ${typeset(distances[end]!, 2)} away`
      : `The path is nearest to the saddle at step ${distances.indexOf(nearest)}, at the distance ${typeset(nearest, 2)}`) +
    `; at step ${STEPS} the loss is ${size}${isLast && isFalling(losses) ? ", and still falls" : ""}.`
  );
}

/** Say whether the last losses fall, and there is a way to go: they may alternate for ever. */
function isFalling(losses: readonly number[]): boolean {
  const late = losses.slice(-4);
  return late.at(-1)! > 1e-3 && late.every((loss, k) => k === 0 || loss < late[k - 1]!);
}

function exponents(values: readonly number[]): Point[] {
  return values.map((value, index) => [index, exponent(value)]);
}

function exponent(value: number): number {
  return Math.log10(Math.max(value, 1e-30));
}

/** Return where a curve's name ends: at its end, or left of where it leaves the panel below. */
function last(values: readonly number[]): Point {
  const bottom = EXPONENTS[0] + 0.1;
  const left = values.findIndex((value) => exponent(value) < bottom);
  if (left >= 0) return [Math.max(left - 10, 85), bottom];
  return [Math.max(values.length - 1, 85), Math.min(exponent(values.at(-1)!), EXPONENTS[1] - 1.5)];
}
