// Marks in a text: each run of characters of one weight, as strong as its weight.

import { element, styled } from "./dom.js";

/** Returns the pieces of characters `from` to `end`, those with a weight as marks.
 *
 * `sums` holds the weight of each character, `slice(from, to)` returns the text between two. */
export function markRuns(sums, slice, from = 0, end = sums.length, name = (weight) => weight) {
  const most = sums.reduce((found, sum) => Math.max(found, Math.abs(sum)), 0);
  const parts = [];
  for (let to = from; from < end; from = to) {
    while (to < end && sums[to] === sums[from]) to++;
    const part = slice(from, to);
    parts.push(sums[from] === 0 ? part : marked(part, sums[from], most, name));
  }
  return parts;
}

function marked(part, weight, most, name) {
  const direction = weight > 0 ? "towards" : "away";
  const mark = element("mark", { class: direction, title: name(weight) }, part);
  return styled(mark, "--strength", (Math.abs(weight) / most).toFixed(2));
}
