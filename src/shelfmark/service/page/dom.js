// Helpers that build the nodes of the page. Text becomes text nodes, never markup.

export const byId = (id) => document.getElementById(id);

/** Returns whether the parts of a view stand side by side, and need not be folded. */
export const isWide = () => matchMedia("(min-width: 62rem)").matches;

export function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) node.setAttribute(name, "");
    else if (value !== false && value != null) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child != null && child !== false));
  return node;
}

/** Sets a style property, which the Content Security Policy forbids as an attribute. */
export function styled(node, property, value) {
  node.style.setProperty(property, value);
  return node;
}

export function percent(probability) {
  if (probability > 0 && probability < 0.001) return "< 0.1\u00a0%";
  return `${(100 * probability).toFixed(1)}\u00a0%`;
}

export function signed(weight) {
  return `${weight < 0 ? "−" : "+"}${Math.abs(weight).toFixed(2)}`;
}

export function count(number, noun) {
  return `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;
}

export function duration(milliseconds) {
  return milliseconds < 1000
    ? `${Math.max(1, Math.round(milliseconds))}\u00a0ms`
    : `${(milliseconds / 1000).toFixed(1)}\u00a0s`;
}
