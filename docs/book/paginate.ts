/** Sets book.html in pages, with footnotes, page numbers and running heads, and says when it is done. */

import { CoreViewer } from "@vivliostyle/core";

const formulas: string[] = await (await fetch("formulas.json")).json();
const styles = new CSSStyleSheet();
const katex = await (await fetch("node_modules/katex/dist/katex.min.css")).text();
styles.replaceSync(`${katex} .katex { font-size: 1.05em }`);

/** A formula as KaTeX has set it, of which Vivliostyle sees one element alone. */
class Formula extends HTMLElement {
  connectedCallback(): void {
    if (this.shadowRoot) return;
    const root = this.attachShadow({ mode: "open" });
    root.adoptedStyleSheets = [styles];
    root.innerHTML = formulas[Number(this.getAttribute("n"))]!;
  }
}
customElements.define("set-formula", Formula);

/** Return the rectangle that an element's contents fill, be it larger than the element. */
function extent(element: Element): DOMRect {
  const range = document.createRange();
  range.selectNodeContents(element);
  return range.getBoundingClientRect();
}

/** Return what sticks out of a page; to be called in print, as a screen shows one page alone. */
function overfull(): string[] {
  const pages = [...document.querySelectorAll("[data-vivliostyle-page-area-container]")];
  return pages.flatMap((page, index) => {
    const edge = page.getBoundingClientRect().right + 1;
    const parts = [...page.querySelectorAll("p, li, td, pre, figure, .footnote, .math-block")];
    const wide = parts.filter((part) => extent(part).right > edge);
    return wide.map((part) => `page ${index + 1}: ${part.outerHTML.slice(0, 120)}`);
  });
}

Object.assign(window, { overfull });
await document.fonts.ready;
const viewer = new CoreViewer(
  { viewportElement: document.getElementById("pages")! },
  { renderAllPages: true, autoResize: false, allowScripts: false, pixelRatio: 0 },
);
viewer.addListener("error", (event) => console.error(JSON.stringify(event.content)));
viewer.addListener("readystatechange", () => {
  document.documentElement.dataset.state = viewer.readyState;
});
viewer.loadDocument("book.html");
