/** The rank slider: a digit from few numbers, and the spectrum whose tail is what is lost. */

import { computed, signal } from "@preact/signals-core";
import { load } from "../kit/data";
import { svg } from "../kit/element";
import { decimals, typeset } from "../kit/numbers";
import { curve, label, panel, type Panel } from "../kit/panel";
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
const SHOWN = 40; // singular values in the picture

export async function view(): Promise<HTMLElement> {
  const data = await load<Data>("rank-slider");
  const rank = signal(8);
  const digit = signal(3);
  const share = shares(data.singularValues);
  const original = computed(() => data.digits[digit.value]!);
  const rebuilt = computed(() => reconstruct(data.directions, data.mean, original.value, rank.value));
  const lost = computed(() => tail(data.singularValues, rank.value));
  const whole = tail(data.singularValues, 0);

  const spectrum = panel(
    "squared singular values, per cent of their sum",
    { range: [0.4, SHOWN + 0.6], label: `number of the value, to ${SHOWN} of 64` },
    { range: [0, 16], label: "" },
    { className: "is-wide" },
  );
  spectrum.draw(
    ...share.slice(0, SHOWN).map((value, index) => bar(spectrum, index + 1, 100 * value, () => index < rank.value)),
    curve(spectrum, () => [[rank.value + 0.5, 0], [rank.value + 0.5, 16]], { class: "cut" }),
    label(spectrum, () => [rank.value + 0.5, 13.4], "kept", [-8, 0], { class: "is-accent", "text-anchor": "end" }),
    label(spectrum, () => [rank.value + 0.5, 13.4], () => `lost: ${decimals((100 * lost.value) / whole, 1)} %`, [8, 0], { class: "is-warm" }),
  );

  return stage({
    name: "Rank slider",
    panels: [
      picture("the digit, 64 numbers", () => original.value.map((value) => value / DARKEST)),
      picture(() => `from ${rank.value} ${rank.value === 1 ? "number" : "numbers"}`, () => rebuilt.value.map((value) => value / DARKEST)),
      spectrum,
    ],
    controls: [
      slider({ name: "rank *r*", value: rank, range: [0, 64], step: 1, show: String }),
      slider({ name: "digit", value: digit, range: [0, 9], step: 1, show: String }),
    ],
    summary: () =>
      `Rank ${rank.value}: the shaded tail sums to ${typeset(lost.value, 4)}; ` +
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
