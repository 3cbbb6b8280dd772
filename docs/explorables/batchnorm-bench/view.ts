/** The batch-norm bench: a bias by hand, its channel before and after batch norm in both modes. */

import { batch, computed, signal } from "@preact/signals-core";
import { html } from "../kit/element";
import { clamp, handle } from "../kit/handle";
import { decimals, finest, typeset } from "../kit/numbers";
import { curve, dots, label, panel, type Point } from "../kit/panel";
import { normals } from "../kit/random";
import { button, slider, stage } from "../kit/stage";
import { normalise, normaliseInTraining, offsetInEval, runningStatistics, shareOff, type Statistics } from "./model";

const COUNT = 48; // values in a batch
const MOMENTUM = 0.1; // PyTorch's
const BIASES: Point = [-2.5, 2.5];
const VALUES: Point = [-6, 6];
const NAMES: Point = [-1.9, 4]; // where there is room for a name
const BIN = 0.25; // values of the raw batch this near are stacked
const BATCHES = 60;
const EXPONENTS: Point = [-2.5, 1.5];

/** What happened since the bias was last moved. */
interface Past {
  running: Statistics;
  /** The running statistics that there would be if the bias had always been 0. */
  unmoved: Statistics;
  /** After each batch, how far the running mean was behind, and the running variance. */
  trail: readonly { behind: number; variance: number }[];
}

export function view(): HTMLElement {
  const bias = signal(2);
  const gamma = signal(1);
  const beta = signal(0);
  const seed = signal(1);
  const fresh = { mean: 0, variance: 1 };
  const past = signal<Past>({ running: fresh, unmoved: fresh, trail: [{ behind: 2, variance: 1 }] });

  const raw = computed(() => normals(seed.value, COUNT));
  const before = computed(() => raw.value.map((value) => value + bias.value));
  const inTraining = computed(() => normaliseInTraining(before.value, gamma.value, beta.value));
  const inEval = computed(() => normalise(before.value, past.value.running, gamma.value, beta.value));
  const heights = computed(() => stacked(raw.value));
  const passed = () => past.value.trail.length - 1;
  const offset = (batches: number) =>
    offsetInEval(past.value.trail[0]!.behind, batches, gamma.value, past.value.running.variance, MOMENTUM);

  const moveBias = (to: number) => {
    if (to === bias.peek()) return;
    const { running, unmoved } = past.peek();
    const trail = [{ behind: to - (running.mean - unmoved.mean), variance: running.variance }];
    batch(() => {
      bias.value = to;
      past.value = { running, unmoved, trail };
    });
  };
  const train = () =>
    batch(() => {
      seed.value++;
      const { running, unmoved, trail } = past.peek();
      const next = runningStatistics([before.value], MOMENTUM, running);
      const nextUnmoved = runningStatistics([raw.value], MOMENTUM, unmoved);
      const behind = bias.peek() - (next.mean - nextUnmoved.mean);
      past.value = { running: next, unmoved: nextUnmoved, trail: [...trail, { behind, variance: next.variance }] };
    });

  const strips = panel("one channel; a ReLU zeroes what is grey", { range: VALUES, label: "value" }, { range: [0, 3], label: "", bare: true });
  const strip = (floor: number, values: typeof inEval, wanted: (value: number) => boolean, kind: string) =>
    dots(
      strips,
      () => values.value.flatMap((value, i) => (wanted(value) ? [[inside(value), floor + heights.value[i]!] as const] : [])),
      2.75,
      { class: `fill ${kind}` },
    );
  const isOn = (value: number) => value > 0;
  const isOff = (value: number) => value <= 0;
  const name = (floor: number, text: string, kind: string) => label(strips, () => [VALUES[0], floor + 1], text, [4, 16], { class: kind });
  const share = (floor: number, values: typeof inEval, kind: string) =>
    label(strips, () => [VALUES[1], floor + 1], () => `zeroed: ${percent(values.value.filter(isOff).length / COUNT)}`, [-4, 16], { class: kind, "text-anchor": "end" });
  const upright = (at: () => number, kind: string) =>
    curve(strips, () => [[at(), 2], [at(), 2.72]], { class: `line ${kind}` });
  strips.draw(
    ...[1, 2].map((floor) => curve(strips, () => [[VALUES[0], floor], [VALUES[1], floor]], { class: "trail is-faint" })),
    strip(2, before, () => true, ""),
    strip(1, inTraining, isOn, "is-accent"),
    strip(1, inTraining, isOff, "is-idle"),
    strip(0, inEval, isOn, "is-warm"),
    strip(0, inEval, isOff, "is-idle"),
    upright(() => past.value.running.mean, "is-warm"),
    label(strips, () => [clamp(past.value.running.mean, NAMES), 3], "running mean", [0, 16], { class: "is-warm", "text-anchor": "middle" }),
    name(2, "before", ""),
    name(1, "after, training", "is-accent"),
    name(0, "after, eval", "is-warm"),
    share(1, inTraining, "is-accent"),
    share(0, inEval, "is-warm"),
  );
  handle(strips, { name: "bias c", sign: "c", at: () => [bias.value, 2], move: ([x]) => moveBias(x), x: BIASES, y: [2, 2], step: 0.1, className: "is-low" });

  const offsets = panel("size of the offset in eval mode, *m* = 0.1", { range: [-1, BATCHES], label: "training batches since *c* moved" }, { range: EXPONENTS, label: "", powers: true });
  const size = (value: number) => Math.log10(Math.abs(value));
  offsets.draw(
    curve(offsets, () => [[0, size(offset(0))], [BATCHES, size(offset(BATCHES))]], { class: "line is-faint" }),
    dots(offsets, () => past.value.trail.map(({ behind, variance }, k) => [k, size(offsetInEval(behind, 0, gamma.value, variance, MOMENTUM))]), 3.5, { class: "fill is-warm" }),
    label(offsets, () => [BATCHES / 2, size(offset(BATCHES / 2))], "∝ (1 − *m*)ᵏ", [6, -8], { class: "is-faint" }),
    label(offsets, () => [BATCHES / 2, (EXPONENTS[0] + EXPONENTS[1]) / 2], () => (offset(0) ? "" : "no offset"), [0, 4], { class: "is-warm", "text-anchor": "middle" }),
  );

  return stage({
    name: "Batch-norm bench",
    panels: [strips, offsets],
    controls: [
      slider({ name: "*γ*", value: gamma, range: [0.25, 2], step: 0.05, show: finest }),
      slider({ name: "*β*", value: beta, range: [-2, 2], step: 0.05, show: finest }),
      html(
        "div",
        { class: "buttons" },
        button("Train on a batch", train),
        button("Train on ten", () => batch(() => Array.from({ length: 10 }, train))),
        button("Evaluate a batch", () => seed.value++),
      ),
    ],
    summary: () =>
      `Bias ${decimals(bias.value)}, moved *k* = ${passed()} training batches ago, adds nothing in training mode and ${typeset(offset(passed()), 2)} in eval mode. ` +
      `Of normal values around *β* a ReLU would zero ${percent(shareOff(beta.value, gamma.value))}.`,
    state: [bias, gamma, beta, seed, past],
  });
}

/** Return how high each value's dot stands over the floor: values that are near are stacked. */
function stacked(values: readonly number[]): number[] {
  const counts = new Map<number, number>();
  const places = values.map((value) => {
    const bin = Math.round(value / BIN);
    const place = counts.get(bin) ?? 0;
    counts.set(bin, place + 1);
    return place;
  });
  const room = Math.min(0.085, 0.66 / Math.max(...counts.values()));
  return places.map((place) => 0.06 + room * place);
}

/** Return the value, or the edge of the panel. */
function inside(value: number): number {
  return clamp(value, [VALUES[0] + 0.1, VALUES[1] - 0.1]);
}

function percent(share: number): string {
  return `${decimals(100 * share, 0)} %`;
}
