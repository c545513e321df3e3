"use strict";
// The page reads without this script; it adds the viewer, the highlighting of curves and the sorting of tables.

const viewer = document.getElementById("viewer");
const part = (name) => document.getElementById("viewer-" + name);
let thumbs = []; // of the study whose pictures are shown
let shown = 0;

function showCell(number) {
  shown = (number + thumbs.length) % thumbs.length;
  const thumb = thumbs[shown];
  const image = thumb.querySelector("img");
  const other = thumb.dataset.before && document.getElementById(thumb.dataset.before);
  part("label").textContent = thumb.querySelector(".label").textContent;
  part("count").textContent = `${shown + 1} of ${thumbs.length}`;
  part("stage").hidden = !image;
  part("compare").hidden = part("before").hidden = !other;
  part("stage").classList.toggle("both", Boolean(other));
  part("error").hidden = Boolean(image);
  part("error").textContent = image ? "" : thumb.querySelector(".error").textContent;
  if (image) {
    const [width, height] = ["width", "height"].map((name) => Number(image.getAttribute(name)));
    part("after").src = image.src;
    part("stage").style.aspectRatio = `${width} / ${height}`;
    part("stage").style.width = `min(100%, ${(68 * width) / height}vh, ${2 * width}px)`;
  }
  if (other) part("before").src = other.src;
  showSettings(thumb);
  slide(part("range").value);
}

function showSettings(thumb) {
  const section = thumb.closest("section");
  const row = [...section.querySelectorAll("tbody tr")].find((tr) => tr.dataset.cell === thumb.dataset.cell);
  const names = [...section.querySelectorAll("thead th")].map((th) => th.textContent);
  part("settings").replaceChildren(
    ...[...row.cells].slice(1).flatMap((cell, number) => {
      if (cell.classList.contains("empty") || cell.classList.contains("long")) return [];
      const pair = document.createElement("div");
      pair.append(document.createElement("dt"), document.createElement("dd"));
      pair.firstChild.textContent = names[number + 1];
      pair.lastChild.textContent = cell.textContent;
      return [pair];
    }),
  );
}

function slide(percent) {
  const both = !part("compare").hidden;
  part("range").value = percent;
  part("before").style.clipPath = `inset(0 ${100 - percent}% 0 0)`;
  part("line").style.left = `${percent}%`;
  part("line").hidden = !both || Number(percent) <= 0 || Number(percent) >= 100;
}

function openViewer(list, number) {
  thumbs = list;
  part("range").value = 0;
  showCell(number);
  viewer.showModal();
}

function drag(event) {
  if (part("compare").hidden || (event.type === "pointermove" && !event.buttons)) return;
  const box = part("stage").getBoundingClientRect();
  if (event.type === "pointerdown") part("stage").setPointerCapture(event.pointerId);
  slide(Math.round(Math.min(1, Math.max(0, (event.clientX - box.left) / box.width)) * 100));
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

function sortTable(header) {
  const table = header.closest("table");
  const direction = header.getAttribute("aria-sort") === "ascending" ? -1 : 1;
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  header.setAttribute("aria-sort", direction > 0 ? "ascending" : "descending");
  const column = header.cellIndex;
  const rows = [...table.tBodies[0].rows].map((row) => [valueOf(row.cells[column]), row]);
  rows.sort((one, other) => order(one[0], other[0], direction));
  table.tBodies[0].append(...rows.map(([, row]) => row));
}

function highlight(plot, number) {
  plot.classList.toggle("active", number !== undefined);
  for (const item of plot.querySelectorAll("[data-curve]")) {
    item.classList.toggle("on", item.dataset.curve === number);
  }
}

for (const section of document.querySelectorAll("section")) {
  const list = [...section.querySelectorAll(".thumbs button")];
  list.forEach((thumb, number) => thumb.addEventListener("click", () => openViewer(list, number)));
  for (const item of section.querySelectorAll("[data-curve]")) {
    item.addEventListener("click", () => openViewer(list, Number(item.dataset.curve)));
  }
  for (const header of section.querySelectorAll("thead th")) {
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
part("stage").addEventListener("dragstart", (event) => event.preventDefault());
for (const kind of ["pointerdown", "pointermove"]) part("stage").addEventListener(kind, drag);
viewer.addEventListener("keydown", (event) => {
  if (event.target === part("range")) return; // there the arrows move the slider
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
