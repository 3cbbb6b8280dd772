/** The sphere walker: descent on scale-invariant losses in the plane, step by step. */

import { batch, computed, effect, signal } from "@preact/signals-core";
import { html } from "../kit/element";
import { clamp, handle } from "../kit/handle";
import { decimals } from "../kit/numbers";
import { curve, dots, label, panel, type Point } from "../kit/panel";
import { button, choice, isStill, slider, stage } from "../kit/stage";
import { angles, equilibriumAngle, equilibriumLength, gradient, pushes, walk, type Pushes } from "./model";

const STEPS = 90;
const LATE = 30; // steps at the end whose typical angle is told
const PAUSE = 60; // milliseconds between two steps of a run
const KINDS: readonly Pushes[] = ["one way", "by a coin"];
const LIMITS: Point = [-2.7, 2.7];
const PLANE: Point = [-2.8, 2.8];
const EDGE = 2.35; // beyond which a name would be cut off
const SHORTEST = 0.25; // at zero there is no direction
const OTHERS: readonly Point[] = [[0.35, 0], [1.7, 0], [2.4, 0]]; // starts drawn faintly beside the reader's
const DEGREES = 180 / Math.PI;

export function view(): HTMLElement {
  const start = signal<Point>([0.75, 0.25]);
  const rate = signal(0.5);
  const decay = signal(0.05);
  const momentum = signal(0);
  const kind = signal(0);
  const step = signal(0);
  const isRunning = signal(false);

  const rates = computed(() => ({ rate: rate.value, decay: decay.value, momentum: momentum.value }));
  const push = computed(() => pushes(KINDS[kind.value]!, STEPS));
  const points = computed(() => walk(start.value, rates.value, push.value));
  const turns = computed(() => angles(points.value));
  const others = OTHERS.map((other) => computed(() => walk(other, rates.value, push.value)));
  const settles = () => kind.value === 0 || momentum.value === 0;
  const predicted = computed(() => (decay.value ? equilibriumAngle(rates.value) * DEGREES : 0));
  const radius = computed(() => (decay.value && settles() ? equilibriumLength(rates.value) : 0));

  /** Return the corners of the step's triangle: zero, x after decay, after the gradient, and the next x. */
  const triangle = (): Point[] => {
    const [[x, y], next] = [points.value[step.value]!, points.value[step.value + 1]!];
    const kept = 1 - rate.value * decay.value;
    const [down, along] = gradient([x, y], push.value[step.value]!);
    return [[0, 0], [kept * x, kept * y], [kept * x - rate.value * down, kept * y - rate.value * along], next];
  };

  const plane = panel("step by step", { range: PLANE, label: "weight 1", bare: true }, { range: PLANE, label: "weight 2", bare: true }, { equal: true, className: "is-high" });
  plane.draw(
    curve(plane, () => circle(radius.value), { class: "trail is-warm", "stroke-dasharray": "4 3" }),
    curve(plane, () => points.value, { class: "contour is-accent" }),
    dots(plane, () => points.value, 1.7, { class: "fill is-accent" }),
    curve(plane, triangle, { class: "shade is-accent", fill: "" }),
    curve(plane, () => triangle().slice(0, 2), { class: "trail" }),
    curve(plane, () => [[0, 0], triangle()[3]!], { class: "line is-accent" }),
    curve(plane, () => triangle().slice(2), { class: "line is-faint" }),
    curve(plane, () => triangle().slice(1, 3), { class: "line is-bad" }),
    label(plane, () => beyond(triangle()), "*−η∇f*", [0, 4], { class: "is-bad", "text-anchor": "middle" }),
  );
  handle(plane, {
    name: "x",
    sign: "x",
    at: () => points.value[step.value]!.map((each) => clamp(each, LIMITS)) as unknown as Point,
    move: (to) =>
      batch(() => {
        start.value = outside(to);
        step.value = 0;
        isRunning.value = false;
      }),
    x: LIMITS,
    y: LIMITS,
  });

  const overSteps = (title: string, top: number, of: (points: readonly Point[]) => number[], level: () => number) => {
    const on = panel(title, { range: [0, STEPS], label: "steps" }, { range: [0, top], label: "" });
    const mine = computed(() => of(points.value));
    on.draw(
      ...others.map((other) => curve(on, () => indexed(of(other.value)), { class: "contour" })),
      curve(on, () => indexed(mine.value), { class: "line is-accent" }),
      curve(on, () => (level() ? [[0, level()], [STEPS, level()]] : []), { class: "trail is-warm", "stroke-dasharray": "4 3" }),
      dots(on, () => [[step.value, mine.value[step.value]!]], 4.5, { class: "fill" }),
      label(on, () => [STEPS, level() < 0.88 * top ? level() : level() - 0.16 * top], () => (level() ? "predicted" : ""), [-4, -7], { class: "is-warm", "text-anchor": "end" }),
    );
    return on;
  };
  const lengths = overSteps("length of *x*", 3.4, (all) => all.map((each) => Math.hypot(...each)), () => radius.value);
  lengths.draw(label(lengths, () => [6, Math.hypot(...others.at(-1)!.value[6]!)], () => (Math.abs(radius.value - Math.hypot(...others.at(-1)!.value[6]!)) > 0.4 ? "other starts" : ""), [4, -6], { class: "is-faint" }));
  const degrees = overSteps("angle of a step, in degrees", 90, (all) => angles(all).map((each) => each * DEGREES), () => predicted.value);

  effect(() => {
    if (!isRunning.value) return;
    const timer = setInterval(advance, PAUSE);
    return () => clearInterval(timer);
  });
  const advance = () => {
    step.value = Math.min(step.value + 1, STEPS - 1);
    if (step.value === STEPS - 1) isRunning.value = false;
  };
  const run = () => {
    if (step.value === STEPS - 1) step.value = 0;
    if (isStill()) step.value = STEPS - 1;
    else isRunning.value = !isRunning.value;
  };

  const isBeyond = () => points.value[step.value]!.some((each) => Math.abs(each) > LIMITS[1]);

  return stage({
    name: "Sphere walker",
    panels: [plane, lengths, degrees],
    controls: [
      slider({ name: "rate *η*", value: rate, range: [0.05, 0.6], step: 0.05, show: (value) => decimals(value, 3) }),
      slider({ name: "decay *λ*", value: decay, range: [0, 0.3], step: 0.01, show: (value) => decimals(value, 3) }),
      slider({ name: "momentum *β*", value: momentum, range: [0, 0.6], step: 0.1, show: (value) => decimals(value, 2) }),
      choice("Gradients push", KINDS, kind),
      html("div", { class: "controls" }, button("Step", advance, () => step.value === STEPS - 1), button(() => (isRunning.value ? "Pause" : "Run"), run, () => isStill() && step.value === STEPS - 1)),
    ],
    summary: () => {
      const late = turns.value.slice(-LATE).map((each) => (each * DEGREES) ** 2);
      const typical = Math.sqrt(late.reduce((sum, each) => sum + each) / late.length);
      return (
        `Step ${step.value + 1} turns *x*, of length ${decimals(Math.hypot(...points.value[step.value]!), 2)}${isBeyond() ? " (beyond the edge of the picture)" : ""}, by ${decimals(turns.value[step.value]! * DEGREES, 1)}°. ` +
        (decay.value ? `Predicted in balance: ${decimals(predicted.value, 1)}°` : "Without decay there is no balance") +
        `; the last ${LATE} of ${STEPS} steps: ${decimals(typical, 1)}° (root mean square).`
      );
    },
    state: [start, rate, decay, momentum, kind, step, isRunning],
  });
}

/** Return the point, or the nearest one that is not too near to zero. */
function outside([x, y]: Point): Point {
  const size = Math.hypot(x, y);
  if (size >= SHORTEST) return [x, y];
  return size === 0 ? [SHORTEST, 0] : [(SHORTEST * x) / size, (SHORTEST * y) / size];
}

/** Return where the name of the gradient's leg stands: beyond its end. */
function beyond([, from, to]: readonly Point[]): Point {
  const [right, up] = [to![0] - from![0], to![1] - from![1]];
  const share = 0.4 / Math.hypot(right, up);
  return [clamp(to![0] + share * right, [-EDGE, EDGE]), clamp(to![1] + share * up, [-EDGE, EDGE])];
}

function circle(radius: number): Point[] {
  return radius ? Array.from({ length: 73 }, (_, k) => [radius * Math.cos((k * Math.PI) / 36), radius * Math.sin((k * Math.PI) / 36)]) : [];
}

function indexed(values: readonly number[]): Point[] {
  return values.map((value, index) => [index, value]);
}
