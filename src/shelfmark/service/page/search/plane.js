// The part of a landscape that a canvas shows: where its papers lie on it, and which is nearest.

const SIDE = 10_000; // of the landscape, in its own units
const MARGIN = 1.04;
const MOST_ZOOM = 40;

/** A view of papers in a plane; `x` goes right, and `y` up. */
export class Plane {
  constructor({ x, y }) {
    this.xs = Float64Array.from(x);
    this.ys = Float64Array.from(y);
    this.width = this.height = 1;
    this.reset();
  }

  reset() {
    this.zoom = 1;
    this.x = this.y = SIDE / 2; // what lies at the centre
  }

  resize(width, height) {
    this.width = width;
    this.height = height;
  }

  /** The pixels of a unit. */
  get scale() {
    return (this.zoom * Math.min(this.width, this.height)) / (SIDE * MARGIN);
  }

  /** Returns the place of a paper on the canvas. */
  place(paper) {
    return [
      (this.xs[paper] - this.x) * this.scale + this.width / 2,
      (this.y - this.ys[paper]) * this.scale + this.height / 2,
    ];
  }

  /** Moves the papers by pixels; the centre stays within the landscape. */
  pan(right, down) {
    this.x = clamp(this.x - right / this.scale, 0, SIDE);
    this.y = clamp(this.y + down / this.scale, 0, SIDE);
  }

  /** Zooms in by a factor; what lies at a place of the canvas stays there. Returns whether it did. */
  zoomBy(factor, left = this.width / 2, top = this.height / 2) {
    const zoom = clamp(this.zoom * factor, 1, MOST_ZOOM);
    if (zoom === this.zoom) return false;
    const [right, down] = [left - this.width / 2, top - this.height / 2];
    this.pan(-right, -down);
    this.zoom = zoom;
    if (zoom === 1) this.reset();
    else this.pan(right, down);
    return true;
  }

  /** Returns the paper nearest to a place of the canvas, or -1 if none is within `reach` pixels. */
  nearest(left, top, reach = Infinity) {
    let [found, least] = [-1, reach ** 2];
    for (let paper = 0; paper < this.xs.length; paper++) {
      const [x, y] = this.place(paper);
      const distance = (x - left) ** 2 + (y - top) ** 2;
      if (distance <= least) [found, least] = [paper, distance];
    }
    return found;
  }
}

const clamp = (value, least, most) => Math.min(Math.max(value, least), most);
