// The drawing of a landscape: a dot a paper, a colour a group, the names of categories.

const FONT = 12; // pixels
const FADED = 0.35; // the opacity of other papers, while some are emphasized
const TURN = 2 * Math.PI;

/** Draws a landscape; colours come from the style of the canvas, so that they follow its theme.
 *
 * `groups` and `categories` hold the group and the category of each paper, `emphasized` the papers
 * to stand out, `chosen` the paper whose title is shown, or -1. */
export function draw(canvas, plane, { groups, names, emphasized, chosen }) {
  const style = getComputedStyle(canvas);
  const pen = canvas.getContext("2d");
  const { width, height } = plane;
  const density = devicePixelRatio;
  if (canvas.width !== Math.round(width * density)) canvas.width = Math.round(width * density);
  if (canvas.height !== Math.round(height * density)) canvas.height = Math.round(height * density);
  pen.setTransform(density, 0, 0, density, 0, 0);
  pen.clearRect(0, 0, width, height);
  const size = Math.min(1.4 * Math.sqrt(plane.zoom), 5);
  pen.globalAlpha = emphasized.length ? FADED : 0.7;
  for (const [group, papers] of groups) dots(pen, plane, papers, size, colourOf(style, group));
  pen.globalAlpha = 1;
  label(pen, plane, names, style);
  for (const [group, papers] of groups) {
    const some = papers.filter((paper) => emphasized.includes(paper));
    dots(pen, plane, some, size + 3, colourOf(style, group), style.color);
  }
  if (chosen >= 0) ring(pen, plane.place(chosen), size + 6, style.color);
}

const colourOf = (style, group) => style.getPropertyValue(`--group-${group || "other"}`);

function dots(pen, plane, papers, radius, colour, edge = "") {
  pen.beginPath();
  for (const paper of papers) {
    const [x, y] = plane.place(paper);
    if (x < -radius || y < -radius || x > plane.width + radius || y > plane.height + radius) continue;
    pen.moveTo(x + radius, y);
    pen.arc(x, y, radius, 0, TURN);
  }
  pen.fillStyle = colour;
  pen.fill();
  if (!edge) return;
  pen.strokeStyle = edge;
  pen.lineWidth = 1.5;
  pen.stroke();
}

function ring(pen, [x, y], radius, colour) {
  pen.beginPath();
  pen.arc(x, y, radius, 0, TURN);
  pen.strokeStyle = colour;
  pen.lineWidth = 2;
  pen.stroke();
}

// The names of categories, the largest first, where none overlaps another.
function label(pen, plane, names, style) {
  pen.font = `600 ${FONT}px ${style.fontFamily}`;
  pen.textAlign = "center";
  pen.textBaseline = "middle";
  pen.lineJoin = "round";
  pen.lineWidth = 4;
  pen.strokeStyle = style.backgroundColor;
  pen.fillStyle = style.color;
  const taken = [];
  for (const { text, paper } of names) {
    const [x, y] = plane.place(paper);
    const half = pen.measureText(text).width / 2 + 3;
    if (x < half || y < FONT || x > plane.width - half || y > plane.height - FONT) continue;
    const overlaps = taken.some((other) =>
      Math.abs(other.x - x) < other.half + half && Math.abs(other.y - y) < 1.4 * FONT);
    if (overlaps) continue;
    taken.push({ x, y, half });
    pen.strokeText(text, x, y);
    pen.fillText(text, x, y);
  }
}
