/** Brings a page's explorables to life, each when it comes near the screen. */

type View = { view: () => HTMLElement | Promise<HTMLElement> };

const VIEWS: Record<string, () => Promise<View>> = {
  "attack-a-digit": () => import("./attack-a-digit/view"),
  "batchnorm-bench": () => import("./batchnorm-bench/view"),
  "cliff": () => import("./cliff/view"),
  "forget-gate": () => import("./forget-gate/view"),
  "growth-lab": () => import("./growth-lab/view"),
  "rank-slider": () => import("./rank-slider/view"),
  "slide-the-data": () => import("./slide-the-data/view"),
  "sphere-walker": () => import("./sphere-walker/view"),
  "valley": () => import("./valley/view"),
};

async function enliven(place: HTMLElement): Promise<void> {
  const name = place.dataset.explorable!;
  try {
    const { view } = await VIEWS[name]!();
    place.querySelector("figure")!.prepend(await view());
    place.classList.add("is-live");
  } catch (error) {
    place.classList.add("is-still");
    console.error(`The explorable ${name} could not be loaded; its figure stands instead: ${error}`);
  }
}

const near = new IntersectionObserver(
  (entries) => {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting) continue;
      near.unobserve(target);
      void enliven(target as HTMLElement);
    }
  },
  { rootMargin: "400px" },
);
document.querySelectorAll(".explorable").forEach((place) => near.observe(place));
