// The page: a paper or a file of many goes to the service, and what it says is shown.

import * as answer from "./answer.js";
import { count, duration, element, find } from "./dom.js";
import { flaw, NO_TEXT, question, read } from "./papers.js";
import { card, predict, predictAll, useKey } from "./service.js";
import * as table from "./table.js";

const EXAMPLE = {
  title: "End-to-End Training of Deep Visuomotor Policies",
  abstract:
    "Policy search methods can allow robots to learn control policies for a wide range of " +
    "tasks, but practical applications of policy search often require hand-engineered " +
    "components for perception, state estimation, and low-level control. In this paper, we aim " +
    "to answer the following question: does training the perception and control systems jointly " +
    "end-to-end provide better performance than training each component separately? To this " +
    "end, we develop a method that can be used to learn policies that map raw image " +
    "observations directly to torques at the robot's motors. The policies are represented by " +
    "deep convolutional neural networks (CNNs) with 92,000 parameters, and are trained using a " +
    "partially observed guided policy search method, which transforms policy search into " +
    "supervised learning, with supervision provided by a simple trajectory-centric " +
    "reinforcement learning method. We evaluate our method on a range of real-world " +
    "manipulation tasks that require close coordination between vision and control, such as " +
    "screwing a cap onto a bottle, and present simulated comparisons to a range of prior policy " +
    "search methods.",
  primary: "cs.LG",
};

const ABOVE_TABLE = "many-status";

// What is being asked of one paper and of many; asking anew ends it.
const current = { one: new AbortController(), many: new AbortController() };
let again = () => {}; // what waits for a key

const results = table.create(({ question: asked }) => {
  fill({ title: asked.title, abstract: asked.abstract ?? asked.text, primary: asked.primary });
  ask("one", askOne);
});

// There are two places for it: above the answer, and above the table.
function status(text, place = "status") {
  find("status").textContent = "";
  find(place).textContent = text;
}

const patience = (place) => (seconds) =>
  status(`The service is busy. Asking again in ${seconds} s.`, place);

/** Runs `work` with a signal that ends it; whatever fails becomes a sentence on the page. */
async function ask(which, work) {
  current[which].abort();
  current[which] = new AbortController();
  const { signal } = current[which];
  again = () => ask(which, work);
  find("problem").textContent = "";
  find("abstract").removeAttribute("aria-invalid");
  try {
    await work(signal);
  } catch (error) {
    if (signal.aborted) return;
    status("");
    if (error.status === 401) askForKey();
    else find("problem").textContent = sentence(error);
    find("problem").scrollIntoView({ block: "nearest" });
  }
}

function sentence(error) {
  const refusals = { 413: "That is too much: ", 422: "The service does not understand: " };
  return `${refusals[error.status] ?? ""}${error.message}`;
}

async function askOne(signal) {
  const asked = question(Object.fromEntries(new FormData(find("paper"))));
  const wrong = flaw(asked);
  if (wrong) {
    find("abstract").setAttribute("aria-invalid", "true");
    find("abstract").focus();
    throw new Error(wrong === NO_TEXT ? "Give a title, an abstract, or both." : `It is ${wrong}.`);
  }
  status("Reading…");
  const begun = performance.now();
  const body = { ...asked, top_k: 5, explain: true };
  const given = await predict(body, { signal, waiting: patience() });
  const taken = performance.now() - begun;
  if (signal.aborted) return;
  const parts = answer.show(given, taken);
  find("answer").replaceChildren(...parts);
  status("");
  parts[0].focus();
}

async function askMany(signal, file) {
  status(`Reading ${file.name}…`);
  const rows = await read(file);
  if (signal.aborted) return;
  results.clear();
  results.add(rows.filter(({ error }) => error).map((row) => ({ ...row, answer: row })));
  find("many").hidden = false;
  status("", ABOVE_TABLE);
  find("many-heading").textContent = file.name;
  await answerAll(rows.filter(({ error }) => !error), signal);
}

async function answerAll(rows, signal) {
  const begun = performance.now();
  let done = 0;
  let batch = [];
  const progress = find("progress");
  progress.max = rows.length;
  progress.value = 0;
  find("running").hidden = false;
  find("many-heading").focus();
  const flush = () => {
    results.add(batch);
    batch = [];
    progress.value = done;
    status(`${done.toLocaleString("en")} of ${count(rows.length, "paper")} answered.`, ABOVE_TABLE);
  };
  try {
    for await (const [row, given] of predictAll(rows, { signal, waiting: patience(ABOVE_TABLE) })) {
      batch.push({ ...row, answer: given });
      done++;
      if (batch.length === 64 || done === rows.length) flush();
    }
    const taken = duration(performance.now() - begun);
    status(`${count(rows.length, "paper")} answered in ${taken}.`, ABOVE_TABLE);
  } catch (error) {
    again = () => ask("many", (next) => answerAll(rows.slice(done), next));
    throw error;
  } finally {
    // Unless another file has taken the place of this one.
    if (current.many.signal === signal) {
      if (find("running").contains(document.activeElement)) find("many-heading").focus();
      find("running").hidden = true;
      if (batch.length) results.add(batch);
    }
  }
}

function askForKey() {
  const value = find("key-value");
  find("problem").textContent = value.value
    ? "The service does not accept this key."
    : "The service asks for a key.";
  find("key").hidden = false;
  value.focus();
}

function fill({ title, abstract, primary }) {
  find("title").value = title ?? "";
  find("abstract").value = abstract ?? "";
  find("primary").value = primary ?? "";
}

find("paper").addEventListener("submit", (event) => {
  event.preventDefault();
  ask("one", askOne);
});
find("abstract").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) ask("one", askOne);
});
find("example").addEventListener("click", () => {
  fill(EXAMPLE);
  ask("one", askOne);
});
find("key").addEventListener("submit", (event) => {
  event.preventDefault();
  useKey(find("key-value").value.trim());
  find("key").hidden = true;
  again();
});
find("file").addEventListener("change", ({ target }) => {
  const [file] = target.files;
  if (file) ask("many", (signal) => askMany(signal, file));
  target.value = ""; // or the same file, mended, could not be chosen again
});
find("cancel").addEventListener("click", () => {
  const { value, max } = find("progress");
  current.many.abort();
  status(`Cancelled after ${value.toLocaleString("en")} of ${count(max, "paper")}.`, ABOVE_TABLE);
  find("many-heading").focus();
});
// Anywhere on the page: a file dropped beside the frame would replace the page.
addEventListener("dragover", (event) => {
  event.preventDefault();
  find("drop").classList.add("over");
});
addEventListener("dragleave", ({ relatedTarget }) => {
  if (!relatedTarget) find("drop").classList.remove("over");
});
addEventListener("drop", (event) => {
  event.preventDefault();
  find("drop").classList.remove("over");
  const [file] = event.dataTransfer.files;
  if (file) ask("many", (signal) => askMany(signal, file));
});

async function introduce() {
  const { name, classes, data } = await card();
  find("model").textContent = `Model ${name}: ${classes.length} categories.`;
  find("synthetic").hidden = !data?.synthetic;
  const options = classes.map(({ label, name: full }) => element("option", { value: label }, full));
  find("categories").replaceChildren(...options);
}
introduce().catch(() => {}); // the page does without
