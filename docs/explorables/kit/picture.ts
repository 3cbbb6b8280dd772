/** Pictures of few pixels, in ink on the page's ground. */

import { html, svg, type Child } from "./element";

const SIDE = 8;

/** Return a panel with a picture of 8 × 8 values from 0 to 1; some pixels may be marked by a frame. */
export function picture(title: Child, values: () => readonly number[], marked?: () => readonly number[]): HTMLElement {
  const pixels = Array.from({ length: SIDE * SIDE }, (_, index) =>
    svg("rect", {
      class: "ink",
      x: index % SIDE,
      y: Math.floor(index / SIDE),
      width: 1,
      height: 1,
      "fill-opacity": () => Math.round(Math.min(Math.max(values()[index]!, 0), 1) * 1000) / 1000,
    }),
  );
  const frames = [0, 1].slice(0, marked ? 2 : 0).map((order) =>
    svg("rect", {
      class: "frame",
      x: () => (marked!()[order]! % SIDE) + 0.06,
      y: () => Math.floor(marked!()[order]! / SIDE) + 0.06,
      width: 0.88,
      height: 0.88,
    }),
  );
  const drawing = svg("svg", { viewBox: `0 0 ${SIDE} ${SIDE}`, "aria-hidden": "true", class: "picture" }, ...pixels, ...frames);
  return html(
    "div",
    { class: "panel" },
    html("p", { class: "panel-title" }, title),
    html("div", { class: "plane" }, drawing),
  );
}
