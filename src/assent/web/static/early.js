// Runs before anything is drawn: marks that there is a script.
document.documentElement.classList.add("js");
