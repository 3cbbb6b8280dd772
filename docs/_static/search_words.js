// A formula stands on a page twice, for the eye and for the ear: show it once in what search finds.
const textOfPage = Search.htmlToText;
Search.htmlToText = (source, anchor) => {
  const page = new DOMParser().parseFromString(source, "text/html");
  page.querySelectorAll(".katex-html, .notes, .note-mark, .eqno").forEach((part) => part.remove());
  return textOfPage(page.documentElement.outerHTML, anchor);
};
