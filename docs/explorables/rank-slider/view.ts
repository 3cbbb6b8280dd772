/** The rank slider: a digit from few numbers, and the spectrum whose tail is what is lost. */

import computedByLibrary from "data/rank-slider.json";
import { computed, signal } from "@preact/signals-core";
import { svg } from "../kit/element";
import { decimals, typeset } from "../kit/numbers";
import { curve, label, panel, type Panel, type Point } from "../kit/panel";
import { picture } from "../kit/picture";
import { slider, stage } from "../kit/stage";
import { reconstruct, shares, tail } from "./model";

interface Data {
  mean: number[];
  directions: number[][];
  singularValues: number[];
  losses: number[];
  digits: number[][];
}

const DARKEST = 16;
const TOP = 18; // per cent, room for the names over the bars

export function view(): HTMLElement {
  const data: Data = computedByLibrary;
  const rank = signal(8);
  const digit = signal(3);
  const share = shares(data.singularValues);
  const original = computed(() => data.digits[digit.value]!);
  const rebuilt = computed(() => reconstruct(data.directions, data.mean, original.value, rank.value));
  const lost = computed(() => tail(data.singularValues, rank.value));
  const whole = tail(data.singularValues, 0);

  const name = (): Point => [rank.value + 0.5, TOP];
  const lostShare = () => `lost: ${decimals((100 * lost.value) / whole, 1)} %`;

  const spectrum = panel(
    "squared singular values, per cent of their sum",
    { range: [0, 65], label: "number of the value" },
    { range: [0, TOP], label: "" },
    { className: "is-wide" },
  );
  spectrum.draw(
    ...share.map((value, index) => bar(spectrum, index + 1, 100 * value, () => index < rank.value)),
    curve(spectrum, () => [[rank.value + 0.5, 0], [rank.value + 0.5, TOP]], { class: "cut" }),
    label(spectrum, name, () => (rank.value > 5 ? "kept" : ""), [-8, 14], { class: "is-accent", "text-anchor": "end" }),
    label(spectrum, name, () => (rank.value <= 45 ? lostShare() : ""), [8, 14], { class: "is-warm" }),
    label(spectrum, name, () => (rank.value > 45 ? lostShare() : ""), [-8, 32], { class: "is-warm", "text-anchor": "end" }),
  );

  return stage({
    name: "Rank slider",
    panels: [
      picture("the digit, 64 numbers", () => original.value.map((value) => value / DARKEST)),
      picture(() => source(rank.value), () => rebuilt.value.map((value) => value / DARKEST)),
      spectrum,
    ],
    controls: [
      slider({ name: "rank *r*", value: rank, range: [0, 64], step: 1, show: String }),
      slider({ name: "digit", value: digit, range: [0, 9], step: 1, show: String }),
    ],
    summary: () =>
      `Rank ${rank.value}: the lost tail sums to ${typeset(lost.value, 4)}; ` +
      `‖*X* − *AB*‖², computed from all 1797 digits, is ${typeset(data.losses[rank.value]!, 4)}.`,
    state: [rank, digit],
  });
}

function bar(on: Panel, place: number, height: number, isKept: () => boolean): SVGElement {
  return svg("rect", {
    class: () => (isKept() ? "bar is-accent" : "bar is-warm"),
    x: () => on.toPixels([place - 0.4, 0])[0],
    y: () => on.toPixels([0, height])[1],
    width: () => on.toPixels([0.8, 0])[0] - on.toPixels([0, 0])[0],
    height: () => on.toPixels([0, 0])[1] - on.toPixels([0, height])[1],
  });
}

/** Say what the second picture is made from. */
function source(rank: number): string {
  return rank === 0 ? "from 0 numbers: the mean image" : `from ${rank} ${rank === 1 ? "number" : "numbers"}`;
}
