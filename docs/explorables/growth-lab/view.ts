/** The growth lab: eigenvalues, start and adjoint by hand; the gradient's size over time. */

import { batch, computed, signal } from "@preact/signals-core";
import { svg } from "../kit/element";
import { clamp, handle } from "../kit/handle";
import { decimals, typeset } from "../kit/numbers";
import { curve, dots, label, panel, type Panel, type Point } from "../kit/panel";
import { stage } from "../kit/stage";
import { matrixWith, modes, sizes, sizesAsForNumbers, states } from "./model";

const STEPS = 60;
const NEAR = 0.05; // what counts as meant: on the real axis, on the circle, on a mode
const PLANE: Point = [-1.6, 1.6];
const LIMITS: Point = [-1.5, 1.5];
const EXPONENTS: Point = [-12, 12];

export function view(): HTMLElement {
  const first = signal<Point>([1.25, 0]);
  const second = signal<Point>([0.8, 0]);
  const z0 = signal<Point>([1, -0.45]);
  const zbar = signal<Point>([0.45, 1]);
  const W = computed(() => matrixWith(first.value, second.value));
  const lines = computed(() => modes(first.value, second.value));
  const isTwice = computed(() => first.value[1] === 0 && first.value[0] === second.value[0]);
  const named = (index: number, directions: readonly Point[]) => {
    if (!isTwice.value && !areNear(directions)) return `*λ*${"₁₂"[index]}`;
    return index ? "" : `*λ*₁${isTwice.value ? " =" : ","} *λ*₂`;
  };
  const path = computed(() => states(W.value, z0.value, STEPS));
  const exact = computed(() => sizes(W.value, z0.value, zbar.value, STEPS));
  const asForNumbers = computed(() => sizesAsForNumbers(W.value, z0.value, zbar.value, STEPS));

  /** Move one eigenvalue; off the real axis the other is its mirror image. What lies on a mode stays on it. */
  const moveEigenvalue = (one: typeof first, other: typeof first) => (to: Point) => {
    const [re, im] = to;
    const before = lines.peek();
    batch(() => {
      one.value = to;
      if (im !== 0) other.value = [re, -im];
      else if (other.peek()[1] !== 0) other.value = [re, 0];
    });
    batch(() => {
      z0.value = follow(z0.peek(), before.state, lines.peek().state);
      zbar.value = follow(zbar.peek(), before.adjoint, lines.peek().adjoint);
    });
  };

  const spectrum = panel("eigenvalues of *W*", { range: PLANE, label: "real", bare: true }, { range: PLANE, label: "imaginary", bare: true }, { equal: true });
  spectrum.draw(circle(spectrum.toPixels));
  const eigenvalues = { x: LIMITS, y: LIMITS, step: 0.05, className: "is-accent" };
  handle(spectrum, { ...eigenvalues, name: "first eigenvalue", sign: "λ₁", at: () => first.value, move: moveEigenvalue(first, second), snap: snapTo(second) });
  handle(spectrum, { ...eigenvalues, name: "second eigenvalue", sign: "λ₂", className: "is-accent is-low", at: () => second.value, move: moveEigenvalue(second, first), snap: snapTo(first) });

  const plane = panel("state and adjoint", { range: PLANE, label: "unit 1", bare: true }, { range: PLANE, label: "unit 2", bare: true }, { equal: true });
  plane.draw(
    ...[0, 1].flatMap((index) => [
      ...mode(plane, () => lines.value.state[index], () => named(index, lines.value.state), "is-accent"),
      ...mode(plane, () => lines.value.adjoint[index], () => named(index, lines.value.adjoint), "is-warm"),
    ]),
    curve(plane, () => path.value.slice(0, 20), { class: "trail is-accent" }),
    dots(plane, () => path.value.slice(1, 20), 2.5, { class: "fill is-accent" }),
  );
  const vectors = { x: LIMITS, y: LIMITS, step: 0.05 };
  handle(plane, { ...vectors, name: "state z₀", sign: "z₀", className: "is-accent", at: () => z0.value, move: (to) => (z0.value = to), snap: (to) => onto(lines.value.state, to) });
  handle(plane, { ...vectors, name: "adjoint z̄", sign: "z̄", className: "is-warm", at: () => zbar.value, move: (to) => (zbar.value = to), snap: (to) => onto(lines.value.adjoint, to) });

  const growth = panel("size of the gradient", { range: [0, STEPS], label: "steps *t*" }, { range: EXPONENTS, label: "", powers: true }, { className: "is-wide" });
  growth.draw(
    curve(growth, () => exponents(asForNumbers.value), { class: "line is-faint" }),
    curve(growth, () => exponents(exact.value), { class: "line is-accent" }),
    label(growth, () => end(exact.value), "exact", [-4, -8], { class: "is-accent", "text-anchor": "end" }),
    label(growth, () => end(asForNumbers.value), "*t* ‖\u200a*z̄*\u200a‖ ‖\u200a*z*ₜ₋₁\u200a‖", [-4, 18], { class: "is-faint", "text-anchor": "end" }),
  );

  return stage({
    name: "Growth lab",
    panels: [spectrum, plane, growth],
    summary: () =>
      `|*λ*₁| = ${decimals(Math.hypot(...first.value))}, |*λ*₂| = ${decimals(Math.hypot(...second.value))}. ` +
      `After ${STEPS} steps the state has size ${typeset(Math.hypot(...path.value[STEPS]!), 2)}, ` +
      `the gradient ${typeset(exact.value[STEPS - 1]!, 2)}; the formula for one unit says ${typeset(asForNumbers.value[STEPS - 1]!, 2)}.`,
    state: [first, second, z0, zbar],
  });
}

/** Draw a pointer to the real axis, the unit circle, and the other eigenvalue. */
const snapTo = (other: { peek(): Point }) => (to: Point): Point => {
  const [re, im] = ontoCircle(Math.abs(to[1]) < NEAR ? [to[0], 0] : to);
  const isTwice = im === 0 && other.peek()[1] === 0 && Math.abs(re - other.peek()[0]) < NEAR / 2;
  return isTwice ? other.peek() : [re, im];
};

function circle(toPixels: (point: Point) => Point): SVGElement {
  return svg("circle", {
    class: "unit-circle",
    cx: () => toPixels([0, 0])[0],
    cy: () => toPixels([0, 0])[1],
    r: () => toPixels([1, 0])[0] - toPixels([0, 0])[0],
  });
}

/** Return the point, or the nearest on the unit circle if that is near. */
function ontoCircle(point: Point): Point {
  const size = Math.hypot(...point);
  return Math.abs(size - 1) < NEAR / 2 ? [point[0] / size, point[1] / size] : point;
}

/** Return the point, or the nearest on one of the lines through zero if that is near. */
function onto(lines: readonly Point[], [x, y]: Point): Point {
  for (const [a, b] of lines) {
    const size = Math.hypot(a, b);
    if (Math.abs(a * y - b * x) / size < NEAR) {
      return along([a, b], (a * x + b * y) / (size * size));
    }
  }
  return [x, y];
}

/** Return a multiple of a vector, shortened to what a handle reaches. */
function along([a, b]: Point, share: number): Point {
  const reach = LIMITS[1] / Math.max(Math.abs(a), Math.abs(b));
  const kept = clamp(share, [-reach, reach]);
  return [kept * a, kept * b];
}

/** Return a mode as a line through zero, named near an end: away from where z₀ and z̄ start. */
function mode(on: Panel, direction: () => Point | undefined, name: () => string, kind: "is-accent" | "is-warm"): SVGElement[] {
  const end = () => edge(direction() ?? [0, 0]);
  const line = (): Point[] => (direction() ? [end().map((each) => -each) as unknown as Point, end()] : []);
  const isSteep = () => Math.abs(end()[0]) < 1.25 * Math.abs(end()[1]);
  const isState = kind === "is-accent"; // named on the left; an adjoint's mode below, if it is steep, and further out
  const near = (): Point => {
    const [a, b] = end();
    const share = (isState ? 0.6 : isSteep() ? 0.75 : 0.85) * ((isState || !isSteep() ? a : b) > 0 ? -1 : 1);
    return [share * a, share * b];
  };
  const anchor = () => (isState || !isSteep() ? "start" : "end");
  return [
    curve(on, line, { class: `mode ${kind}` }),
    label(on, near, () => (direction() ? name() : ""), isState ? [2, -6] : [-6, 4], { class: kind, "text-anchor": anchor }),
  ];
}

/** Return where a line through zero leaves the plane. */
function edge([a, b]: Point): Point {
  const reach = PLANE[1] / (Math.max(Math.abs(a), Math.abs(b)) || 1);
  return [reach * a, reach * b];
}

/** Tell whether two modes end so near each other that one name has to do for both. */
function areNear([one, other]: readonly Point[]): boolean {
  if (!one || !other) return false;
  const [[a, b], [c, d]] = [edge(one), edge(other)];
  return Math.hypot(a - c, b - d) < 0.6;
}

/** Return a vector that lay on a mode on the same mode after a change; else the vector itself. */
function follow(vector: Point, before: readonly Point[], after: readonly Point[]): Point {
  const index = before.findIndex(([a, b]) => Math.abs(a * vector[1] - b * vector[0]) < 1e-9 * Math.hypot(a, b));
  const [from, to] = [before[index], after[index]];
  if (!from || !to) return vector;
  return along(to, (vector[0] * from[0] + vector[1] * from[1]) / (Math.hypot(...from) * Math.hypot(...to)));
}

function exponents(sizes: readonly number[]): Point[] {
  return sizes.flatMap((size, index): Point[] => (size ? [[index + 1, Math.log10(Math.max(size, 1e-30))]] : []));
}

/** Return where a curve's name stands: at its last point that is well inside the panel, or right of that. */
function end(sizes: readonly number[]): Point {
  const inside = ([, exponent]: Point) => exponent > EXPONENTS[0] + 4 && exponent < EXPONENTS[1] - 5;
  const [step, exponent] = exponents(sizes).findLast(inside) ?? [STEPS, 0];
  return [Math.max(step, 20), exponent]; // right of the numbers beside the panel
}
