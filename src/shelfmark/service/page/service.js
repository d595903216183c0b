// Requests to the service: one paper, or many in batches; errors become plain sentences.

// Where this script came from, whatever path of a proxy the service stands under.
const SERVICE = new URL("..", import.meta.url);
const BATCH = 64;
const MAX_ATTEMPTS = 8; // while the service is busy
const MOST_LOADING = 60; // while it loads its index
const MAX_WAIT = 30; // seconds
const BUSY = [429, 503];
const TOO_MUCH = [413, 422];

let key = "";

export function useKey(value) {
  key = value;
}

export class Problem extends Error {
  constructor(status, message, detail = "") {
    super(message);
    this.status = status;
    this.detail = detail; // as the service states it
  }
}

export const predict = (body, options) => post("predict", body, options);

export const search = (body, options) => post("search", body, { attempts: MOST_LOADING, ...options });

/** Sends a body; while the service is busy or loads, waits as long as it says and asks again. */
async function post(path, body, { signal, waiting, attempts = MAX_ATTEMPTS } = {}) {
  for (let attempt = 1; ; attempt++) {
    const response = await send(path, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
      signal,
    });
    if (response.ok) return response.json();
    const refusal = await problem(response);
    if (!BUSY.includes(response.status) || attempt === attempts) throw refusal;
    const seconds = Math.min(Number(response.headers.get("Retry-After")) || 1, MAX_WAIT);
    waiting?.(seconds, refusal.detail);
    await pause(seconds, signal);
  }
}

/** Yields [row, answer] for rows with a query; an answer may be {error}. */
export async function* predictAll(rows, options) {
  for (let from = 0; from < rows.length; from += BATCH) {
    yield* predictSome(rows.slice(from, from + BATCH), options);
  }
}

// Halves a refused batch until the refused paper is alone.
async function* predictSome(rows, options) {
  try {
    const papers = rows.map((row) => row.query);
    const { predictions, model } = await predict({ papers, top_k: 3 }, options);
    for (const [number, row] of rows.entries()) yield [row, { model, ...predictions[number] }];
  } catch (error) {
    if (!TOO_MUCH.includes(error.status)) throw error;
    if (rows.length === 1) {
      yield [rows[0], { error: error.message }];
      return;
    }
    const middle = rows.length >> 1;
    yield* predictSome(rows.slice(0, middle), options);
    yield* predictSome(rows.slice(middle), options);
  }
}

export const fetchModel = () => get("model");

/** Returns what the service says of its index of papers; nothing where it has none. */
export const fetchIndex = async () => (await get("ready")).index;

export const fetchLandscape = () => get("landscape");

async function get(path) {
  const response = await send(path);
  if (!response.ok) throw await problem(response);
  return response.json();
}

async function send(path, { headers = {}, ...options } = {}) {
  const all = key ? { ...headers, "X-API-Key": key } : headers;
  try {
    return await fetch(new URL(path, SERVICE), { ...options, headers: all });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, "The service does not answer. Is it running, and are you online?");
  }
}

async function problem(response) {
  const body = await response.json().catch(() => ({}));
  const fields = (body.errors ?? []).map((error) => `${error.field}: ${error.problem}`);
  const detail = fields.join("; ") || body.detail || body.title;
  return new Problem(response.status, detail || `The service answered ${response.status}.`, detail);
}

function pause(seconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, 1000 * seconds);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason);
    });
  });
}
