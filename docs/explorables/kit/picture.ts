/** Pictures of few pixels, in ink on the page's ground. */

import { html, svg, type Child } from "./element";

const SIDE = 8;

/** Return a panel with a picture of 8 × 8 values from 0 to 1. */
export function picture(title: Child, values: () => readonly number[]): HTMLElement {
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
  const drawing = svg("svg", { viewBox: `0 0 ${SIDE} ${SIDE}`, "aria-hidden": "true", class: "picture" }, ...pixels);
  return html(
    "div",
    { class: "panel" },
    html("p", { class: "panel-title" }, title),
    html("div", { class: "plane" }, drawing),
  );
}
