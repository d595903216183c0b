// Errors of requests: one line on the page, or the form for the key that the service requires.

import { byId } from "./dom.js";
import { useKey } from "./service.js";

let retry = () => {}; // the request that waits for a key

/** Shows an error in a view's line; if a key is missing, asks for it there, and then asks again. */
export function showError(error, line, again) {
  if (error.status === 401) askForKey(line, again);
  else line.textContent = sentence(error);
  line.scrollIntoView({ block: "nearest" });
}

function sentence(error) {
  const refusals = { 413: "The request is too large: ", 422: "The request is invalid: " };
  return `${refusals[error.status] ?? ""}${error.message}`;
}

function askForKey(line, again) {
  retry = again;
  const value = byId("key-value");
  line.textContent = value.value
    ? "The service does not accept this key."
    : "The service requires a key.";
  line.after(byId("key")); // one form for all views
  byId("key").hidden = false;
  value.focus();
}

byId("key").addEventListener("submit", (event) => {
  event.preventDefault();
  useKey(byId("key-value").value.trim());
  byId("key").hidden = true;
  retry();
});
