// The groups, names and identifiers of arXiv; a model may give custom labels other names.

import { element } from "./dom.js";
import { ARCHIVES, CATEGORIES, GROUPS } from "./taxonomy.js";

const IN_ARCHIVE =
  /^(astro-ph|cond-mat|cs|econ|eess|math|nlin|physics|q-bio|q-fin|stat)\.[A-Za-z]{2}[a-z-]*$/;
const ALONE = /^(gr-qc|hep-(ex|lat|ph|th)|math-ph|nucl-(ex|th)|quant-ph)$/;

/** A model may have custom labels, which are no categories of arXiv. */
export const isCategory = (label) => IN_ARCHIVE.test(label) || ALONE.test(label);

export function groupName(label, group) {
  const code = group || groupOf(label);
  return GROUPS[code] ?? code;
}

/** Returns the code of the group of a category, or nothing for a label that arXiv does not have. */
export function groupOf(label) {
  if (!isCategory(label)) return "";
  const [archive] = label.split(".");
  return archive in GROUPS ? archive : "physics";
}

/** Returns the full name of a category, an archive or a group, or nothing. */
export function fullName(label) {
  return CATEGORIES[label] ?? ARCHIVES[label] ?? "";
}

/** Returns all names by which papers can be filtered, with their full names. */
export const allNames = () => Object.entries({ ...ARCHIVES, ...CATEGORIES });

/** Returns a link to the listing of a category, or text for a label that arXiv does not have. */
export function listingLink(label, words = label) {
  if (!isCategory(label)) return element("span", {}, words);
  const href = `https://arxiv.org/list/${label}/recent`;
  return element("a", { href, rel: "noopener" }, words);
}
