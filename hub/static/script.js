"use strict";

const announce = (text) => {
  document.getElementById("announcement").textContent = text;
};

// Without TLS, and not at this very machine, browsers have no `navigator.clipboard`.
const copyBySelection = (text) => {
  const area = document.createElement("textarea");
  area.value = text;
  area.className = "hidden";
  area.setAttribute("readonly", "");
  document.body.append(area);
  area.select();
  const copied = document.execCommand("copy");
  area.remove();
  if (!copied) {
    throw new Error("the browser did not copy");
  }
};

const copy = async (button, text) => {
  try {
    if (navigator.clipboard) {
      await navigator.clipboard.writeText(text);
    } else {
      copyBySelection(text);
    }
    button.textContent = "Copied";
    announce("Copied");
  } catch {
    button.textContent = "Not copied";
    announce("The browser did not allow it to be copied");
  }
  button.focus();
  setTimeout(() => {
    button.textContent = "Copy";
    announce("");
  }, 2000);
};

const copyButton = (label, text) => {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "copy";
  button.textContent = "Copy";
  button.setAttribute("aria-label", label);
  button.addEventListener("click", () => copy(button, text));
  return button;
};

for (const pre of document.querySelectorAll("pre")) {
  const snippet = document.createElement("div");
  snippet.className = "snippet";
  pre.replaceWith(snippet);
  snippet.append(copyButton("Copy the code", pre.textContent.trimEnd()), pre);
}

for (const link of document.querySelectorAll("#modules th a")) {
  link.after(copyButton(`Copy the URL of ${link.textContent}`, link.dataset.url));
}

const filter = document.getElementById("filter");
if (filter) {
  const rows = [...document.querySelectorAll("#modules tbody tr")];
  const texts = rows.map((row) => {
    const cells = [row.querySelector("a"), ...row.querySelectorAll("td")];
    return cells.map((cell) => cell.textContent.toLowerCase()).join(" ");
  });
  const apply = () => {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    rows.forEach((row, i) => {
      row.hidden = !words.every((word) => texts[i].includes(word));
      shown += row.hidden ? 0 : 1;
    });
    document.getElementById("count").textContent = `${shown} of ${rows.length} modules`;
    document.getElementById("none").hidden = shown > 0;
  };
  filter.closest("p").hidden = false;
  filter.addEventListener("input", apply);
  // The browser may have kept what was typed.
  apply();
}
