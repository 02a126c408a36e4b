"use strict";
// Narrows the list of endpoints down to those that hold every word of the search. The page is complete without it.
const box = document.getElementById("api-search-box");
const input = document.getElementById("api-search");
box.hidden = false;
input.addEventListener("input", () => {
  const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const group of document.querySelectorAll(".api-group")) {
    let found = 0;
    for (const operation of group.querySelectorAll(".operation")) {
      const text = operation.querySelector("summary").textContent.toLowerCase();
      operation.hidden = !words.every((word) => text.includes(word));
      found += operation.hidden ? 0 : 1;
    }
    group.hidden = found === 0;
  }
});
