/** Attack a digit: the same size of change in three directions, and what the classifier answers. */

import computedByLibrary from "data/attack-a-digit.json";
import { batch, computed, signal } from "@preact/signals-core";
import { clamp } from "../kit/handle";
import { decimals, finest } from "../kit/numbers";
import { curve, dots, label, panel, type Panel, type Point } from "../kit/panel";
import { picture } from "../kit/picture";
import { uniforms } from "../kit/random";
import { button, choice, slider, stage } from "../kit/stage";
import { along, changed, corner, inputGradient, loss, logits, probabilities, type Classifier } from "./model";

interface Data extends Classifier {
  digits: number[][];
  epsilons: number[];
  wrong: { signs: number[]; noise: number[] };
}

const KINDS = ["signs of ∇*ℓ*", "random signs", "along ∇*ℓ*"] as const;
const LARGEST = 0.3;

export function view(): HTMLElement {
  const data: Data = computedByLibrary;
  const eps = signal(0.2);
  const kind = signal(0);
  const digit = signal(3);
  const draw = signal(1);
  const x = computed(() => data.digits[digit.value]!.map((value) => value / 16));
  const gradient = computed(() => inputGradient(data, x.value, digit.value));
  const noise = computed(() => uniforms(draw.value, x.value.length).map((value) => value - 0.5));
  const change = computed(() => {
    if (kind.value === 2) return along(gradient.value, eps.value);
    return corner(kind.value === 0 ? gradient.value : noise.value, eps.value);
  });
  const after = computed(() => changed(x.value, change.value));
  const beliefs = computed(() => probabilities(logits(data, after.value)));
  const answer = computed(() => beliefs.value.indexOf(Math.max(...beliefs.value)));

  return stage({
    name: "Attack a digit",
    panels: [
      picture("the changed digit, two pixels marked", () => after.value, () => strongest(gradient.value)),
      classes(() => beliefs.value, () => digit.value),
      box(() => gradient.value, () => x.value, () => after.value, () => eps.value),
      errors(data, () => eps.value),
    ],
    controls: [
      slider({ name: "size *ε*", value: eps, range: [0, LARGEST], step: 0.01, show: finest }),
      slider({ name: "digit", value: digit, range: [0, 9], step: 1, show: String }),
      choice("direction", KINDS, kind),
      button("Other noise", () =>
        batch(() => {
          draw.value += 1;
          kind.value = KINDS.indexOf("random signs");
        }),
      ),
    ],
    summary: () =>
      `A ${digit.value}, every pixel changed by at most ${finest(eps.value)}: the answer is ` +
      `${answer.value}${answer.value === digit.value ? ", right" : ", wrong"}, with ${decimals(100 * beliefs.value[answer.value]!, 0)} %; ` +
      `the loss goes from ${decimals(loss(data, x.value, digit.value))} to ${decimals(loss(data, after.value, digit.value))}.`,
    state: [eps, kind, digit, draw],
  });
}

/** Return a bar a class: how sure the classifier is. */
function classes(beliefs: () => readonly number[], truth: () => number): Panel {
  const on = panel("what the classifier answers", { range: [-0.1, 1.05], label: "probability, to 1", bare: true }, { range: [9.6, -0.6], label: "", hidden: true });
  for (let k = 0; k < 10; k++) {
    const tone = () => (k === truth() ? "is-accent" : "is-bad");
    on.draw(
      curve(on, () => [[0, k], [beliefs()[k]!, k]], { class: () => `bar-line ${tone()}` }),
      label(on, () => [-0.05, k], String(k), [0, 4], { class: () => (k === truth() ? "is-accent" : "is-faint"), "text-anchor": "middle" }),
    );
  }
  return on;
}

/** Return the box of all changes of two pixels that leave them within 0 and 1, with the gradient and the change that was chosen. */
function box(gradient: () => readonly number[], before: () => readonly number[], after: () => readonly number[], eps: () => number): Panel {
  const axis = { range: [-0.4, 0.4] as const, bare: true };
  const on = panel("how the two pixels may change", { ...axis, label: "first pixel" }, { ...axis, label: "second" }, { equal: true });
  const pixels = () => strongest(gradient());
  const at = (values: readonly number[]): Point => [values[pixels()[0]]!, values[pixels()[1]]!];
  const corners = (): Point[] => {
    const [x, y] = at(before());
    const [left, right] = [-1, 1].map((sign) => clamp(sign * eps(), [-x, 1 - x]));
    const [low, high] = [-1, 1].map((sign) => clamp(sign * eps(), [-y, 1 - y]));
    return [[left!, low!], [right!, low!], [right!, high!], [left!, high!], [left!, low!]];
  };
  const change = (): Point => {
    const [[x, y], [u, v]] = [at(before()), at(after())];
    return [u - x, v - y];
  };
  const far = (): Point[] => {
    const [a, b] = at(gradient());
    const size = Math.hypot(a, b) || 1;
    return [[0, 0], [(0.4 * a) / size, (0.4 * b) / size]];
  };
  on.draw(
    curve(on, corners, { class: "box" }),
    curve(on, far, { class: "trail is-accent" }),
    label(on, () => [Math.max(far()[1]![0], -0.3), far()[1]![1]], "∇*ℓ*", [-14, 16], { class: "is-accent" }),
    dots(on, () => [change()], 6, { class: "fill is-bad" }),
  );
  return on;
}

/** Return the pixel that counts most, and one that counts about half as much. */
function strongest(gradient: readonly number[]): Point {
  const sizes = gradient.map(Math.abs);
  const order = sizes.map((_, j) => j).sort((i, j) => sizes[j]! - sizes[i]!);
  const half = order.find((j) => sizes[j]! < 0.6 * sizes[order[0]!]!);
  return [order[0]!, half ?? order[1]!];
}

/** Return the share of all held-out digits that are taken for another, over the size of the change. */
function errors(data: Data, eps: () => number): Panel {
  const on = panel("wrong answers, 597 digits", { range: [0, LARGEST], label: "*ε*" }, { range: [0, 100], label: "%" });
  const line = (shares: readonly number[]) => () => data.epsilons.map((value, k): Point => [value, 100 * shares[k]!]);
  on.draw(
    curve(on, () => [[eps(), 0], [eps(), 100]], { class: "cut" }),
    curve(on, line(data.wrong.noise), { class: "line is-faint" }),
    curve(on, line(data.wrong.signs), { class: "line is-bad" }),
    label(on, () => [LARGEST, 100 * data.wrong.noise.at(-1)!], "noise", [-4, -8], { class: "is-faint", "text-anchor": "end" }),
    label(on, () => [LARGEST, 70], "signs", [-4, 0], { class: "is-bad", "text-anchor": "end" }),
  );
  return on;
}
