// Before anything is drawn: the theme that the reader has chosen, and the buttons that need a script.
document.body.dataset.theme = localStorage.getItem("theme") || "auto";
document.documentElement.classList.remove("no-js");
// From a disk the faces come too late, for no preload is allowed; an optional one would never show.
if (location.protocol === "file:") document.fonts.forEach((face) => { face.display = "swap"; });
// Without their script the explorables are figures, and have the figures' captions.
addEventListener("load", () => {
  if ("explorables" in document.documentElement.dataset) return;
  document.querySelectorAll(".explorable").forEach((place) => place.classList.add("is-still"));
});
