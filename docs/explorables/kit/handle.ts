/** Points that are moved by mouse, touch and keyboard. */

import { html } from "./element";
import { finest } from "./numbers";
import type { Panel, Point } from "./panel";

export interface Handle {
  /** What a screen reader calls it. */
  name: string;
  /** What stands beside it. */
  sign: string;
  at: () => Point;
  move: (to: Point) => void;
  /** Where a pointer that comes near is drawn to; keys go to multiples of their step. */
  snap?: (to: Point) => Point;
  x: Point;
  y: Point;
  /** What an arrow key moves it by; with shift, a tenth of that. */
  step?: number;
  className?: string;
}

/** Put a handle on a panel. */
export function handle(on: Panel, { name, sign, at, move, snap = (to) => to, x, y, step = 0.1, className = "" }: Handle): void {
  const to = (a: number, b: number) => move([clamp(a, x), clamp(b, y)]);
  let grip: Point | undefined; // from the pointer to the handle's centre
  const element = html(
    "div",
    {
      class: `handle ${className}`,
      role: "slider",
      tabindex: 0,
      "aria-label": name,
      "data-at": () => at().join(" "),
      "aria-valuemin": x[0],
      "aria-valuemax": x[1],
      "aria-valuenow": () => Math.round(at()[0] * 1000) / 1000,
      "aria-valuetext": () => finest(at()[0]) + (y[0] < y[1] ? `, ${finest(at()[1])}` : ""),
      style: () => {
        const [left, top] = on.toPixels(at());
        return `transform: translate(${left}px, ${top}px)`;
      },
      onpointerdown: (event: PointerEvent) => {
        if (event.button) return; // only the first drags
        const chosen = nearest(on.handles, event);
        if (chosen !== element) {
          event.preventDefault(); // which would focus this one
          chosen.focus();
          chosen.dispatchEvent(new PointerEvent("pointerdown", event));
          return;
        }
        const [left, top] = on.toPixels(at());
        const [x, y] = within(on.handles, event);
        grip = [left - x, top - y];
        element.setPointerCapture(event.pointerId);
      },
      onpointermove: (event: PointerEvent) => {
        if (!grip || !event.buttons) return;
        const [x, y] = within(on.handles, event);
        to(...snap(on.fromPixels([x + grip[0], y + grip[1]])));
      },
      onlostpointercapture: () => {
        grip = undefined;
      },
      onkeydown: (event: KeyboardEvent) => {
        if (isForTheBrowser(event)) return;
        const by = event.shiftKey ? step / 10 : step;
        const [a, b] = at();
        const stepped = (from: number, sign: number) => Math.round(Math.round(from / by + sign) * by * 1e6) / 1e6;
        const moves: Record<string, Point> = {
          ArrowLeft: [stepped(a, -1), b],
          ArrowRight: [stepped(a, 1), b],
          ArrowUp: [a, stepped(b, 1)],
          ArrowDown: [a, stepped(b, -1)],
          Home: [x[0], b],
          End: [x[1], b],
        };
        const target = moves[event.key];
        if (!target) return;
        event.preventDefault();
        to(...target);
      },
    },
    html("span", { class: "dot" }),
    html("span", { class: "sign", "aria-hidden": "true" }, sign),
  );
  on.handles.append(element);
}

/** Tell whether a key is pressed with one that makes it the browser's own, such as back. */
export function isForTheBrowser({ altKey, ctrlKey, metaKey }: KeyboardEvent): boolean {
  return altKey || ctrlKey || metaKey;
}

/** Return where a pointer is in a panel, which may have moved or changed its size meanwhile. */
function within(handles: HTMLElement, { clientX, clientY }: PointerEvent): Point {
  const { left, top } = handles.getBoundingClientRect();
  return [clientX - left, clientY - top];
}

/** Return the handle whose middle is nearest to a pointer: their boxes are large, and may overlap. */
function nearest(handles: HTMLElement, { clientX, clientY }: PointerEvent): HTMLElement {
  const distance = (each: Element) => {
    const { x, y, width, height } = each.getBoundingClientRect();
    return Math.hypot(x + width / 2 - clientX, y + height / 2 - clientY);
  };
  return [...handles.children].reduce((best, each) => (distance(each) < distance(best) ? each : best)) as HTMLElement;
}

/** Return the value of a range that is nearest. */
export function clamp(value: number, [from, to]: Point): number {
  return Math.min(Math.max(value, from), to);
}
