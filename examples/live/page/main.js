// Connects the parts: packets to the player, answers to the server, figures to the page.

import { Chart } from "./chart.js";
import { Connection } from "./connection.js";
import { Player, packetOf } from "./player.js";

const at = (id) => document.getElementById(id);
const NO_LIMIT = Number(at("link").max);
const SAMPLE = 250; // milliseconds between two points of the charts

const connection = new Connection(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/stream`);
const player = new Player(at("picture"));
const charts = {
  latency: new Chart(at("latency-chart"), ["--one", "--two"], "ms"),
  bitrate: new Chart(at("bitrate-chart"), ["--one", "--two", "--three"], "Mbit/s"),
  fps: new Chart(at("fps-chart"), ["--one"], "per second"),
};
const counted = { keyframes: 0, lost: 0, repaired: 0, largest: 0, largestKey: 0 };
let recent = []; // {at, bytes, latency} of the last second
let state = {};
let isRepairing = false;

function setStatus(name, text = name) {
  at("status").dataset.state = name;
  at("status").textContent = text;
}

function setNotice(text) {
  at("notice").hidden = text === "";
  at("notice").textContent = text;
}

connection.addEventListener("open", () => {
  player.reset();
  setStatus("connecting", "waiting for a key frame");
  sendLink();
  if (askedSize !== null) connection.send({ size: askedSize });
});
connection.addEventListener("closed", ({ detail }) => setStatus("failed", detail ? `closed: ${detail}` : "connecting again"));
connection.addEventListener("packet", ({ detail }) => {
  const packet = packetOf(detail);
  connection.send({ ack: packet.seq });
  recent.push({ at: packet.arrived, bytes: packet.data.length });
  counted.keyframes += packet.keyframe;
  if (packet.keyframe) counted.largestKey = Math.max(counted.largestKey, packet.data.length);
  else counted.largest = Math.max(counted.largest, packet.data.length);
  if (packet.codec !== null) at("codec").textContent = packet.codec;
  player.take(packet);
});
connection.addEventListener("state", ({ detail }) => {
  state = detail;
  at("backend").textContent = { nvenc: "NVENC", software: "processor" }[state.backend] ?? "–";
  at("viewers").textContent = state.viewers > 1 && state.is_slowest ? `${state.viewers}, this one is the slowest` : state.viewers;
  at("dropped").textContent = state.held_back + state.replaced;
  dispatchEvent(new CustomEvent("state", { detail: state }));
});

player.addEventListener("lost", ({ detail }) => {
  counted.lost++;
  isRepairing = true;
  connection.send({ lost: detail.seq });
});
player.addEventListener("needs-keyframe", () => connection.send({ keyframe: true }));
player.addEventListener("failed", ({ detail }) => {
  setStatus("failed", "cannot decode");
  setNotice(detail.message);
});
player.addEventListener("drawn", ({ detail }) => {
  const { packet, at: shown } = detail;
  const now = connection.serverTime(shown);
  const latency = now === null ? null : Math.max(now - packet.timestamp / 1000, 0);
  const onLink = now === null ? null : Math.max(connection.serverTime(packet.arrived) - packet.timestamp / 1000, 0);
  recent.push({ at: shown, latency, onLink });
  counted.repaired += isRepairing;
  isRepairing = false;
  setStatus("live");
  at("size").textContent = `${packet.width} × ${packet.height}`;
  dispatchEvent(new CustomEvent("drawn", { detail: packet }));
});

// The window's size is the size of the picture, once it has rested for a moment.
let askedSize = null;
let resting = 0;
new ResizeObserver(([{ contentRect }]) => {
  clearTimeout(resting);
  resting = setTimeout(() => {
    const size = [contentRect.width, contentRect.height].map((part) => Math.max(Math.round(part * (devicePixelRatio || 1)), 1));
    if (String(size) === String(askedSize)) return;
    askedSize = size;
    connection.send({ size });
  }, 150);
}).observe(at("stage"));

/** From 0.1 Mbit/s upwards in equal ratios; the right end is no limit. */
function linkRate() {
  const step = Number(at("link").value);
  return step === NO_LIMIT ? null : Math.round(100_000 * 10 ** (step / 24)); // 24 steps are ten times as fast
}

function sendLink() {
  const rate = linkRate();
  at("link-speed").textContent = rate === null ? "no limit" : `${(rate / 1e6).toFixed(rate < 1e7 ? 2 : 1)} Mbit/s`;
  connection.send({ link: rate });
}

at("link").addEventListener("input", sendLink);
at("drop").addEventListener("click", () => connection.send({ drop: 1 }));
at("keyframe").addEventListener("click", () => connection.send({ keyframe: true }));

const mean = (values) => (values.length ? values.reduce((sum, value) => sum + value, 0) / values.length : null);
const shown = (value, digits) => (value === null || value === undefined ? "–" : value.toFixed(digits));

setInterval(() => {
  const now = performance.now();
  recent = recent.filter((one) => one.at > now - 1000);
  const drawn = recent.filter((one) => "latency" in one);
  const latency = mean(drawn.flatMap((one) => one.latency ?? []));
  const onLink = mean(drawn.flatMap((one) => one.onLink ?? []));
  const received = recent.reduce((sum, one) => sum + (one.bytes ?? 0), 0) * 8e-6;
  charts.latency.add(latency, onLink);
  charts.bitrate.add(received, state.bitrate ? state.bitrate / 1e6 : null, state.link ? state.link / 1e6 : null);
  charts.fps.add(drawn.length);
  at("latency").textContent = shown(latency, 0);
  at("bitrate").textContent = shown(received, 2);
  at("fps").textContent = drawn.length;
  at("keyframes").textContent = counted.keyframes;
  at("lost").textContent = `${counted.lost}, ${counted.repaired}`;
  at("largest").textContent = [counted.largest, counted.largestKey].map((bytes) => `${(bytes / 1000).toFixed(1)} kB`).join(", ");
  for (const chart of Object.values(charts)) chart.draw();
}, SAMPLE);

if (!("VideoDecoder" in window)) {
  setNotice("This browser has no WebCodecs here. Use a new one, and open the page by https or at 127.0.0.1.");
}
