/** A panel: axes, ticks, and a plane in which curves are drawn and handles stand. */

import { computed, signal } from "@preact/signals-core";
import { ticks } from "d3-array";
import { html, svg, type Attributes } from "./element";
import { decimals, powerOfTen } from "./numbers";

export type Point = readonly [number, number];

export interface Axis {
  range: Point;
  label: string;
  /** Values on the axis are exponents of ten. */
  powers?: boolean;
  /** No ticks and no grid but the line through zero. */
  bare?: boolean;
  /** Nothing at all. */
  hidden?: boolean;
}

export interface Panel {
  element: HTMLElement;
  /** What lies above the drawing and is moved by hand. */
  handles: HTMLElement;
  toPixels(point: Point): Point;
  fromPixels(point: Point): Point;
  /** Draw something that may follow signals, clipped at the panel's edge. */
  draw(...shapes: SVGElement[]): void;
}

interface Options {
  /** One unit is as long on both axes. */
  equal?: boolean;
  className?: string;
}

const MARGIN = { top: 6, right: 13, bottom: 34, left: 42 }; // for text of 16 pixels
const NO_NUMBERS = { ...MARGIN, left: 8 };
const BARE = { top: 6, right: 6, bottom: 20, left: 6 };

/** A panel's size in pixels, and how much larger than usual the reader has set the text. */
interface Room {
  width: number;
  height: number;
  text: number;
}

/** Return a panel with a title; it fills the room that the style sheet gives it. */
export function panel(title: string, x: Axis, y: Axis, { equal, className }: Options = {}): Panel {
  const margin = x.bare ? BARE : y.bare ? NO_NUMBERS : MARGIN;
  const room = signal<Room>({ width: 300, height: 200, text: 1 });
  const scale = computed(() => {
    const { text } = room.value;
    const [left, top] = [text * margin.left, text * margin.top];
    const width = Math.max(1, room.value.width - left - text * margin.right);
    const height = Math.max(1, room.value.height - top - text * margin.bottom);
    let across = width / (x.range[1] - x.range[0]);
    let up = height / (y.range[1] - y.range[0]);
    if (equal) across = up = Math.min(across, up);
    const middle = [(x.range[0] + x.range[1]) / 2, (y.range[0] + y.range[1]) / 2] as const;
    return { text, left, top, width, height, across, up, middle };
  });
  const toPixels = ([a, b]: Point): Point => {
    const { width, height, across, up, middle } = scale.value;
    return [width / 2 + (a - middle[0]) * across, height / 2 - (b - middle[1]) * up];
  };
  const fromPixels = ([left, top]: Point): Point => {
    const { width, height, across, up, middle } = scale.value;
    return [middle[0] + (left - width / 2) / across, middle[1] - (top - height / 2) / up];
  };

  const inner = svg("svg", {
    x: () => scale.value.left,
    y: () => scale.value.top,
    width: () => scale.value.width,
    height: () => scale.value.height,
  });
  const picture = svg(
    "svg",
    { "aria-hidden": "true" },
    ...grid(x, y, toPixels, scale),
    inner,
  );
  const handles = html("div", {
    class: "handles",
    style: () => `left: ${scale.value.left}px; top: ${scale.value.top}px`,
  });
  const plane = html("div", { class: "plane" }, picture, handles);
  new ResizeObserver(([entry]) => {
    const { width, height } = entry!.contentRect;
    room.value = { width, height, text: parseFloat(getComputedStyle(document.documentElement).fontSize) / 16 };
  }).observe(plane);
  const element = html(
    "div",
    { class: `panel ${className ?? ""}` },
    html("p", { class: "panel-title" }, title),
    plane,
  );
  return { element, handles, toPixels, fromPixels, draw: (...shapes) => inner.append(...shapes) };
}

type Scale = { readonly value: Room & { left: number; top: number } };

/** Return the grid, its numbers and the axes' names. */
function grid(
  x: Axis,
  y: Axis,
  toPixels: (point: Point) => Point,
  scale: Scale,
): SVGElement[] {
  const left = (value: number) => scale.value.left + toPixels([value, 0])[0];
  const top = (value: number) => scale.value.top + toPixels([0, value])[1];
  const right = () => scale.value.left + scale.value.width;
  const bottom = () => scale.value.top + scale.value.height;
  const pixels = (usual: number) => usual * scale.value.text;
  const lines = (axis: Axis) => (axis.hidden ? [] : axis.bare ? [0] : marks(axis));
  const across = lines(x).map((value) =>
    svg("line", {
      class: value === 0 ? "axis" : "grid",
      x1: () => left(value),
      x2: () => left(value),
      y1: () => scale.value.top,
      y2: bottom,
    }),
  );
  const up = lines(y).map((value) =>
    svg("line", {
      class: value === 0 ? "axis" : "grid",
      x1: () => scale.value.left,
      x2: right,
      y1: () => top(value),
      y2: () => top(value),
    }),
  );
  const below = (x.bare ? [] : marks(x)).map((value, index, all) =>
    svg(
      "text",
      {
        class: () => (index % 2 && scale.value.width < pixels(40) * all.length ? "tick is-crowded" : "tick"),
        "text-anchor": "middle",
        x: () => left(value),
        y: () => bottom() + pixels(14),
      },
      number(x, value),
    ),
  );
  const beside = (y.bare || y.hidden ? [] : marks(y)).map((value) =>
    svg("text", { class: "tick", "text-anchor": "end", x: () => scale.value.left - pixels(5), y: () => top(value) + pixels(4) }, number(y, value)),
  );
  const names = [
    svg("text", { class: "name", "text-anchor": "end", x: right, y: () => bottom() + pixels(x.bare ? 15 : 29) }, x.label),
    svg("text", { class: "name", x: () => scale.value.left + pixels(5), y: () => scale.value.top + pixels(12) }, y.label),
  ];
  return [...across, ...up, ...below, ...beside, ...names];
}

function marks(axis: Axis): number[] {
  return ticks(...axis.range, 5).filter((value) => !axis.powers || Number.isInteger(value));
}

function number(axis: Axis, value: number): string {
  if (axis.powers) return powerOfTen(value);
  if (Number.isInteger(value)) return decimals(value, 0);
  return decimals(value, Math.abs(axis.range[1] - axis.range[0]) < 0.5 ? 2 : 1);
}

/** Return a line through points given in the panel's units. */
export function curve(on: Panel, points: () => readonly Point[], attributes: Attributes): SVGElement {
  return svg("path", { fill: "none", ...attributes, d: () => path(points().map(on.toPixels)) });
}

/** Return dots at points given in the panel's units. */
export function dots(on: Panel, points: () => readonly Point[], radius: number, attributes: Attributes): SVGElement {
  const dot = ([x, y]: Point) =>
    `M${near(x - radius)} ${near(y)}a${radius} ${radius} 0 1 0 ${2 * radius} 0a${radius} ${radius} 0 1 0 ${-2 * radius} 0`;
  return svg("path", { ...attributes, d: () => points().map(on.toPixels).map(dot).join("") });
}

/** Return a word beside a point given in the panel's units, so many pixels right of it and below. */
export function label(
  on: Panel,
  at: () => Point,
  content: string | (() => string),
  [right, below]: Point,
  attributes: Attributes = {},
): SVGElement {
  const x = () => near(on.toPixels(at())[0] + right);
  const y = () => near(on.toPixels(at())[1] + below);
  return svg("text", { ...attributes, class: `label ${attributes.class ?? ""}`, x, y }, content);
}

function path(points: readonly Point[]): string {
  return points.map(([x, y], index) => `${index ? "L" : "M"}${near(x)} ${near(y)}`).join("");
}

/** Return a coordinate that a browser can draw. */
function near(pixels: number): number {
  return Math.round(Math.min(Math.max(pixels, -1e5), 1e5) * 100) / 100 || 0;
}
