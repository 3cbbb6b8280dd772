// Before anything is drawn: the theme that the reader has chosen.
document.body.dataset.theme = localStorage.getItem("theme") || "auto";
