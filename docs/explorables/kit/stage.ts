/** The frame of an explorable: panels, controls, a line of numbers that is read aloud, a reset. */

import { batch, effect, type Signal } from "@preact/signals-core";
import { html, plain, type Child } from "./element";
import { clamp, isForTheBrowser } from "./handle";
import type { Panel, Point } from "./panel";

export interface Stage {
  name: string;
  panels: (Panel | HTMLElement)[];
  controls?: HTMLElement[];
  /** What there is to see now, in a sentence. */
  summary: () => string;
  /** What the reset sets back to its value at the start. */
  state: Signal<any>[];
}

const QUIET = 600; // milliseconds without a change before the summary is read aloud

/** Return the frame. */
export function stage({ name, panels, controls = [], summary, state }: Stage): HTMLElement {
  const start = state.map((signal) => signal.peek());
  const reset = () => batch(() => state.forEach((signal, index) => (signal.value = start[index])));
  return html(
    "div",
    { class: "stage", role: "group", "aria-label": name },
    html("div", { class: "panels" }, ...panels.map((each) => ("element" in each ? each.element : each))),
    ...(controls.length ? [html("div", { class: "controls" }, ...controls)] : []),
    html("div", { class: "foot" }, html("p", { class: "summary", "aria-hidden": "true" }, summary), button("Reset", reset)),
    aloud(summary),
  );
}

/** Return a text for screen readers that follows another once that has come to rest; the first is not read aloud. */
function aloud(summary: () => string): HTMLElement {
  const element = html("p", { class: "aloud", "aria-live": "polite" });
  let timer: ReturnType<typeof setTimeout> | undefined;
  effect(() => {
    const text = plain(summary());
    element.textContent ||= text;
    clearTimeout(timer);
    timer = setTimeout(() => (element.textContent = text), QUIET);
  });
  return element;
}

export interface Slider {
  name: string;
  value: Signal<number>;
  range: Point;
  step: number;
  show: (value: number) => string;
}

/** Return a slider with its name and value; with shift, arrow keys move it by a tenth of a step. */
export function slider({ name, value, range, step, show }: Slider): HTMLElement {
  const set = (to: number) => (value.value = clamp(Math.round(to * 1e9) / 1e9, range));
  const input: HTMLInputElement = html("input", {
    type: "range",
    min: range[0],
    max: range[1],
    "aria-valuetext": () => show(value.value),
    oninput: () => {
      set(Math.round(Number(input.value) / step) * step);
      input.value = String(value.value); // the thumb snaps, also where the value has not changed
    },
    onkeydown: (event: KeyboardEvent) => {
      const sign = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1 }[event.key];
      if (!sign || isForTheBrowser(event)) return;
      event.preventDefault();
      set(value.value + (sign * step) / (event.shiftKey && step !== 1 ? 10 : 1));
    },
  });
  effect(() => {
    const steps = value.value / step;
    input.step = String(Math.abs(steps - Math.round(steps)) < 1e-6 ? step : step / 10); // by which screen readers move it
    input.value = String(value.value);
  });
  return html(
    "label",
    { class: "slider" },
    html("span", {}, name),
    input,
    html("output", { "aria-live": "off" }, () => show(value.value)), // the slider says it
  );
}

/** Return a choice of one among a few. */
export function choice(name: string, options: readonly string[], value: Signal<number>): HTMLElement {
  const group = `choice-${name.replace(/\W+/g, "-")}`;
  return html(
    "fieldset",
    { class: "choice" },
    html("legend", {}, name),
    ...options.map((option, index) => {
      const input: HTMLInputElement = html("input", {
        type: "radio",
        name: group,
        onchange: () => (value.value = index),
      });
      effect(() => {
        input.checked = value.value === index;
      });
      return html("label", {}, input, html("span", {}, option));
    }),
  );
}

/** Return a button, which cannot be pressed while it would do nothing. */
export function button(content: Child, act: () => void, isIdle = () => false): HTMLElement {
  const onclick = () => isIdle() || act();
  return html("button", { type: "button", onclick, "aria-disabled": () => String(isIdle()) }, content); // it keeps the focus
}

/** Say whether the reader has asked for less motion. */
export function isStill(): boolean {
  return matchMedia("(prefers-reduced-motion: reduce)").matches;
}
