// Before anything is drawn: the theme that the reader has chosen, and the buttons that need a script.
document.body.dataset.theme = localStorage.getItem("theme") || "auto";
document.documentElement.classList.remove("no-js");
