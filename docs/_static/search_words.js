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

// The excerpt begins and ends with whole words.
const excerptOf = Search.makeSearchSummary;
Search.makeSearchSummary = (...found) => {
  const excerpt = excerptOf(...found);
  if (excerpt) {
    excerpt.textContent = excerpt.textContent.replace(/^\.{3}\S*\s+/, "… ").replace(/\s+\S*\.{3}$/, " …");
  }
  return excerpt;
};
