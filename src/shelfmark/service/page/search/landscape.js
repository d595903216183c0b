// The landscape of papers: a picture to move in; a click on a paper shows the papers like it.

import { fullName, groupName, groupOf } from "../arxiv.js";
import { byId, element, isWide } from "../dom.js";
import { fetchLandscape } from "../service.js";
import { draw } from "./drawing.js";
import { Plane } from "./plane.js";

const REACH = 12; // pixels from a paper to the pointer
const STEP = 40; // pixels that a key moves
const FACTOR = 1.5; // that a button or a key zooms by
const DRAG = 4; // pixels that make a click a drag

let state = null; // of the landscape, once it is loaded
let wanted = { ids: [], like: [] };
let open = () => {}; // shows papers like that of an identifier

/** Offers the landscape if the index has one; it is loaded when it is first unfolded. */
export function offerLandscape({ landscape }, show) {
  if (!landscape) return;
  open = show;
  const fold = byId("landscape");
  fold.hidden = false;
  fold.addEventListener("toggle", () => fold.open && !state && load());
  fold.open = isWide();
}

/** Makes these papers stand out, as far as the landscape has them. */
export function emphasize(ids, like) {
  wanted = { ids, like };
  redraw();
}

async function load() {
  const fold = byId("landscape");
  try {
    state = prepare(await fetchLandscape());
  } catch (error) {
    if (error.status === 404) fold.hidden = true;
    else byId("landscape-paper").textContent = error.message;
    return;
  }
  const { ids, groups } = state;
  byId("map").setAttribute("aria-label",
    `Landscape of ${ids.length.toLocaleString("en")} papers: near papers are alike. ` +
    "The list of results has the same papers as text.");
  byId("legend").replaceChildren(...groups.map(([group]) =>
    element("li", {}, element("span", { class: `swatch group-${group || "other"}` }),
      groupName("", group) || "Other")));
  new ResizeObserver(redraw).observe(byId("map"));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  listen(byId("map"));
}

function prepare({ categories, papers }) {
  const labels = papers.category.map((number) => categories[number]);
  const groups = Map.groupBy(labels.keys(), (paper) => groupOf(labels[paper]));
  const byLabel = [...Map.groupBy(labels.keys(), (paper) => labels[paper])];
  byLabel.sort(([, a], [, b]) => b.length - a.length);
  return {
    ids: papers.id,
    titles: papers.title,
    labels,
    places: new Map(papers.id.map((id, paper) => [id, paper])),
    plane: new Plane(papers),
    groups: [...groups].sort(([a], [b]) => (a < b ? -1 : 1)),
    names: byLabel.map(([text, members]) => ({ text, paper: middle(members, papers) })),
    chosen: -1,
  };
}

// Of some papers, the one nearest to the medians of their coordinates.
function middle(members, { x, y }) {
  const median = (values) => values.sort((a, b) => a - b)[values.length >> 1];
  const [left, up] = [x, y].map((axis) => median(members.map((paper) => axis[paper])));
  const distance = (paper) => (x[paper] - left) ** 2 + (y[paper] - up) ** 2;
  return members.reduce((best, paper) => (distance(paper) < distance(best) ? paper : best));
}

function redraw() {
  if (!state) return;
  const map = byId("map");
  state.plane.resize(map.clientWidth, map.clientHeight);
  const emphasized = [...wanted.like, ...wanted.ids].map((id) => state.places.get(id) ?? -1);
  draw(map, state.plane, { ...state, emphasized: emphasized.filter((paper) => paper >= 0) });
  map.classList.toggle("zoomed", state.plane.zoom > 1);
}

/** Shows the title of a paper, beside it and to screen readers; -1 shows none. */
function choose(paper) {
  if (paper === state.chosen) return;
  state.chosen = paper;
  const label = state.labels[paper];
  byId("landscape-paper").textContent = paper < 0
    ? ""
    : `${state.titles[paper]} · ${[label, fullName(label)].filter(Boolean).join(" ")}`;
  byId("map").classList.toggle("on-paper", paper >= 0);
  redraw();
}

const chooseCentre = () => {
  const { plane } = state;
  choose(plane.nearest(plane.width / 2, plane.height / 2));
};

const KEYS = {
  ArrowLeft: (plane) => plane.pan(STEP, 0),
  ArrowRight: (plane) => plane.pan(-STEP, 0),
  ArrowUp: (plane) => plane.pan(0, STEP),
  ArrowDown: (plane) => plane.pan(0, -STEP),
  "+": (plane) => plane.zoomBy(FACTOR),
  "-": (plane) => plane.zoomBy(1 / FACTOR),
  0: (plane) => plane.reset(),
};

function listen(map) {
  const { plane } = state;
  for (const [id, key] of [["zoom-in", "+"], ["zoom-out", "-"], ["zoom-all", "0"]]) {
    byId(id).addEventListener("click", () => {
      KEYS[key](plane);
      redraw();
    });
  }
  map.addEventListener("wheel", (event) => {
    const factor = Math.exp(-event.deltaY / 300);
    if (!plane.zoomBy(factor, event.offsetX, event.offsetY)) return; // the page scrolls
    event.preventDefault();
    redraw();
  }, { passive: false });
  map.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Enter" && state.chosen >= 0) open(state.ids[state.chosen]);
    else if (event.key === "Escape") choose(-1);
    else if (KEYS[event.key]) {
      KEYS[event.key](plane);
      chooseCentre();
      redraw();
    } else return;
    event.preventDefault();
  });
  map.addEventListener("focus", () => map.matches(":focus-visible") && chooseCentre());
  map.addEventListener("blur", () => choose(-1));
  listenToPointer(map, plane);
}

function listenToPointer(map, plane) {
  let drag = null; // how far the pointer went since it was pressed
  map.addEventListener("pointerdown", (event) => {
    drag = { distance: 0 };
    map.setPointerCapture(event.pointerId);
  });
  map.addEventListener("pointermove", (event) => {
    if (drag) {
      drag.distance += Math.abs(event.movementX) + Math.abs(event.movementY);
      plane.pan(event.movementX, event.movementY);
      redraw();
    } else choose(plane.nearest(event.offsetX, event.offsetY, REACH));
  });
  map.addEventListener("pointerup", (event) => {
    const clicked = drag && drag.distance <= DRAG;
    drag = null;
    const paper = plane.nearest(event.offsetX, event.offsetY, REACH);
    if (clicked && paper >= 0) open(state.ids[paper]);
  });
  map.addEventListener("pointercancel", () => {
    drag = null;
  });
  map.addEventListener("pointerleave", () => drag || choose(-1));
}
