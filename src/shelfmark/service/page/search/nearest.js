// After a classification: the papers of the predicted category that are nearest to the paper.

import { element } from "../dom.js";
import { search } from "../service.js";
import { isSamePaper, paperLink, similarityOf, submittedOn } from "./hits.js";
import { newQuery, toAddress, toBody } from "./query.js";

const SHOWN = 5;

/** Shows the nearest papers in an answer; a service that cannot search leaves it as it is. */
export async function showNearest(answer, { title, abstract, text }, category, signal) {
  const paper = newQuery({ title: title ?? "", abstract: abstract ?? "", text: text ?? "" });
  const onShelf = { ...paper, category: [category] };
  // One more, for the paper itself may be in the index.
  const body = { ...toBody({ ...onShelf, k: SHOWN + 1 }), explain: false };
  let results;
  try {
    ({ results } = await search(body, { signal, attempts: 1 }));
  } catch {
    return;
  }
  const others = results.filter((hit) => !isSamePaper(hit, title)).slice(0, SHOWN);
  if (signal.aborted || !others.length) return;
  answer.querySelector(".made").before(
    element("section", { class: "nearest" },
      element("h3", {}, "Nearest papers on this shelf"),
      element("ol", {}, ...others.map(nearPaper)),
      element("p", { class: "hint" },
        element("a", { href: toAddress(onShelf) }, "Search on from this paper"))));
}

function nearPaper(hit) {
  return element("li", {},
    paperLink(hit),
    element("p", { class: "hint" },
      `${submittedOn(hit)} · ${similarityOf(hit)} · `,
      element("a", {
        href: toAddress(newQuery({ like: [hit.id] })), "aria-label": `More like ${hit.title}`,
      }, "More like this")));
}
