// The page: it sends a paper or a file of papers to the service, and shows the answers.

import { renderAnswer } from "./answer.js";
import { byId, count, duration, element } from "./dom.js";
import { showError } from "./errors.js";
import { findProblem, NO_TEXT, readFile, toQuery } from "./papers.js";
import { showNearest } from "./search/nearest.js";
import { startSearch } from "./search/search.js";
import { showView } from "./search/views.js";
import { fetchIndex, fetchModel, predict, predictAll } from "./service.js";
import { createTable } from "./table.js";

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

// The requests in flight, for one paper and for many; a new request aborts the old one.
const current = { one: new AbortController(), many: new AbortController() };
let retry = () => {}; // repeats the last request, from where it stopped

const index = fetchIndex().catch(() => null); // the page works without it

const results = createTable(({ query }) => {
  fill({ title: query.title, abstract: query.abstract ?? query.text, primary: query.primary });
  ask("one", askOne);
});

// The status stands above the answer or above the table.
function status(text, place = "status") {
  byId("status").textContent = "";
  byId(place).textContent = text;
}

const showWaiting = (place) => (seconds) =>
  status(`The service is busy. Retrying in ${seconds} s.`, place);

/** Runs `work` with a signal that aborts it; an error becomes a sentence on the page. */
async function ask(which, work) {
  current[which].abort();
  current[which] = new AbortController();
  const { signal } = current[which];
  retry = () => ask(which, work);
  byId("problem").textContent = "";
  byId("abstract").removeAttribute("aria-invalid");
  try {
    await work(signal);
  } catch (error) {
    if (signal.aborted) return;
    status("");
    showError(error, byId("problem"), retry);
  }
}

async function askOne(signal) {
  const query = toQuery(Object.fromEntries(new FormData(byId("paper"))));
  const problem = findProblem(query);
  if (problem) {
    byId("abstract").setAttribute("aria-invalid", "true");
    byId("abstract").focus();
    const missing = problem === NO_TEXT;
    throw new Error(missing ? "Give a title, an abstract, or both." : `A text is ${problem}.`);
  }
  status("Reading…");
  const start = performance.now();
  const body = { ...query, top_k: 5, explain: true };
  const answer = await predict(body, { signal, waiting: showWaiting() });
  const milliseconds = performance.now() - start;
  if (signal.aborted) return;
  const parts = renderAnswer(answer, milliseconds);
  byId("answer").replaceChildren(...parts);
  status("");
  parts[0].focus();
  if (await index) await showNearest(byId("answer"), query, answer.category, signal);
}

async function askMany(signal, file) {
  status(`Reading ${file.name}…`);
  const { rows, note } = await readFile(file);
  if (signal.aborted) return;
  results.clear();
  results.add(rows.filter(({ error }) => error).map((row) => ({ ...row, answer: row })));
  results.draw();
  byId("many").hidden = false;
  status("", ABOVE_TABLE);
  byId("many-heading").textContent = file.name;
  byId("many-note").textContent = note;
  await answerAll(rows.filter(({ error }) => !error), signal);
}

async function answerAll(rows, signal) {
  const start = performance.now();
  let done = 0;
  let batch = [];
  const progress = byId("progress");
  progress.max = rows.length;
  progress.value = 0;
  byId("running").hidden = false;
  byId("many-heading").focus();
  const flush = () => {
    results.add(batch);
    batch = [];
    progress.value = done;
    status(`${done.toLocaleString("en")} of ${count(rows.length, "paper")} answered.`, ABOVE_TABLE);
  };
  try {
    const options = { signal, waiting: showWaiting(ABOVE_TABLE) };
    for await (const [row, answer] of predictAll(rows, options)) {
      batch.push({ ...row, answer });
      done++;
      if (batch.length === 64 || done === rows.length) flush();
    }
    const time = duration(performance.now() - start);
    status(`${count(rows.length, "paper")} answered in ${time}.`, ABOVE_TABLE);
  } catch (error) {
    retry = () => ask("many", (next) => answerAll(rows.slice(done), next));
    throw error;
  } finally {
    // Unless another file has replaced this one.
    if (current.many.signal === signal) {
      if (byId("running").contains(document.activeElement)) byId("many-heading").focus();
      byId("running").hidden = true;
      results.add(batch);
      results.draw();
    }
  }
}

function fill({ title, abstract, primary }) {
  byId("title").value = title ?? "";
  byId("abstract").value = abstract ?? "";
  byId("primary").value = primary ?? "";
}

byId("paper").addEventListener("submit", (event) => {
  event.preventDefault();
  ask("one", askOne);
});
byId("abstract").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) ask("one", askOne);
});
byId("example").addEventListener("click", () => {
  fill(EXAMPLE);
  ask("one", askOne);
});
byId("file").addEventListener("change", ({ target }) => {
  const [file] = target.files;
  if (file) ask("many", (signal) => askMany(signal, file));
  target.value = ""; // or the same file could not be chosen again after a correction
});
byId("cancel").addEventListener("click", () => {
  const { value, max } = byId("progress");
  current.many.abort();
  status(`Cancelled after ${value.toLocaleString("en")} of ${count(max, "paper")}.`, ABOVE_TABLE);
  byId("many-heading").focus();
});
// Anywhere on the page: a file dropped beside the frame would replace the page.
addEventListener("dragover", (event) => {
  event.preventDefault();
  byId("drop").classList.add("over");
});
addEventListener("dragleave", ({ relatedTarget }) => {
  if (!relatedTarget) byId("drop").classList.remove("over");
});
addEventListener("drop", (event) => {
  event.preventDefault();
  showView("classify");
  byId("drop").classList.remove("over");
  const [file] = event.dataTransfer.files;
  if (file) ask("many", (signal) => askMany(signal, file));
});

async function introduce() {
  const { name, classes, data } = await fetchModel();
  byId("model").textContent = `Model ${name}: ${classes.length} categories.`;
  byId("synthetic").hidden = !data?.synthetic;
  const options = classes.map(({ label, name: full }) => element("option", { value: label }, full));
  byId("categories").replaceChildren(...options);
}
introduce().catch(() => {}); // the page works without it

index.then((papers) => startSearch(papers, byId("problem")));
