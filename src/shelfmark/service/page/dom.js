// Building blocks for what the page shows. Text only ever becomes text nodes, never markup.

export const find = (id) => document.getElementById(id);

export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) made.setAttribute(name, "");
    else if (value !== false && value != null) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child != null && child !== false));
  return made;
}

/** The Content Security Policy forbids style attributes; properties set from here it allows. */
export function styled(made, property, value) {
  made.style.setProperty(property, value);
  return made;
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
