// Lets a test look at the page of examples/live: what its canvas shows when a picture has been drawn.
(() => {
  const BLOCK = 8; // pixels, as in tests/browser/live_site.py
  const canvas = document.getElementById("picture");
  const context = canvas.getContext("2d");
  /** The mean colour of each block, row by row. */
  function blocks() {
    const { width, height } = canvas, { data } = context.getImageData(0, 0, width, height);
    const columns = Math.floor(width / BLOCK), rows = Math.floor(height / BLOCK);
    const sums = new Float64Array(columns * rows * 3);
    for (let y = 0; y < rows * BLOCK; y++)
      for (let x = 0; x < columns * BLOCK; x++)
        for (let part = 0; part < 3; part++)
          sums[(Math.floor(y / BLOCK) * columns + Math.floor(x / BLOCK)) * 3 + part] += data[(y * width + x) * 4 + part];
    return Array.from(sums, sum => Math.round(sum / BLOCK ** 2 * 10) / 10);
  }
  const found = ({ seq, keyframe, width, height, repairs }) =>
    ({ seq, keyframe, repairs, width, height, canvas: [canvas.width, canvas.height], blocks: blocks() });
  /** All pictures as they are on the canvas, until one of which `holds` is true. */
  window.pictures = (holds = () => true) => new Promise(done => {
    const all = [];
    addEventListener("drawn", function look({ detail }) {
      all.push(found(detail));
      if (!holds(detail)) return;
      removeEventListener("drawn", look);
      done(all);
    });
  });
  /** The next state of the server of which `holds` is true. */
  window.state = (holds = () => true) => new Promise(done => {
    addEventListener("state", function look({ detail }) {
      if (!holds(detail)) return;
      removeEventListener("state", look);
      done(detail);
    });
  });
  /** The element, once `holds` is true of it. */
  const element = (id, holds) => new Promise(done => {
    const one = document.getElementById(id);
    const look = () => holds(one) && (watcher.disconnect(), done(one.textContent));
    const watcher = new MutationObserver(look);
    watcher.observe(one, { attributes: true, childList: true, characterData: true, subtree: true });
    look();
  });
  window.element = element;
  /** Whether the packet's picture has the shape of the window. */
  window.fills = ({ width, height }) => {
    const { clientWidth, clientHeight } = document.getElementById("stage");
    return Math.abs(Math.log((width / height) * (clientHeight / clientWidth))) < 0.1;
  };
})()
