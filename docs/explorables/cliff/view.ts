/** The cliff: gradient descent on the loss of a recurrent unit, clipped and not. */

import { computed, signal } from "@preact/signals-core";
import { clamp, handle } from "../kit/handle";
import { decimals, typeset } from "../kit/numbers";
import { curve, dots, label, panel, type Point } from "../kit/panel";
import { choice, slider, stage } from "../kit/stage";
import { ceiling, contour, descend, loss, steps, type Clip } from "./model";

const STEPS = 280;
const WEIGHTS: Point = [3.4, 7.2];
const BIASES: Point = [-3.6, 2.2];
const BOTTOM: Point = [WEIGHTS[1], BIASES[0]]; // on the right
const ZERO: Point = [WEIGHTS[0], -1.2]; // where the line of loss 0 is named
const EXPONENTS: Point = [-4, 2.5];
const LOW = [0.04, 0.08, 0.12, 0.17, 0.22, 0.28, 0.34, 0.4, 0.44]; // contours of the loss below its zeros
const HIGH = [0.015, 0.035, 0.06, 0.08]; // and above, where it stays below 0.09
const CLIPS: readonly Clip[] = ["norm", "value", "not"];

export function view(): HTMLElement {
  const start = signal<Point>([4.6, -2.5]);
  const rate = signal(0.5);
  const exponent = signal(-1);
  const how = signal(0);
  const clip = () => CLIPS[how.value]!;
  const threshold = () => 10 ** exponent.value;
  const isClipped = () => clip() !== "not";
  const free = computed(() => descend(start.value, rate.value, "not", 0, STEPS));
  const clipped = computed(() => (isClipped() ? descend(start.value, rate.value, clip(), threshold(), STEPS) : []));
  const highest = computed(() => Math.log10(ceiling(rate.value, clip(), threshold())));

  const surface = panel("loss over *w* and *b*", { range: WEIGHTS, label: "*w*" }, { range: BIASES, label: "*b*" });
  surface.draw(
    ...LOW.map((level) => shade(graph(-Math.sqrt(level)), BIASES[0])),
    ...HIGH.map((level) => shade(graph(Math.sqrt(level)), BIASES[1])),
    curve(surface, constantly(graph(0)), { class: "line is-good" }),
    curve(surface, () => free.value, { class: "trail is-bad" }),
    dots(surface, () => free.value, 1.6, { class: "fill is-bad" }),
    curve(surface, () => clipped.value, { class: "line is-accent" }),
    dots(surface, () => clipped.value.slice(-1), 4.5, { class: "fill is-accent" }),
    label(surface, () => [WEIGHTS[0], BIASES[0]], "large loss", [8, -6], { class: "is-faint" }),
    label(surface, () => [WEIGHTS[1], BIASES[1]], "flat, loss near 0.09", [-8, 16], { class: "is-faint", "text-anchor": "end" }),
    label(surface, () => ZERO, () => (isTaken() ? "" : "loss 0"), [8, 0], { class: "is-good" }),
    label(surface, clippedName, () => (isClipped() ? "clipped" : ""), [-8, 20], { class: "is-accent", "text-anchor": "end" }),
    label(surface, freeName, "not clipped", [-8, 4], { class: "is-bad", "text-anchor": "end" }),
  );
  handle(surface, {
    name: "start (w, b)",
    sign: "start",
    at: () => start.value,
    move: (to) => (start.value = to),
    x: [3.6, 7],
    y: [-3.4, 2],
  });

  const lengths = panel("length of the step", { range: [0, STEPS], label: "steps" }, { range: EXPONENTS, label: "", powers: true });
  lengths.draw(
    curve(lengths, () => sizes(free.value), { class: "trail is-bad" }),
    curve(lengths, () => (isClipped() ? [[0, highest.value], [STEPS, highest.value]] : []), { class: "line is-faint" }),
    curve(lengths, () => sizes(clipped.value), { class: "line is-accent" }),
    label(lengths, ceilingName, () => ({ norm: "*ηc*", value: "√2 *ηc*", not: "" })[clip()], [-6, -7], { class: "is-faint", "text-anchor": "end" }),
  );

  return stage({
    name: "Cliff",
    panels: [surface, lengths],
    controls: [
      choice("Clip", ["by norm", "by value", "not"], how),
      slider({ name: "threshold *c*", value: exponent, range: [-3, 2], step: 0.25, show: (value) => typeset(10 ** value, 2) }),
      slider({ name: "learning rate *η*", value: rate, range: [0.05, 1], step: 0.05, show: (value) => decimals(value, 3) }),
    ],
    summary: () =>
      (isClipped() ? `Clipped, the longest step is ${sentence(clipped.value)} ` : "") + `Not clipped, the longest step is ${sentence(free.value)}`,
    state: [start, rate, exponent, how],
  });

  function graph(value: number): Point[] {
    return Array.from({ length: 58 }, (_, k) => {
      const w = WEIGHTS[0] + (k / 57) * (WEIGHTS[1] - WEIGHTS[0]);
      return [w, contour(w, value, [BIASES[0] - 1, BIASES[1] + 1], 16)];
    });
  }

  /** Return the point below which the clipped path is named. */
  function clippedName(): Point {
    return inside(clipped.value.at(-1) ?? start.value, 72);
  }

  /** Tell whether the clipped path's name needs the place of "loss 0". */
  function isTaken(): boolean {
    const [[left, top], [, zero]] = [clippedName(), ZERO].map(surface.toPixels) as [Point, Point];
    return isClipped() && left < 110 && Math.abs(top + 20 - zero) < 18;
  }

  /** Return the point beside which the free path is named, above the other name if that is near. */
  function freeName(): Point {
    const [at, other] = [inside(free.value.at(-1)!, 135), clippedName()].map(surface.toPixels) as [Point, Point];
    const isNear = isClipped() && Math.abs(at[0] - other[0]) < 90 && Math.abs(at[1] - other[1] - 18) < 15;
    return surface.fromPixels(isNear ? [at[0], other[1] + 2] : at);
  }

  /** Return the nearest point left of which a word has room, between the names of the regions. */
  function inside(point: Point, least: number): Point {
    const [[left, top], [right, bottom]] = [point, BOTTOM].map(surface.toPixels) as [Point, Point];
    const from = bottom - top < 42 ? 135 : least; // right of "large loss"
    return surface.fromPixels([clamp(left, [from, right]), clamp(top, [36, bottom - 28])]);
  }

  /** Return the point over which the longest clipped step is named: beneath it where it is high. */
  function ceilingName(): Point {
    const [[right, top], [, bottom]] = [highest.value, EXPONENTS[0]].map((exponent) => lengths.toPixels([STEPS, exponent])) as [Point, Point];
    return lengths.fromPixels([right, top < 20 ? top + 22 : Math.min(top, bottom)]);
  }

  /** Return the part of the panel between a graph and one of the horizontal edges. */
  function shade(above: Point[], edge: number): SVGElement {
    const far = edge + Math.sign(edge);
    return curve(surface, constantly([[WEIGHTS[0], far], ...above, [WEIGHTS[1], far]]), { class: "shade is-faint", fill: "" });
  }
}

function constantly<Value>(value: Value): () => Value {
  return () => value;
}

/** Say how long a path's longest step is, and what loss it ends with. */
function sentence(path: readonly Point[]): string {
  return `${typeset(Math.max(...steps(path)), 2)} and the loss at the end ${typeset(loss(path.at(-1)!), 2)}.`;
}

function sizes(path: readonly Point[]): Point[] {
  return steps(path).map((length, k) => [k + 1, Math.log10(Math.max(length, 1e-30))]);
}
