// Decodes the packets of one stream by WebCodecs and draws the pictures to a canvas.

const MOST_WAITING = 20; // packets that are not drawn yet; with more, the page is too slow and begins anew
const MOST_LOST = 16; // packets in a row; after more of them, only a key frame helps

/**
 * Events: "drawn" (detail: packet, at), "lost" (detail: seq), "needs-keyframe", "failed" (detail: message).
 * A packet is {seq, timestamp, keyframe, codec, width, height, repairs, arrived, data}.
 */
export class Player extends EventTarget {
  #canvas;
  #context;
  #decoder = null;
  #codec = null;
  #waiting = new Map(); // packets in the decoder, by their timestamp
  #last = null; // the seq of the last packet
  #hole = null; // the highest lost packet that the coming pictures may still need
  #asked = -Infinity;

  constructor(canvas) {
    super();
    this.#canvas = canvas;
    this.#context = canvas.getContext("2d", { alpha: false });
  }

  take(packet) {
    if (this.#last !== null && packet.seq > this.#last + 1) this.#miss(this.#last + 1, packet.seq - 1);
    this.#last = packet.seq;
    if (packet.keyframe) this.#start(packet);
    else if (this.#hole !== null && packet.repairs >= this.#hole) this.#hole = null;
    if (this.#decoder === null || this.#decoder.state !== "configured") return this.#ask();
    if (this.#hole !== null) return;
    if (this.#waiting.size > MOST_WAITING) return this.#begin();
    this.#waiting.set(packet.timestamp, packet);
    this.#decoder.decode(
      new EncodedVideoChunk({ type: packet.keyframe ? "key" : "delta", timestamp: packet.timestamp, data: packet.data }),
    );
  }

  /** Forgets the stream: the next one begins with a key frame. */
  reset() {
    if (this.#decoder !== null && this.#decoder.state !== "closed") this.#decoder.close();
    this.#decoder = null;
    this.#codec = this.#last = this.#hole = null;
    this.#waiting.clear();
    this.#asked = -Infinity;
  }

  #miss(first, last) {
    if (last - first >= MOST_LOST) return this.#begin();
    for (let seq = first; seq <= last; seq++) this.#tell("lost", { seq });
    this.#hole = last;
  }

  #start(packet) {
    this.#hole = null;
    const codec = packet.codec ?? this.#codec;
    if (codec === null) return;
    if (this.#decoder === null || this.#decoder.state === "closed") {
      this.#decoder = new VideoDecoder({ output: (frame) => this.#draw(frame), error: (error) => this.#recover(error) });
    } else if (packet.codec === null) {
      return;
    }
    this.#codec = codec;
    // Without a description, the data is Annex B (H.264, HEVC) or OBUs (AV1), as encoders write it.
    this.#decoder.configure({ codec, optimizeForLatency: true });
  }

  #draw(frame) {
    const packet = this.#waiting.get(frame.timestamp);
    for (const timestamp of this.#waiting.keys()) if (timestamp <= frame.timestamp) this.#waiting.delete(timestamp);
    const { displayWidth: width, displayHeight: height } = frame;
    if (this.#canvas.width !== width || this.#canvas.height !== height) Object.assign(this.#canvas, { width, height });
    this.#context.drawImage(frame, 0, 0, width, height);
    frame.close();
    if (packet !== undefined) this.#tell("drawn", { packet, at: performance.now() });
  }

  async #recover(error) {
    const codec = this.#codec;
    this.#begin();
    const { supported } = await VideoDecoder.isConfigSupported({ codec });
    if (!supported) this.#tell("failed", { message: `This browser cannot decode ${codec}.` });
    else console.warn("decoding begins anew:", error.message);
  }

  #begin() {
    const { codec, last } = { codec: this.#codec, last: this.#last };
    this.reset();
    this.#codec = codec;
    this.#last = last;
    this.#ask();
  }

  /** A key frame is on its way soon after it was asked for: asking with each packet would only make more of them. */
  #ask() {
    const now = performance.now();
    if (now - this.#asked < 1000) return;
    this.#asked = now;
    this.#tell("needs-keyframe", null);
  }

  #tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}

/** The packet in a message of the server: the length of the header, the header as JSON, the data. */
export function packetOf(message) {
  const length = new DataView(message).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(message, 4, length)));
  return { ...header, arrived: performance.now(), data: new Uint8Array(message, 4 + length) };
}
