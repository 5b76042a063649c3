// The status page: asks for /all.json every two seconds and draws what it says. Text goes in as text, never as HTML.
"use strict";

const EVERY = 2000;
const SVG = "http://www.w3.org/2000/svg";
const byId = (id) => document.getElementById(id);
let last = null;
let silentSince = null;

function element(tag, kind, ...content) {
  const made = document.createElement(tag);
  if (kind) made.className = kind;
  made.append(...content.filter((one) => one !== null && one !== undefined && one !== ""));
  return made;
}

function count(value) {
  return Math.round(value).toLocaleString("en");
}

function rate(value) {
  if (value === 0) return "0";
  if (value < 0.1) return "< 0.1";
  return value < 10 ? value.toFixed(1) : count(value);
}

function span(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 120) return `${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}

function bytes(value) {
  const units = ["B", "KB", "MB", "GB", "TB"];
  let step = 0;
  while (value >= 1000 && step < units.length - 1) { value /= 1000; step += 1; }
  return `${step && value < 10 ? value.toFixed(1) : Math.round(value)} ${units[step]}`;
}

const ago = (at) => (last.time - at < 1 ? "now" : `${span(last.time - at)} ago`);

function curve(values) {
  const shown = values.slice(-150);
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 150 30");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  if (shown.length < 2) return svg;
  const highest = Math.max(...shown, 1e-9);
  const points = shown.map((value, i) => {
    const x = (150 * i) / (shown.length - 1);
    return `${x.toFixed(1)},${(28.5 - (27 * value) / highest).toFixed(1)}`;
  });
  for (const [kind, path] of [["area", `M0,30 L${points.join(" L")} L150,30 Z`], ["line", `M${points.join(" L")}`]]) {
    const drawn = document.createElementNS(SVG, "path");
    drawn.setAttribute("class", kind);
    drawn.setAttribute("d", path);
    svg.append(drawn);
  }
  return svg;
}

function tile(id, name, value, note, values) {
  const made = element("div", "tile", element("div", "name", name), element("div", "value", value),
    element("div", "note", note), values ? curve(values) : null);
  made.id = `tile-${id}`;
  return made;
}

function tiles(status) {
  const { totals, rates, lag, history } = status;
  const checkpoints = status.processes.map((one) => one.checkpoint).filter((one) => one && one.age !== null);
  const age = checkpoints.length ? Math.max(...checkpoints.map((one) => one.age)) : null;
  const took = checkpoints.map((one) => one.seconds).filter((one) => one !== null);
  const givenUp = totals.dead_letters + totals.skipped;
  return [
    tile("fetched", "Read", `${rate(rates.fetched)} /s`, `${count(totals.fetched)} since the start`, history.fetched),
    tile("delivered", "Delivered", `${rate(rates.delivered)} /s`, `${count(totals.delivered)} since the start`,
      history.delivered),
    tile("lag", "Lag", `${count(lag.total)}`, `${lag.unit || "units of the source"} behind`, history.lag),
    tile("given-up", "Given up", count(givenUp), `${rate(rates.dead_letters + rates.skipped)} /s; ` +
      `${count(totals.dead_letters)} dead letters, ${count(totals.skipped)} skipped`, history.dead_letters),
    tile("retries", "Retries", count(totals.retries), `${rate(rates.retries)} /s; ${count(totals.failures)} failures`,
      history.retries),
    tile("checkpoint", "Checkpoint age", span(age), took.length ? `takes ${span(Math.max(...took))}` : "none yet", null),
  ];
}

function givenUp(step) {
  const parts = [];
  if (step.dead_letters) parts.push(`${count(step.dead_letters)} dead letters`);
  if (step.skipped) parts.push(`${count(step.skipped)} skipped`);
  if (step.late) parts.push(`${count(step.late)} late`);
  if (step.retries) parts.push(`${count(step.retries)} retries`);
  return parts.length ? element("div", "given-up", parts.join(", ")) : null;
}

function mark(step) {
  if (!step.rates) return "";
  const { retries, failures, dead_letters: letters, skipped } = step.rates;
  if (retries > 0 || (step.name === "source" && failures > letters + skipped)) return " is-trouble";
  return step.rates.dead_letters > 0 || step.rates.skipped > 0 ? " is-look" : "";
}

function node(title, place, lines, step, busy) {
  const made = element("li", `node${mark(step)}`, element("div", "title", title), element("div", "place", place),
    ...lines.map((line) => element("div", "rate", line)), givenUp(step));
  made.dataset.step = place;
  if (busy !== undefined) {
    const bar = element("i");
    bar.style.width = `${Math.min(100 * busy, 100).toFixed(1)}%`;
    const meter = element("div", "meter", bar);
    meter.title = `busy ${(100 * busy).toFixed(1)} % of a core`;
    made.append(meter);
  }
  return made;
}

function graph(status) {
  const found = new Map(status.stages.map((stage) => [stage.name, stage]));
  const { source, steps, sinks } = status.graph;
  const nodes = [node(source.title, "source", [`${rate(status.rates.fetched)} /s`], status.source)];
  for (const step of steps) {
    for (const name of step.stages) {
      const stage = found.get(name);
      const title = name.replace(/^stages\[\d+\]\./, "");
      const flow = `${rate(stage.rates.in)} → ${rate(stage.rates.out)} /s`;
      const keyed = stage.in > 0 && stage.out === 0 && step.stages.indexOf(name) === step.stages.length - 1;
      nodes.push(node(title, name, [keyed ? `${rate(stage.rates.in)} /s` : flow], stage, stage.busy));
    }
    if (step.kind !== "fused") {
      const state = status.state.find((one) => one.step === step.id);
      const lines = state ? [`${count(state.keys)} keys, ${bytes(state.bytes)}`] : ["state"];
      nodes.push(node(step.id, { keyed: "state by key", window: "open windows" }[step.kind] || "holds documents", lines, { rates: null }));
    }
  }
  const several = sinks.length > 1;
  for (const sink of status.sinks) {
    const known = sinks.find((one) => one.name === sink.name);
    const lines = [`${rate(sink.rate)} /s`];
    if (sink.queue) lines.push(`${count(sink.queue)} not yet durable`);
    if (sink.seconds !== null) lines.push(`${span(sink.seconds)} a batch`);
    const made = node(known ? known.title : "dead letters", sink.name, lines, sink);
    if (!known || (several && sink !== status.sinks[0])) made.classList.add("aside");
    nodes.push(made);
  }
  return nodes;
}

function table(heads, rows, nothing) {
  if (!rows.length) return element("p", "nothing", nothing);
  const head = element("tr", "", ...heads.map(([name, kind]) => element("th", kind, name)));
  const body = rows.map((cells) => element("tr", "", ...cells.map((cell, i) => element("td", heads[i][1], cell))));
  return element("table", "", element("thead", "", head), element("tbody", "", ...body));
}

function failures(status) {
  return table([["When", "when"], ["Step", ""], ["What", "text"], ["Times", "number"], ["Then", ""]],
    status.failures.map((one) => [ago(one.last), one.step, `${one.class}: ${one.text}`, count(one.count), one.decision.replace("_", " ")]),
    "None since the start.");
}

function letters(status) {
  return table([["When", "when"], ["Step", ""], ["Why", "text"], ["Record", "text"]],
    status.letters.slice(0, 10).map((one) => {
      const place = Object.entries(one.source).map(([name, value]) => `${name} ${value}`).join(", ");
      const types = one.document
        ? Object.entries(one.document).map(([name, type]) => `${name}: ${type}`).join(", ") : "could not be decoded";
      return [ago(one.time), one.step, one.reason, element("span", "", place, element("br"), element("code", "", types))];
    }),
    status.graph.deadLetters ? "None since the start." : "This pipeline makes none.");
}

function processes(status) {
  const kinds = { running: "good", starting: "look", draining: "look", ended: "look" };
  return table([["Process", "number"], ["State", ""], ["Workers", "number"], ["Runs for", ""], ["Checkpoint", ""],
    ["Where", "text"]],
  status.processes.map((one) => {
    const kind = one.live || one.state === "ended" ? kinds[one.state] || "trouble" : "trouble";
    const shown = one.state === "running" && !one.live ? "stalled" : one.state;
    const made = element("span", `tag ${kind}`, shown);
    made.title = one.why;
    return [`${one.process}`, made, count(one.workers.length), one.started ? span(status.time - one.started) : "–",
      one.checkpoint ? span(one.checkpoint.age) : "–", one.host ? `${one.host}, pid ${one.pid}` : one.why];
  }), "");
}

function lag(status) {
  const rows = Object.entries(status.lag.partitions).sort((a, b) => b[1] - a[1]);
  const shown = rows.slice(0, 12).map(([name, value]) => [name, count(value)]);
  if (rows.length > 12) shown.push([`${rows.length - 12} more`, count(rows.slice(12).reduce((sum, [, v]) => sum + v, 0))]);
  return table([["Partition", "text"], [status.lag.unit || "Lag", "number"]], shown, "The source tells none.");
}

function more(status) {
  const rows = [
    ...status.watermarks.map((one) => [one.step, "watermark", `${new Date(one.at * 1000).toISOString()}, ` +
      `${span(one.lag)} behind`]),
    ...status.state.map((one) => [one.step, "state", `${count(one.keys)} keys, ${bytes(one.bytes)}`]),
    ...status.enrichments.map((one) => [`${one.operator} ${one.connection}`.trim(), "calls",
      Object.entries(one.outcomes).map(([name, value]) => `${count(value)} ${name}`).join(", ") +
      (one.cached ? `; ${count(one.cached)} from the cache` : "")]),
    ...status.breakers.map((one) => [one.step, `breaker ${one.name}`, one.state]),
  ];
  byId("s-more").hidden = !rows.length;
  return table([["Step", ""], ["What", ""], ["", "text"]], rows, "");
}

function verdict(status) {
  const trouble = status.attention.some((one) => one.level === "trouble");
  const states = new Set(status.processes.map((one) => one.state));
  const [kind, text] = trouble ? ["trouble", "✕ In trouble"]
    : states.has("draining") ? ["look", "… Draining"]
      : states.has("starting") ? ["look", "… Starting"]
        : [...states].every((state) => state === "ended") ? ["look", "■ Ended"]
          : status.attention.length ? ["look", "! Needs a look"] : ["good", "✓ All is well"];
  byId("verdict").className = kind;
  byId("verdict").textContent = text;
  document.title = `${text} · ${status.pipeline}`;
}

function draw(status) {
  last = status;
  byId("pipeline").textContent = status.pipeline;
  const labels = Object.entries(status.labels).map(([name, value]) => `${name}=${value}`);
  byId("about").textContent = [status.environment, ...labels, status.guarantee && `guarantee: ${status.guarantee}`]
    .filter(Boolean).join(" · ");
  verdict(status);
  byId("attention").replaceChildren(...status.attention.map((one) => element("li", one.level, one.text)));
  byId("tiles").replaceChildren(...tiles(status));
  byId("graph").replaceChildren(...graph(status));
  for (const [id, make] of Object.entries({ failures, letters, processes, lag, more })) {
    byId(id).replaceChildren(make(status));
  }
  byId("foot").textContent = `Rates are over ten seconds, curves over the last minutes. ` +
    `Version ${status.pipelineVersion}. Also here: /all.json, /status.json, /metrics, /live, /ready.`;
}

async function ask() {
  try {
    const answer = await fetch("all.json", { cache: "no-store", signal: AbortSignal.timeout(8000) });
    if (!answer.ok) throw new Error(answer.status === 401 ? "it wants a token: /?token=…" : `HTTP ${answer.status}`);
    draw(await answer.json());
    silentSince = null;
    document.body.classList.remove("silent");
  } catch (error) {
    silentSince = silentSince || new Date();
    const why = error instanceof TypeError ? "the process has ended, or cannot be reached" : error.message;
    byId("verdict").className = "trouble";
    byId("verdict").textContent = "✕ No answer";
    byId("attention").replaceChildren(element("li", "trouble",
      `No answer since ${silentSince.toLocaleTimeString("en-GB")}: ${why}. What is below is old.`));
    document.body.classList.add("silent");
  }
  setTimeout(ask, EVERY);
}

ask();
