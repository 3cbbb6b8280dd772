// What search finds on a page: its text, without its title and lists, each formula once and on a line.
const ASIDE = ".page-contents, h1, .notes, .note-mark, .sphx-glr-download-link-note, .math-block, .katex-html";
const SIGNS = { msub: ["_"], msup: ["^"], msubsup: ["_", "^"], mfrac: ["/"] };
const textOfPage = Search.htmlToText;
Search.htmlToText = (source, anchor) => {
  const page = new DOMParser().parseFromString(source, "text/html");
  page.querySelectorAll(ASIDE).forEach((part) => part.remove());
  page.querySelectorAll("msqrt").forEach((root) => root.prepend("√"));
  page.querySelectorAll("sup").forEach((power) => power.prepend("^"));
  page.querySelectorAll("p, li, dt, dd, th, td").forEach((block) => block.append(" "));
  for (const [name, signs] of Object.entries(SIGNS)) {
    page.querySelectorAll(name).forEach((formula) => {
      [...formula.children].slice(1).forEach((part, place) => part.before(signs[place] ?? ""));
    });
  }
  return textOfPage(page.documentElement.outerHTML, anchor).replace(/\s+/g, " ");
};

// The excerpt around the first word that is found, in whole words.
Search.makeSearchSummary = (source, keywords, anchor) => {
  const text = Search.htmlToText(source, anchor).trim();
  const places = [...keywords].map((word) => text.toLowerCase().indexOf(word.toLowerCase()));
  const found = Math.min(...places.filter((place) => place >= 0), text.length);
  const start = found < text.length && found > 120 ? text.indexOf(" ", found - 120) + 1 : 0;
  const end = start + 240 < text.length ? text.lastIndexOf(" ", start + 240) : text.length;
  const excerpt = document.createElement("p");
  excerpt.className = "context";
  excerpt.textContent = (start ? "… " : "") + text.slice(start, end) + (end < text.length ? " …" : "");
  return text ? excerpt : null;
};

// From a disk no other page can be read: results without excerpts.
if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;
