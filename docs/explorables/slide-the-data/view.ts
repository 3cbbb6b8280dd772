/** Slide the data: a cloud of points by hand, and two ridge lines that follow it or do not. */

import { computed, signal } from "@preact/signals-core";
import { clamp, handle } from "../kit/handle";
import { decimals, typeset } from "../kit/numbers";
import { curve, dots, label, panel, type Point } from "../kit/panel";
import { normals } from "../kit/random";
import { slider, stage } from "../kit/stage";
import { ridge, type Line } from "./model";

const PLACES: Point = [-8, 8];
const LIMITS: Point = [-6, 6];
const HEIGHT = 3; // of the cloud's middle
const NAMED: Point = [-1.2, 6.9]; // heights at which a name is inside the panel
const NAMES = 3.2; // how far from the cloud's middle the lines have their names
const CLOUD = normals(7, 24).map((noise, index): Point => [(index - 11.5) / 8, HEIGHT + (index - 11.5) / 8 + 0.4 * noise]);

export function view(): HTMLElement {
  const place = signal(-2);
  const exponent = signal(1);
  const penalty = () => 10 ** exponent.value;
  const points = computed(() => cloudAt(place.value));
  const free = computed(() => ridge(points.value, penalty(), false));
  const tied = computed(() => ridge(points.value, penalty(), true));
  const beside = () => place.value + (place.value > 0 ? -NAMES : NAMES);
  const name = (line: typeof free, other: typeof free, text: string, kind: string) =>
    label(data, () => near(line.value, other.value, beside()).at, text, [0, 0], {
      class: kind,
      "text-anchor": () => near(line.value, other.value, beside()).anchor,
    });

  const data = panel("points and two ridge lines", { range: PLACES, label: "" }, { range: [-4, 10.5], label: "*y*" });
  data.draw(
    curve(data, () => upright(place.value), { class: "mode" }),
    dots(data, () => points.value, 3.5, { class: "fill is-faint" }),
    curve(data, () => across(tied.value), { class: "line is-warm" }),
    curve(data, () => across(free.value), { class: "line is-accent" }),
    dots(data, () => [[0, tied.value.intercept]], 4, { class: "fill is-warm" }),
    dots(data, () => [[0, free.value.intercept]], 4, { class: "fill is-accent" }),
    name(tied, free, "penalised", "is-warm"),
    name(free, tied, "free intercept", "is-accent"),
  );
  handle(data, { name: "the points", sign: "", at: () => [place.value, HEIGHT], move: ([x]) => (place.value = x), x: LIMITS, y: [HEIGHT, HEIGHT], step: 0.25 });

  const slopes = panel("slope, if the points lie around *x*", { range: PLACES, label: "*x*" }, { range: [-1.2, 1.6], label: "" });
  const places = Array.from({ length: 121 }, (_, index) => LIMITS[0] + index / 10);
  const over = (penalised: boolean) =>
    computed(() => places.map((x): Point => [x, ridge(cloudAt(x), penalty(), penalised).slope]));
  const [freeSlopes, tiedSlopes] = [over(false), over(true)];
  slopes.draw(
    curve(slopes, () => upright(place.value), { class: "mode" }),
    curve(slopes, () => tiedSlopes.value, { class: "line is-warm" }),
    curve(slopes, () => freeSlopes.value, { class: "line is-accent" }),
    dots(slopes, () => [[place.value, tied.value.slope]], 5, { class: "fill is-warm" }),
    dots(slopes, () => [[place.value, free.value.slope]], 5, { class: "fill is-accent" }),
  );

  return stage({
    name: "Slide the data",
    panels: [data, slopes],
    controls: [slider({ name: "penalty *λ*", value: exponent, range: [-1, 2], step: 0.1, show: (value) => typeset(10 ** value, 2) })],
    summary: () =>
      `Points around *x* = ${decimals(place.value)}, penalty *λ* = ${typeset(penalty(), 2)}: ` +
      `the line has slope ${decimals(free.value.slope)} with a free intercept, ${decimals(tied.value.slope)} with a penalised one.`,
    state: [place, exponent],
  });
}

function cloudAt(place: number): Point[] {
  return CLOUD.map(([x, y]) => [x + place, y]);
}

function upright(x: number): Point[] {
  return [[x, -9], [x, 9]];
}

function at({ slope, intercept }: Line, x: number): number {
  return slope * x + intercept;
}

function across(line: Line): Point[] {
  return PLACES.map((x) => [x, at(line, x)]);
}

/** Return where a line's name stands: over the line if that lies over the other one there, else under it. */
function near(line: Line, other: Line, x: number): { at: Point; anchor: string } {
  const y = at(line, x);
  const isAbove = y > at(other, x);
  return { at: [x, clamp(isAbove ? y + 0.3 : y - 0.8, NAMED)], anchor: isAbove === line.slope > 0 ? "end" : "start" };
}
