// The groups and identifiers of arXiv; the names of categories come with the answers.

import { element } from "./dom.js";

const GROUPS = {
  cs: "Computer Science",
  econ: "Economics",
  eess: "Electrical Engineering and Systems Science",
  math: "Mathematics",
  physics: "Physics",
  "q-bio": "Quantitative Biology",
  "q-fin": "Quantitative Finance",
  stat: "Statistics",
};
const IN_ARCHIVE =
  /^(astro-ph|cond-mat|cs|econ|eess|math|nlin|physics|q-bio|q-fin|stat)\.[A-Za-z]{2}[a-z-]*$/;
const ALONE = /^(gr-qc|hep-(ex|lat|ph|th)|math-ph|nucl-(ex|th)|quant-ph)$/;

/** A model may have custom labels, which are no categories of arXiv. */
export const isCategory = (label) => IN_ARCHIVE.test(label) || ALONE.test(label);

export function groupName(label, group) {
  if (group) return GROUPS[group] ?? group;
  if (!isCategory(label)) return "";
  return GROUPS[label.split(".")[0]] ?? GROUPS.physics;
}

/** Returns a link to the listing of a category, or text for a label that arXiv does not have. */
export function listingLink(label, words = label) {
  if (!isCategory(label)) return element("span", {}, words);
  const href = `https://arxiv.org/list/${label}/recent`;
  return element("a", { href, rel: "noopener" }, words);
}
