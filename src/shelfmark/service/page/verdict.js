// How far an answer can be acted on, in one word.

/** The states of an answer, the best first. */
export const STATES = ["sure", "likely", "open", "doubtful", "outside"];

/** Returns the verdict on the category, or the scope of a text that is not in scope. */
export const stateOf = ({ scope, verdict }) => (scope === "in" ? verdict : scope);
