/** Brings a page's explorables to life, each when it comes near the screen. */

declare const VERSION: string; // changes with any of their scripts

/** What the script of an explorable leaves behind. */
declare const explorable: { view: () => HTMLElement };

document.documentElement.dataset.explorables = ""; // theme.js looks for it

const HERE = (document.currentScript as HTMLScriptElement).src;

function enliven(place: HTMLElement): void {
  const name = place.dataset.explorable!;
  const script = document.createElement("script");
  const stayStill = (error: unknown) => {
    place.classList.add("is-still");
    console.error(`The explorable ${name} could not be loaded; its figure stands instead: ${error}`);
  };
  script.src = new URL(`./${name}.js?v=${VERSION}`, HERE).href;
  script.onerror = () => stayStill(`no ${script.src}`);
  script.onload = () => {
    try {
      place.querySelector("figure")!.prepend(explorable.view());
      place.classList.add("is-live");
    } catch (error) {
      stayStill(error);
    }
  };
  document.head.append(script);
}

const near = new IntersectionObserver(
  (entries) => {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting) continue;
      near.unobserve(target);
      enliven(target as HTMLElement);
    }
  },
  { rootMargin: "100px" },
);
document.querySelectorAll(".explorable").forEach((place) => near.observe(place));
