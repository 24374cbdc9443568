"""What is asked of a page, in its own language."""

# So that all pictures are there, whether or not they were scrolled to.
LOAD_ALL = """async () => {
  for (const image of document.images) image.loading = "eager";
  await Promise.all([...document.images].map((image) => image.decode()));
}"""

# Its text in one line an element, with headings marked as such.
TEXT = """() => [...document.querySelectorAll("article > *")].map((element) =>
  (element.tagName === "H2" ? "\\n## " : "") +
  (element.querySelector("pre") ?? element).textContent.trim() + "\\n").join("")"""

# A table: the headings above it, and its rows, cell by cell.
TABLES = """() => {
  const tables = [];
  let section = "", heading = "";
  for (const element of document.querySelector("article").children) {
    if (element.tagName === "H2") section = heading = element.textContent;
    if (element.tagName === "H3") heading = element.textContent;
    for (const table of element.querySelectorAll("table")) {
      const rows = [...table.tBodies[0].rows].map((row) => [...row.cells].map((c) => c.textContent));
      tables.push({ section, heading, rows });
    }
  }
  return tables;
}"""

# What begins or ends beside the screen, and can't be scrolled to; the skip link waits there.
OUTSIDE = """() => [...document.querySelectorAll("body *:not(.skip)")].filter((element) => {
  const box = element.getBoundingClientRect();
  const scrolls = element.closest(".scroll, pre");
  return box.width && (box.left < 0 || box.right > innerWidth) && !scrolls;
}).map((element) => element.outerHTML.slice(0, 200))"""

# What is wider than its place, and how one gets there by keyboard.
SCROLLING = """() => [...document.querySelectorAll("main *")].filter((element) =>
  element.scrollWidth > element.clientWidth && getComputedStyle(element).overflowX === "auto")"""
