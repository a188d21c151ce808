// A line chart of the last seconds.

const SECONDS = 30;
const style = getComputedStyle(document.documentElement);

export class Chart {
  #canvas;
  #lines;
  #unit;
  #shown = null;

  /** `colours`: of the lines, by the names of the page's style; `unit`: of the label at the top. */
  constructor(canvas, colours, unit) {
    this.#canvas = canvas;
    this.#lines = colours.map((name) => ({ colour: style.getPropertyValue(name), points: [] }));
    this.#unit = unit;
  }

  /** Adds a point to each line; null leaves a gap. */
  add(...values) {
    const now = performance.now();
    this.#lines.forEach(({ points }, place) => {
      points.push([now, values[place] ?? null]);
      while (points[0][0] < now - SECONDS * 1000) points.shift();
    });
  }

  draw() {
    const scale = devicePixelRatio || 1;
    const { clientWidth: width, clientHeight: height } = this.#canvas;
    if (this.#canvas.width !== width * scale || this.#canvas.height !== height * scale) {
      Object.assign(this.#canvas, { width: width * scale, height: height * scale });
    }
    const context = this.#canvas.getContext("2d");
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.clearRect(0, 0, width, height);
    const top = this.#top();
    this.#grid(context, width, height, top);
    for (const line of this.#lines.toReversed()) this.#line(context, width, height, top, line);
    this.#label(context, top);
  }

  /** The highest value of the axis: 1, 2 or 5 times a power of ten, and steady while the values hardly change. */
  #top() {
    const values = this.#lines.flatMap(({ points }) => points.map(([, value]) => value ?? 0));
    const most = Math.max(...values, 1e-9);
    if (this.#shown === null || most > this.#shown || most < 0.3 * this.#shown) {
      const power = 10 ** Math.floor(Math.log10(most * 1.1));
      this.#shown = [1, 2, 5, 10].map((step) => step * power).find((step) => step >= most * 1.1);
    }
    return this.#shown;
  }

  #grid(context, width, height, top) {
    context.strokeStyle = style.getPropertyValue("--edge");
    context.lineWidth = 1;
    context.beginPath();
    for (const part of [0, 0.5, 1]) {
      const y = Math.round(part * (height - 1)) + 0.5 - (part === 1 ? 0.5 : 0);
      context.moveTo(0, y);
      context.lineTo(width, y);
    }
    context.stroke();
  }

  #label(context, top) {
    const text = `${+top.toPrecision(2)} ${this.#unit}`;
    context.font = "10px system-ui, sans-serif";
    context.fillStyle = style.getPropertyValue("--card");
    context.fillRect(0, 2, context.measureText(text).width + 6, 12);
    context.fillStyle = style.getPropertyValue("--quiet");
    context.fillText(text, 2, 11);
  }

  #line(context, width, height, top, { colour, points }) {
    const now = performance.now();
    context.strokeStyle = colour;
    context.lineWidth = 1.6;
    context.lineJoin = "round";
    context.beginPath();
    let isDown = false;
    for (const [time, value] of points) {
      if (value !== null) {
        const x = width * (1 - (now - time) / (SECONDS * 1000));
        const y = (height - 2) * (1 - value / top) + 1;
        isDown ? context.lineTo(x, y) : context.moveTo(x, y);
      }
      isDown = value !== null;
    }
    context.stroke();
  }
}
