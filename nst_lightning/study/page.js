"use strict";
// The page reads without this script; it adds the viewer, the highlighting of curves and the sorting of tables.

const viewer = document.getElementById("viewer");
const part = (name) => document.getElementById("viewer-" + name);
let thumbs = []; // of the study whose pictures are shown
let shown = 0;

function showCell(number) {
  shown = (number + thumbs.length) % thumbs.length;
  const { label, config, command } = thumbs[shown].dataset;
  const image = thumbs[shown].querySelector("img");
  part("label").textContent = label;
  part("count").textContent = `${shown + 1} of ${thumbs.length}`;
  part("stage").hidden = !image;
  part("made").hidden = !command;
  part("command").textContent = command;
  part("config").href = config;
  part("copy").textContent = "copy";
  part("error").hidden = Boolean(image);
  part("error").textContent = image ? "" : thumbs[shown].querySelector(".error").textContent;
  if (image) {
    const [width, height] = [image.naturalWidth || image.width, image.naturalHeight || image.height];
    part("picture").src = image.src;
    part("stage").style.aspectRatio = `${width} / ${height}`;
    part("stage").style.width = `min(100%, ${(62 * width) / height}vh, ${Math.max(2 * width, 480)}px)`;
  }
  showChoices();
  showSettings();
}

// What the picture can be compared with: what it was made from, and every other cell. The choice stays from cell to cell.
function showChoices() {
  const before = part("choice").value;
  const { before: id, beforeName } = thumbs[shown].dataset;
  const others = thumbs.map((thumb, number) => [String(number), thumb.dataset.label, thumb.querySelector("img")]);
  const choices = [...(id ? [["before", beforeName, true]] : []), ...others.filter(([, , image], number) => image && number !== shown)];
  part("choice").replaceChildren(...choices.map(([value, name]) => new Option(name, value)));
  if (choices.some(([value]) => value === before)) part("choice").value = before;
  compare();
}

function compare() {
  const choice = part("choice").value;
  const other = choice === "before" ? document.getElementById(thumbs[shown].dataset.before) : thumbs[Number(choice)]?.querySelector("img");
  const both = Boolean(choice && other && !part("stage").hidden);
  for (const name of ["other", "range", "left", "right", "line"]) part(name).hidden = !both;
  if (both) {
    part("other").src = other.src;
    part("left").textContent = part("choice").selectedOptions[0].textContent;
    part("right").textContent = thumbs[shown].dataset.label;
    part("other").alt = part("left").textContent;
  }
  slide(part("range").value);
}

// Left of the line is the other picture, right of it the cell's own; each has its name on its own side.
function slide(percent) {
  part("range").value = percent;
  part("other").style.clipPath = `inset(0 ${100 - percent}% 0 0)`;
  part("line").style.left = `${percent}%`;
  part("left").style.width = part("right").style.left = `${percent}%`;
  part("left").style.visibility = percent < 5 ? "hidden" : "visible";
  part("right").style.visibility = percent > 95 ? "hidden" : "visible";
  part("range").setAttribute("aria-label", `share of ${part("left").textContent}, from the left, in percent`);
}

function showSettings() {
  const section = thumbs[shown].closest("section");
  const row = [...section.querySelectorAll("tbody tr")].find((tr) => tr.dataset.cell === thumbs[shown].dataset.cell);
  const heads = [...section.querySelectorAll(".table thead th")];
  part("settings").replaceChildren(
    ...[...row.cells].flatMap((cell, number) => {
      if (number === 0 || cell.classList.contains("empty") || cell.classList.contains("long")) return [];
      const pair = document.createElement("div");
      pair.append(document.createElement("dt"), document.createElement("dd"));
      pair.title = heads[number].title;
      pair.firstChild.textContent = heads[number].textContent;
      pair.lastChild.textContent = cell.textContent;
      return [pair];
    }),
  );
}

function openViewer(list, number) {
  thumbs = list;
  part("choice").replaceChildren();
  part("range").value = 0;
  showCell(number);
  viewer.showModal();
}

async function copyCommand() {
  const text = part("command").textContent;
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    getSelection().selectAllChildren(part("command")); // where the clipboard is closed to pages
    document.execCommand("copy");
  }
  part("copy").textContent = "copied";
}

// Empty cells come last in both directions, numbers before words.
function order(a, b, direction) {
  const empty = (value) => value === "" || Number.isNaN(value);
  if (empty(a) || empty(b)) return empty(a) - empty(b);
  if (typeof a !== typeof b) return direction * (typeof a === "number" ? -1 : 1);
  if (typeof a === "number") return direction * (a < b ? -1 : a > b ? 1 : 0);
  return direction * a.localeCompare(b, "en", { numeric: true });
}

function valueOf(cell) {
  if (cell.classList.contains("empty")) return "";
  return cell.dataset.number === undefined ? cell.textContent : Number(cell.dataset.number);
}

// Up, down, and as it was at first.
function sortTable(header) {
  const table = header.closest("table");
  const next = { ascending: "descending", descending: null }[header.getAttribute("aria-sort")];
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  const sort = next === undefined ? "ascending" : next;
  if (sort) header.setAttribute("aria-sort", sort);
  const rows = [...table.tBodies[0].rows].sort((one, other) => one.dataset.cell - other.dataset.cell);
  const value = (row) => valueOf(row.cells[header.cellIndex]);
  if (sort) rows.sort((one, other) => order(value(one), value(other), sort === "ascending" ? 1 : -1));
  table.tBodies[0].append(...rows);
}

function highlight(plot, number) {
  plot.classList.toggle("active", number !== undefined);
  for (const item of plot.querySelectorAll("[data-curve]")) {
    item.classList.toggle("on", item.dataset.curve === number);
  }
}

for (const section of document.querySelectorAll("section")) {
  const list = [...section.querySelectorAll("button[data-cell]")];
  list.forEach((thumb, number) => thumb.addEventListener("click", () => openViewer(list, number)));
  for (const curve of section.querySelectorAll(".curve")) {
    const hit = curve.querySelector("path").cloneNode(); // easier to meet than a thin line
    hit.classList.add("hit");
    curve.append(hit);
  }
  for (const item of section.querySelectorAll("[data-curve]")) {
    item.addEventListener("click", () => openViewer(list, Number(item.dataset.curve)));
  }
  for (const header of section.querySelectorAll(".table thead th")) {
    header.querySelector("button").addEventListener("click", () => sortTable(header));
  }
}
for (const plot of document.querySelectorAll(".plot")) {
  for (const kind of ["pointerover", "focusin"]) {
    plot.addEventListener(kind, (event) => highlight(plot, event.target.closest("[data-curve]")?.dataset.curve));
  }
  for (const kind of ["pointerleave", "focusout"]) plot.addEventListener(kind, () => highlight(plot));
}

part("close").addEventListener("click", () => viewer.close());
part("previous").addEventListener("click", () => showCell(shown - 1));
part("next").addEventListener("click", () => showCell(shown + 1));
part("range").addEventListener("input", (event) => slide(event.target.value));
part("choice").addEventListener("change", () => {
  if (Number(part("range").value) === 0) part("range").value = 50; // so that something of it is seen
  compare();
});
part("copy").addEventListener("click", copyCommand);
viewer.addEventListener("keydown", (event) => {
  if (event.target === part("range") || event.target === part("choice")) return; // there the arrows have their own meaning
  if (event.key === "ArrowLeft") showCell(shown - 1);
  else if (event.key === "ArrowRight") showCell(shown + 1);
  else return;
  event.preventDefault();
});
viewer.addEventListener("click", (event) => {
  const box = viewer.getBoundingClientRect();
  const inside = event.clientX >= box.left && event.clientX <= box.right && event.clientY >= box.top && event.clientY <= box.bottom;
  if (event.target === viewer && !inside) viewer.close();
});
viewer.addEventListener("close", () => thumbs[shown].focus());
