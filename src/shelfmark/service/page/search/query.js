// What is searched for: as the address of the page holds it, and as the service takes it.

const LISTS = ["like", "unlike", "category", "exclude"];
const TEXTS = ["text", "title", "abstract", "since", "until"];
const NUMBERS = { words: [0, 0.7, 1], shelf: [0, 0, 1], k: [1, 10, 100] }; // least, usual, most
const VIEW = "#search";

export const STEPS = [10, 20, 50, 100]; // numbers of results

/** Returns a query with nothing to search for, and these values. */
export function newQuery(values = {}) {
  const lists = LISTS.map((name) => [name, []]);
  const texts = TEXTS.map((name) => [name, ""]);
  const numbers = Object.entries(NUMBERS).map(([name, [, usual]]) => [name, usual]);
  return { ...Object.fromEntries([...lists, ...texts, ...numbers]), primary: false, ...values };
}

/** Returns the query that the fragment of an address holds, or null if it names no search. */
export function readAddress(hash) {
  if (hash !== VIEW && !hash.startsWith(`${VIEW}?`)) return null;
  const fields = new URLSearchParams(hash.slice(VIEW.length + 1));
  const query = newQuery({ primary: fields.get("primary") === "true" });
  for (const name of TEXTS) query[name] = fields.get(name) ?? "";
  for (const name of LISTS) query[name] = [...new Set(fields.get(name)?.split(",").filter(Boolean))];
  for (const [name, [least, usual, most]] of Object.entries(NUMBERS)) {
    const number = fields.has(name) ? Number(fields.get(name)) : NaN;
    query[name] = number >= least && number <= most ? number : usual;
  }
  query.k = Math.round(query.k);
  return query;
}

/** Returns the fragment of the address that holds a query; usual values are left out. */
export function toAddress(query) {
  const fields = Object.entries(toBody(query)).filter(([name, value]) => {
    return name !== "explain" && value !== NUMBERS[name]?.[1];
  });
  // A fragment may hold commas and slashes as they are.
  const text = new URLSearchParams(fields).toString().replaceAll("%2C", ",").replaceAll("%2F", "/");
  return text ? `${VIEW}?${text}` : VIEW;
}

/** Returns the body of POST /search. */
export function toBody(query) {
  const body = { explain: true };
  const without = query.text.trim() ? ["title", "abstract"] : ["text"]; // the text comes first
  for (const name of TEXTS) {
    if (query[name].trim() && !without.includes(name)) body[name] = query[name].trim();
  }
  for (const name of LISTS) if (query[name].length) body[name] = query[name];
  for (const name of Object.keys(NUMBERS)) body[name] = query[name];
  if (query.primary) body.primary = true;
  return body;
}

/** Returns whether a query has anything that papers could be similar to. */
export function isBlank({ text, title, abstract, like }) {
  return !(text.trim() || title.trim() || abstract.trim() || like.length);
}

/** Returns the filters of a query, each as a word, a value, and the query without the filter. */
export function filtersOf(query, fullName) {
  const named = (label) => [label, fullName(label)].filter(Boolean).join(" ");
  const without = (name, label) => ({ ...query, [name]: query[name].filter((x) => x !== label) });
  return [
    ...query.category.map((x) => ["only", named(x), without("category", x)]),
    ...query.exclude.map((x) => ["without", named(x), without("exclude", x)]),
    query.since && ["since", query.since, { ...query, since: "" }],
    query.until && ["until", query.until, { ...query, until: "" }],
    query.primary && ["only", "its primary category", { ...query, primary: false }],
  ].filter(Boolean);
}
