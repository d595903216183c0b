// The answer to one paper: its category, the verdict on it, and the words that decided.

import { groupName, isCategory, listingLink } from "./arxiv.js";
import { duration, element, percent, signed, styled } from "./dom.js";
import { markRuns } from "./marks.js";
import { STATES, stateOf } from "./verdict.js";

const RANKING_HINT =
  "Which category is the primary one? The probabilities of all categories add up to 100\u00a0%.";
const LISTS_HINT =
  "Is the paper listed there too? A paper may have several categories, so these probabilities do " +
  "not add up to 100\u00a0%.";

/** Returns the nodes of an answer; the first is its heading. */
export function renderAnswer(answer, milliseconds) {
  return [
    ...verdict(answer),
    answer.primary && author(answer),
    ranking(answer),
    crossLists(answer.cross_lists),
    answer.why?.words.length > 0 && explanation(answer.why),
    element(
      "p",
      { class: "made" },
      `Answered in ${duration(milliseconds)} by the model ${answer.model}.`,
    ),
  ].filter(Boolean);
}

/** Returns the name of a category, or nothing where the taxonomy has none but its code. */
function nameOf({ category, name }) {
  return name && name !== category ? name : "";
}

function verdict(answer) {
  const { category } = answer;
  const state = stateOf(answer);
  const outside = state === "outside";
  const heading = element(
    "h2",
    {
      tabindex: "-1",
      class: `predicted${outside ? " nearest-category" : ""}`,
      "aria-describedby": "verdict",
    },
    outside && element("span", { class: "question" }, "Nearest category:"),
    outside && " ",
    element("span", { class: "spine" }, category),
    " ",
    element("span", { class: "name" }, nameOf(answer)),
  );
  const group = groupName(category, answer.group);
  const recent = `Recent papers in ${category} on arXiv`;
  const link = isCategory(category) && listingLink(category, recent);
  const { sentence } = answer; // it begins with the state and a colon
  const end = sentence.indexOf(":") + 1;
  return [
    heading,
    element("p", { class: "group" }, group, group && link && " · ", link),
    element("p", { class: `verdict ${state}`, id: "verdict" },
      element("strong", {}, sentence.slice(0, end)), sentence.slice(end)),
    listed(answer),
  ];
}

/** Returns the verdict on the category as any of the paper's, where it is the better one. */
function listed(answer) {
  const { category, scope, verdict: primary, listed: any } = answer;
  if (scope !== "in" || !any || STATES.indexOf(any.verdict) >= STATES.indexOf(primary)) return null;
  return element("p", { class: "listed hint" },
    `The verdict on ${category} as one of the paper’s categories, primary or cross-listed, is `,
    element("b", {}, any.verdict), ".");
}

function author({ scope, primary }) {
  const own = element("b", {}, [primary.category, nameOf(primary)].filter(Boolean).join(" "));
  const sentence = element("p", { class: "author" });
  if (!primary.known) {
    sentence.append("The model does not know the author’s category, ", own, ".");
    return sentence;
  }
  const { rank, probability } = primary;
  const place = `${rank}${ordinal(rank)}, at ${percent(probability)}.`;
  if (scope === "outside") {
    sentence.append("The model ranks the author’s category, ", own, `, ${place}`);
  } else if (primary.agrees) {
    sentence.append("The model agrees with the author’s category, ", own, ".");
  } else {
    sentence.append("The model disagrees with the author’s category, ", own, ", which it ranks ");
    sentence.append(place);
  }
  return sentence;
}

function ordinal(number) {
  const teen = number % 100 > 10 && number % 100 < 14;
  return (!teen && { 1: "st", 2: "nd", 3: "rd" }[number % 10]) || "th";
}

function ranking({ ranking: ranks, primary }) {
  const bars = ranks.map((rank) => {
    const { category, group, probability } = rank;
    const fill = styled(element("span", {}), "inline-size", `${100 * probability}%`);
    const own = primary?.category === category;
    const more = [groupName(category, group), own && "author’s\u00a0category"];
    return element("li", {},
      element("span", { class: "code" }, category),
      element("span", { class: "name" }, nameOf(rank), " ",
        element("small", {}, more.filter(Boolean).join(" · "))),
      element("span", { class: "number" }, percent(probability)),
      element("span", { class: "bar", "aria-hidden": "true" }, fill));
  });
  return element("section", {},
    element("h3", {}, "Ranking"),
    element("p", { class: "hint" }, RANKING_HINT),
    element("ol", { class: "bars" }, ...bars));
}

function crossLists(lists) {
  const heading = element("h3", {}, "Also fits");
  if (!lists.length) {
    const none = "No other category is probable enough to suggest.";
    return element("section", {}, heading, element("p", { class: "hint" }, none));
  }
  const items = lists.map((list) =>
    element("li", {}, listingLink(list.category), nameOf(list) && ` ${nameOf(list)}`, ": ",
      element("span", { class: "number" }, chances(list))));
  return element("section", {},
    heading,
    element("p", { class: "hint" }, LISTS_HINT),
    element("ul", { class: "lists" }, ...items));
}

/** Returns the probabilities of a category that also fits: the ranking may have one of them. */
function chances({ probability, primary }) {
  const listed = `${percent(probability)} listed there`;
  return primary == null ? listed : `${listed} · ${percent(primary)} as the primary category`;
}

function explanation(why) {
  const towards = why.words.filter(({ weight }) => weight > 0);
  const away = why.words.filter(({ weight }) => weight < 0);
  const listed = [...towards, ...away].reduce((sum, { weight }) => sum + weight, 0);
  const most = Math.max(...why.words.map(({ weight }) => Math.abs(weight)));
  return element("section", {},
    element("h3", {}, "The words that decided"),
    element("p", { class: "legend" },
      element("mark", { class: "towards" }, `towards ${why.category}`), " ",
      element("mark", { class: "away" }, `away from ${why.category}`)),
    element("div", { class: "text" }, ...highlighted(why)),
    element("div", { class: "weights" },
      weights(`Towards ${why.category}`, "towards", towards, most),
      weights(`Away from ${why.category}`, "away", away, most)),
    element("p", { class: "hint" },
      `The weights add up: ${signed(why.base)} without any word, ${signed(listed)} from these ` +
        `words and ${signed(why.rest)} from all others give ${signed(why.margin)}, the score ` +
        "behind the probability."));
}

function weights(title, direction, listed, most) {
  if (!listed.length) return null;
  const items = listed.map(({ word, weight }) =>
    element("li", {}, element("span", { class: "word" }, word),
      element("span", { class: "number" }, signed(weight)),
      element("span", { class: `bar ${direction}`, "aria-hidden": "true" },
        styled(element("span", {}), "inline-size", `${(100 * Math.abs(weight)) / most}%`))));
  return element("div", {}, element("h4", {}, title), element("ul", {}, ...items));
}

// Terms overlap, as "neural" and "neural networks" do: a character takes the sum of its terms.
function highlighted({ text, words: terms }) {
  const characters = Array.from(text); // places count these, not UTF-16 units
  const sums = new Float64Array(characters.length);
  for (const { weight, places } of terms) {
    for (const [from, to] of places) for (let at = from; at < to; at++) sums[at] += weight;
  }
  const slice = (from, to) => characters.slice(from, to).join("");
  const runs = (from, end) => markRuns(sums, slice, from, end, signed);
  const title = characters.indexOf("\n"); // the one line break is the title's end
  return [
    title > 0 && element("p", { class: "title" }, ...runs(0, title)),
    element("p", {}, ...runs(title + 1, characters.length)),
  ].filter(Boolean);
}
