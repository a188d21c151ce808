// The WebSocket to the server. It connects again when it is lost, and knows the server's clock.

const LONGEST_PAUSE = 4000;

/** Events: "open", "closed", "packet" and "state" (detail: the message). */
export class Connection extends EventTarget {
  #address;
  #socket = null;
  #pause = 250;
  #offset = null; // the server's clock minus ours, in milliseconds
  #shortest = Infinity; // the shortest round trip, by which the offset was measured

  constructor(address) {
    super();
    this.#address = address;
    this.#connect();
    setInterval(() => this.#ping(), 2000);
    addEventListener("online", () => this.#socket === null && this.#connect());
  }

  send(message) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  /** The server's clock in milliseconds; null while it is not known. */
  serverTime(ours = performance.now()) {
    return this.#offset === null ? null : ours + this.#offset;
  }

  #connect() {
    const socket = new WebSocket(this.#address);
    this.#socket = socket;
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      this.#pause = 250;
      this.#offset = null;
      this.#shortest = Infinity;
      this.#ping();
      this.dispatchEvent(new Event("open"));
    };
    socket.onmessage = ({ data }) => this.#take(data);
    socket.onclose = ({ reason }) => {
      this.#socket = null;
      this.dispatchEvent(new CustomEvent("closed", { detail: reason }));
      setTimeout(() => this.#socket === null && this.#connect(), this.#pause);
      this.#pause = Math.min(this.#pause * 2, LONGEST_PAUSE);
    };
  }

  #take(data) {
    if (data instanceof ArrayBuffer) return this.dispatchEvent(new CustomEvent("packet", { detail: data }));
    const message = JSON.parse(data);
    if ("pong" in message) this.#setClock(message);
    else if ("state" in message) this.dispatchEvent(new CustomEvent("state", { detail: message.state }));
  }

  #ping() {
    this.send({ ping: Math.round(performance.now() * 1000) });
  }

  #setClock({ pong, clock }) {
    const sent = pong / 1000, now = performance.now();
    if (now - sent > this.#shortest) return;
    this.#shortest = now - sent;
    this.#offset = clock / 1000 - (sent + now) / 2;
  }
}
