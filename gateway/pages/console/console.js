// The console: connects, and puts the parts together.
import { connect } from "../sdk/index.js";
import { Chart } from "./chart.js";
import { showClaim } from "./claims.js";
import { Queues } from "./queues.js";
import { Tail } from "./tail.js";

const part = (id) => document.getElementById(id);
const STATES = { waiting: "Waiting to connect again", connecting: "Connecting", connected: "Connected", closed: "Not connected" };

let gateway = null;
let chosen = "";
let chart = null;
const tail = new Tail(
  part("tail"),
  part("tail-state"),
  (position) => chart?.begin(position),
  (position) => chart?.count(position),
);
const queues = new Queues(
  { rows: part("queues"), more: part("more"), none: part("no-queues") },
  choose,
  (_, counts) => chart?.holds(counts.total),
);

/** Do something, and show what fails. */
async function attempt(act) {
  part("error").hidden = true;
  try {
    await act();
  } catch (error) {
    fail(error);
  }
}

function fail(error) {
  part("error").textContent = error?.message ?? String(error);
  part("error").hidden = false;
}

/** Where the gateway is: this page comes from it. */
function address() {
  const url = new URL("../", location.href);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  return url.href;
}

function open(project, token) {
  gateway?.close();
  close();
  gateway = connect({ url: address(), project, ...(token && { getToken: () => token }) });
  const own = gateway;
  own.on("state", ({ state, error }) => {
    if (own !== gateway) return;
    showState(state);
    if (state === "waiting") tail.interrupted();
    if (state === "closed" && error) fail(error);
  });
  own.on("error", fail);
  showState(own.state);
  attempt(() => queues.show(own));
}

/** Nothing is chosen. */
function close() {
  tail.stop();
  chosen = "";
  chart = null;
  part("queue").hidden = true;
  part("choose").hidden = false;
  part("claims").replaceChildren();
}

function showState(state) {
  part("state").dataset.state = state;
  part("state").textContent = STATES[state];
}

function choose(name) {
  close();
  chosen = name;
  queues.choose(name);
  part("name").textContent = name;
  part("choose").hidden = true;
  part("queue").hidden = false;
  part("name").focus();
  chart = new Chart(part("chart"), part("chart-told"));
  attempt(async () => tail.follow(gateway, name));
}

/** What was typed, as JSON if it is that. */
function body(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function onSubmit(id, act) {
  part(id).addEventListener("submit", (event) => {
    event.preventDefault();
    attempt(() => act(new FormData(event.target), event.target));
  });
}

onSubmit("connect", async (form) => {
  localStorage.setItem("zaqar-gateway project", form.get("project"));
  open(form.get("project"), form.get("token"));
});

onSubmit("create", async (form, element) => {
  const name = form.get("queue");
  await gateway.queue(name).create();
  queues.add(name);
  element.reset();
  choose(name);
});

onSubmit("post", async (form) => {
  const ttl = Number(form.get("ttl"));
  const id = await gateway.queue(chosen).post(body(form.get("body")), { ...(ttl && { ttl }), timeout: 10_000 });
  part("posted").textContent = `Posted ${id}`;
});

onSubmit("claim", async (form) => {
  const options = { limit: Number(form.get("limit")), ttl: Number(form.get("ttl")) };
  const claim = await gateway.queue(chosen).claim(options);
  part("claimed").textContent = claim ? `Claimed ${claim.messages.length}` : "Nothing is free.";
  if (claim) showClaim(part("claims"), claim, attempt);
});

part("more").addEventListener("click", () => attempt(() => queues.more()));
part("earliest").addEventListener("click", () => attempt(async () => tail.follow(gateway, chosen, "earliest")));
part("clear").addEventListener("click", () => tail.clear());
part("pause").addEventListener("click", ({ target }) => {
  const paused = target.getAttribute("aria-pressed") !== "true";
  target.setAttribute("aria-pressed", String(paused));
  tail.pause(paused);
});
setInterval(() => chart?.tick(), 1_000);

part("connect").elements.project.value = localStorage.getItem("zaqar-gateway project") ?? "demo";
open(part("connect").elements.project.value, "");
