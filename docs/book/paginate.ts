/** Sets book.html in pages, with footnotes, page numbers and running heads, and says when it is done. */

import { CoreViewer } from "@vivliostyle/core";

const viewer = new CoreViewer(
  { viewportElement: document.getElementById("pages")! },
  { renderAllPages: true, autoResize: false, allowScripts: false, pixelRatio: 0 },
);
viewer.addListener("error", (event) => console.error(JSON.stringify(event.content)));
viewer.addListener("readystatechange", () => {
  document.documentElement.dataset.state = viewer.readyState;
});
viewer.loadDocument("book.html");
