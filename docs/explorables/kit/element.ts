/** Elements whose attributes and texts may be functions of signals. */

import { effect } from "@preact/signals-core";

type Value = string | number | boolean;
export type Attributes = Record<string, Value | (() => Value) | ((event: any) => void)>;
export type Child = Node | string | (() => string);

const NAMESPACE = "http://www.w3.org/2000/svg";

/** Return an SVG element. */
export function svg<Tag extends keyof SVGElementTagNameMap>(
  tag: Tag,
  attributes: Attributes = {},
  ...children: Child[]
): SVGElementTagNameMap[Tag] {
  return fill(document.createElementNS(NAMESPACE, tag), attributes, children);
}

/** Return an HTML element. */
export function html<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  attributes: Attributes = {},
  ...children: Child[]
): HTMLElementTagNameMap[Tag] {
  return fill(document.createElement(tag), attributes, children);
}

function fill<Kind extends Element>(element: Kind, attributes: Attributes, children: Child[]): Kind {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value as EventListener);
    else if (typeof value === "function") effect(() => set(element, name, (value as () => Value)()));
    else set(element, name, value);
  }
  for (const child of children) {
    if (child instanceof Node) element.append(child);
    else if (typeof child === "string") element.append(...phrase(child, element));
    else effect(() => element.replaceChildren(...phrase(child(), element)));
  }
  return element;
}

function set(element: Element, name: string, value: Value): void {
  if (value === false) element.removeAttribute(name);
  else element.setAttribute(name, value === true ? "" : String(value));
}

const PIECE = /(\*[^*]+\*|[⁰¹²³⁴⁵⁶⁷⁸⁹⁻]+|[₀₁₂₃₄₅₆₇₈₉₋₊ₖₜ]+)/;
const LOWERED = "₀₁₂₃₄₅₆₇₈₉₋₊ₖₜ";
const RAISED = "⁰¹²³⁴⁵⁶⁷⁸⁹⁻";
const PLAIN = "0123456789−+kt";

/** Return a text's nodes: `*x*` is a symbol, raised and lowered digits are set in the text's face. */
function phrase(content: string, parent: Element): Node[] {
  const inSvg = parent.namespaceURI === NAMESPACE;
  let height = 0; // of the last piece over the baseline, in em
  return content.split(PIECE).filter(Boolean).map((piece) => {
    const isSymbol = piece.startsWith("*");
    const rise = RAISED.includes(piece[0]!) ? 0.4 : LOWERED.includes(piece[0]!) ? -0.2 : 0;
    const shown = isSymbol ? piece.slice(1, -1) : rise ? [...piece].map(flat).join("") : piece;
    const name = isSymbol ? "symbol" : rise > 0 ? "raised" : rise < 0 ? "lowered" : "";
    if (!inSvg) return name ? html("span", { class: name }, document.createTextNode(shown)) : document.createTextNode(shown);
    const moved = svg("tspan", { class: name, dy: `${height - rise}em` }, document.createTextNode(shown));
    height = rise;
    return moved;
  });
}

function flat(character: string): string {
  const index = RAISED.indexOf(character);
  if (index >= 0) return index === 10 ? "−" : PLAIN[index]!;
  return PLAIN[LOWERED.indexOf(character)]!;
}

/** Return a text without its marks, as it is read aloud. */
export function plain(content: string): string {
  return content.replaceAll("*", "");
}
