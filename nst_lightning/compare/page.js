"use strict";
// Pairs and questions stand in the page, pictures beside it; answers stay in this browser until they are downloaded.

const main = document.querySelector("main");
const get = (id) => document.getElementById(id);
const comparison = main.dataset.comparison;
const pairs = JSON.parse(main.dataset.pairs); // of tokens: photograph, paintings, left, right
const questions = Object.entries(JSON.parse(main.dataset.questions)); // of names and texts
const total = pairs.length * questions.length;
const store = `nst-compare-${comparison}`;
const COLUMNS = ["judge", "comparison", "pair", "question", "left", "right", "answer"];
let state = remembered();

function fresh() {
  const [number] = crypto.getRandomValues(new Uint32Array(1));
  return { judge: `judge-${number.toString(36).slice(-5)}`, at: 0, answers: [] }; // an answer for each question, in order
}

function remembered() {
  try {
    const found = JSON.parse(localStorage.getItem(store));
    const known = found.answers.length <= total && found.answers.every((one) => ["left", "right", "none"].includes(one));
    if (known && typeof found.judge === "string" && found.at >= 0 && found.at <= found.answers.length) return found;
  } catch {
    // nothing there, or not what this page left
  }
  return fresh();
}

function remember() {
  try {
    localStorage.setItem(store, JSON.stringify(state));
  } catch {
    get("kept").textContent = "This browser keeps no answers: download them before you close or reload the page.";
    get("kept").className = "error";
  }
}

function pairAt(number) {
  return pairs[Math.floor(number / questions.length)];
}

function picture(token) {
  return `${token}.png`;
}

// ---- what is shown

function show() {
  const finished = state.at >= total;
  get("asking").hidden = get("enlarge").hidden = finished;
  get("done").hidden = !finished;
  get("progress").max = total;
  get("progress").value = state.answers.length;
  get("back").disabled = state.at === 0;
  get("save").textContent = `Download ${state.answers.length} of ${total} answers`;
  get("save").disabled = state.answers.length === 0;
  get("judge").value = state.judge;
  get("csv").value = table();
  if (finished) {
    get("place").textContent = `${total} of ${total}`;
    get("question").textContent = "Thank you: all questions are answered.";
    return;
  }
  const part = state.at % questions.length;
  get("place").textContent = `Pair ${Math.floor(state.at / questions.length) + 1} of ${pairs.length} · question ${part + 1} of ${questions.length}`;
  get("question").textContent = questions[part][1];
  const { photograph, paintings, left, right } = pairAt(state.at);
  place(get("photograph"), photograph);
  place(get("left"), left);
  place(get("right"), right);
  showPaintings(paintings);
  for (const button of document.querySelectorAll("[data-answer]")) {
    button.setAttribute("aria-pressed", String(state.answers[state.at] === button.dataset.answer));
  }
  const next = pairs[Math.floor(state.at / questions.length) + 1];
  for (const token of next ? [next.left, next.right, next.photograph, ...next.paintings] : []) new Image().src = picture(token);
}

function place(image, token) {
  if (image.getAttribute("src") === picture(token)) return;
  get("trouble").hidden = true;
  image.onerror = () => {
    get("trouble").hidden = false;
    get("trouble").textContent = `The picture ${picture(token)} is missing: it has to lie in the folder of this page.`;
  };
  image.src = picture(token);
}

function showPaintings(tokens) {
  const shown = [...get("paintings").querySelectorAll("img")].map((image) => image.getAttribute("src"));
  if (shown.join() === tokens.map(picture).join()) return;
  get("paintings").replaceChildren(
    ...tokens.map((token, number) => {
      const figure = document.createElement("figure");
      const button = document.createElement("button");
      const caption = document.createElement("figcaption");
      const image = new Image();
      caption.textContent = tokens.length > 1 ? `painting ${number + 1}` : "painting";
      image.alt = `The ${caption.textContent}`;
      button.type = "button";
      button.dataset.show = "painting";
      button.dataset.number = number;
      button.append(image);
      figure.append(button, caption);
      place(image, token);
      return figure;
    }),
  );
}

// ---- answers

function answer(what) {
  if (state.at >= total) return;
  state.answers[state.at] = what;
  state.at += 1;
  remember();
  show();
}

function back() {
  if (state.at === 0) return;
  state.at -= 1;
  remember();
  show();
}

function field(text) {
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function table() {
  const rows = state.answers.map((said, number) => {
    const { left, right } = pairAt(number);
    const pair = Math.floor(number / questions.length) + 1;
    return [field(state.judge), comparison, pair, questions[number % questions.length][0], left, right, said];
  });
  return [COLUMNS, ...rows].map((row) => `${row.join()}\n`).join("");
}

function save() {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([table()], { type: "text/csv" }));
  link.download = `answers-${state.judge.replace(/[^\p{L}\p{N}-]+/gu, "_")}.csv`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

async function copy() {
  try {
    await navigator.clipboard.writeText(table());
    get("copy").textContent = "Copied";
  } catch {
    get("csv").select();
    get("copy").textContent = "Selected: copy it by Ctrl-C";
  }
  setTimeout(() => (get("copy").textContent = "Copy the answers"), 3000);
}

function anew() {
  const count = state.answers.length;
  if (count && !confirm(`Forget the ${count} answers of ${state.judge}? Download them first.`)) return;
  state = fresh();
  remember();
  show();
}

// ---- one picture, at its own size or as large as the window, whichever is larger

let seen = ["left", 0];

function view(what, number = 0) {
  if (state.at >= total) return;
  const { photograph, paintings, left, right } = pairAt(state.at);
  const token = { photograph, left, right, painting: paintings[number] }[what];
  const word = { photograph: "photograph", left: "result on the left", right: "result on the right", painting: "painting" }[what];
  seen = [what, number];
  get("viewer-name").textContent = `The ${word}${what === "painting" && paintings.length > 1 ? ` ${number + 1}` : ""}`;
  get("viewer-picture").alt = get("viewer-name").textContent;
  get("viewer-picture").src = picture(token);
  for (const button of get("viewer").querySelectorAll("[data-show]")) {
    button.setAttribute("aria-pressed", String(button.dataset.show === what));
  }
  if (!get("viewer").open) get("viewer").showModal();
  fit();
}

function fit() {
  const [image, stage] = [get("viewer-picture"), get("viewer-stage")];
  if (!image.naturalWidth) return;
  const scale = Math.min(stage.clientWidth / image.naturalWidth, stage.clientHeight / image.naturalHeight);
  image.style.width = `${image.naturalWidth * Math.max(1, scale)}px`;
}

// ---- keys and clicks

const KEYS = { ArrowLeft: "left", ArrowRight: "right", ArrowDown: "none" };
const PICTURES = { ArrowLeft: "left", ArrowRight: "right", ArrowUp: "photograph", ArrowDown: "painting" };

function next(what) {
  // the painting again: the next of several
  const count = pairAt(state.at).paintings.length;
  return what === "painting" && seen[0] === "painting" ? (seen[1] + 1) % count : 0;
}

document.addEventListener("keydown", (event) => {
  if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
  if (event.target.matches("input, textarea")) return;
  const open = get("viewer").open;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  let act = null;
  if (open && key in PICTURES) act = () => view(PICTURES[key], next(PICTURES[key]));
  else if (open && (key === "z" || key === "Backspace")) act = () => get("viewer").close();
  else if (!open && key in KEYS && state.at < total) act = () => answer(KEYS[key]);
  else if (!open && key === "Backspace") act = back;
  else if (!open && key === "z") act = () => view("left");
  if (!act) return;
  event.preventDefault();
  if (!event.repeat) act(); // a key that is held answers once
});

document.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  if (button.dataset.answer) answer(button.dataset.answer);
  else if (button.dataset.show) view(button.dataset.show, button.dataset.number ? Number(button.dataset.number) : next(button.dataset.show));
  else if (button.classList.contains("save")) save();
  else ({ back, copy, anew, enlarge: () => view("left"), "viewer-close": () => get("viewer").close() })[button.id]?.();
});

get("judge").addEventListener("change", () => {
  state.judge = get("judge").value.replace(/\s+/g, " ").trim() || fresh().judge;
  remember();
  show();
});
get("viewer-picture").addEventListener("load", fit);
addEventListener("resize", () => get("viewer").open && fit());
remember();
show();
