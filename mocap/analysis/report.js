"use strict";
// Builds the page from the embedded data. Every string goes in as text, never as markup.

const DATA = JSON.parse(document.getElementById("data").textContent);
const CAMERA_COLOURS = ["#3b82f6", "#e8590c", "#12a150", "#b24bd8", "#d6336c", "#0c9bb0", "#a98600", "#6d7885"];
const $ = (id) => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";

function make(tag, attributes = {}, ...children) {
  const svg = ["svg", "path", "line", "text", "rect", "g"].includes(tag);
  const node = svg ? document.createElementNS(SVG, tag) : document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "style") node.style.cssText = value;
    else if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else node.setAttribute(key, value);
  }
  node.append(...children.map((c) => (c instanceof Node ? c : document.createTextNode(String(c)))));
  return node;
}

const figure = (value, digits = 1) => (value === null || value === undefined ? "–" : value.toFixed(digits));
const percent = (share) => (share === undefined ? 0 : share * 100).toFixed(share > 0.9995 || !share ? 0 : 1) + " %";
const words = (name) => name.replaceAll("_", " ");

function table(node, head, rows, left = [0]) {
  const cell = (tag, value, i) => make(tag, left.includes(i) ? { class: "left" } : {}, value);
  node.append(make("thead", {}, make("tr", {}, ...head.map((h, i) => cell("th", h, i)))));
  node.append(make("tbody", {}, ...rows.map((row) => make("tr", {}, ...row.map((v, i) => cell("td", v, i))))));
}

function summary() {
  $("title").textContent = DATA.title;
  for (const [name, value] of Object.entries(DATA.facts)) $("facts").append(make("span", {}, name + " ", make("b", {}, value)));
  $("notice").textContent = DATA.notice;
  $("notice").hidden = !DATA.notice;
  const s = DATA.summary, total = DATA.stages.total ?? Object.values(DATA.stages).reduce((a, b) => a + b, 0);
  const filled = (s.share.interpolated || 0) + (s.share.solved || 0);
  const tile = (name, value, unit, note) => $("tiles").append(make("div", { class: "tile" }, make("div", { class: "name" }, name), make("div", { class: "value" }, value, make("small", {}, " " + unit)), make("div", { class: "note" }, note)));
  tile("Reprojection error", figure(s.reproj_median_px), "px", `median; 95 % within ${figure(s.reproj_p95_px)} px`);
  tile("Measured", (s.share.measured * 100).toFixed(1), "%", `${percent(filled)} filled in, ${percent(s.share.missing)} missing`);
  tile("Bone length sd", figure(s.bone_sd_mm, 2), "mm", `${figure(s.points_bone_sd_mm)} mm before the solve`);
  const worst = DATA.moments[0];
  tile("Worst moment", worst ? worst.score.toFixed(1) : "–", "x limit", worst ? `${worst.trouble}, ${worst.time_s.toFixed(2)} s` : "nothing stands out");
  if (total) tile("Processing", total.toFixed(1), "s", `${(total / Math.max(DATA.facts.Frames, 1) * 1000).toFixed(0)} ms per frame`);
}

function moments(seek) {
  if (!DATA.moments.length) $("moments").replaceWith(make("p", { class: "nothing-found" }, "No moment stands out."));
  DATA.moments.forEach((m) => {
    const level = m.score > 1 ? "score over" : m.score > 0.7 ? "score near" : "score";
    const picture = m.picture ? make("img", { src: m.picture, alt: `${m.camera}, frame ${m.camera_frame}`, loading: "lazy" }) : make("span", { class: "nothing" }, "no footage");
    const go = () => { seek(m.frame); $("player").scrollIntoView({ behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" }); };
    $("moments").append(make("li", {}, make("button", { class: "moment", onclick: go }, picture, make("span", { class: "text" },
      make("span", { class: "top" }, m.keypoint || "Whole figure", make("span", { class: level }, `${m.score.toFixed(1)}x`)),
      make("span", { class: "where" }, `${m.time_s.toFixed(3)} s · frame ${m.frame} · ${m.camera}` + (m.camera_frame >= 0 ? ` #${m.camera_frame}` : "")),
      make("span", { class: "why" }, m.reason)))));
  });
}

function reprojection(seek) {
  const charts = DATA.charts, names = Object.keys(charts.reprojection_px), W = 1000, H = 260, L = 40, B = 24, T = 8;
  const all = names.flatMap((n) => charts.reprojection_px[n]).filter((v) => v !== null);
  const sorted = [...all].sort((a, b) => a - b), top = Math.max(sorted.at(-1) || 1, 1) * 1.05;
  const x = (i) => L + ((i + 0.5) / charts.n_columns) * (W - L), y = (v) => T + (1 - v / top) * (H - B - T);
  const svg = make("svg", { viewBox: `0 0 ${W} ${H}`, preserveAspectRatio: "none", role: "img", "aria-label": "Reprojection error over time, one line per camera" });
  const rough = top / 4, power = 10 ** Math.floor(Math.log10(rough)), tick = [1, 2, 5, 10].map((k) => k * power).find((k) => k >= rough);
  const labels = make("div");
  const put = (text, left, topPx, shift) => labels.append(make("span", { style: `position:absolute;font-size:11.5px;white-space:nowrap;color:var(--dim);left:${left}%;top:${topPx}px;transform:translate(${shift})` }, text));
  for (let v = 0; v <= top; v += tick) {
    svg.append(make("line", { class: "rule", x1: L, x2: W, y1: y(v), y2: y(v), "vector-effect": "non-scaling-stroke" }));
    put(String(Math.round(v * 100) / 100), (L / W) * 100, y(v), "-130%,-50%");
  }
  for (let k = 0; k <= 5; k++) {
    // Columns reach half a frame beyond the first and last instant; the labels stand at the instants themselves.
    const s = charts.first_s + (k / 5) * (charts.last_s - charts.first_s), u = (s - charts.from_s) / (charts.to_s - charts.from_s);
    put(s.toFixed(2) + " s", (L + u * (W - L)) / W * 100, H - 18, k === 5 ? "-100%,0" : k ? "-50%,0" : "0,0");
  }
  names.forEach((name, c) => {
    let path = "", pen = false;
    charts.reprojection_px[name].forEach((v, i) => {
      if (v === null) { pen = false; return; }
      path += `${pen ? "L" : "M"}${x(i).toFixed(1)} ${y(v).toFixed(1)}${pen ? "" : "h0.01"}`;
      pen = true;
    });
    svg.append(make("path", { class: "line", d: path, stroke: CAMERA_COLOURS[c % 8], "stroke-dasharray": c >= 8 ? "5 3" : "none" }));
  });
  const head = make("line", { class: "playhead", y1: T, y2: H - B, "vector-effect": "non-scaling-stroke" });
  svg.append(head);
  const keys = make("div", { class: "keys" }, ...names.map((n, c) => make("span", {}, make("i", { style: `background:${CAMERA_COLOURS[c % 8]}` }), n)), make("span", {}, "px over master time: median over all detections, rejected ones too"));
  svg.addEventListener("click", (e) => {
    const box = svg.getBoundingClientRect(), u = ((e.clientX - box.left) / box.width * W - L) / (W - L);
    seek(Math.round((charts.from_s + u * (charts.to_s - charts.from_s) - DATA.motion.start_s) * DATA.motion.fps));
  });
  $("reproj").append(keys, make("div", { style: "position:relative" }, svg, labels));
  table($("cameras"), ["Camera", "median px", "95 % px", "points before the solve px", "detections", "used"],
    Object.entries(DATA.summary.cameras).map(([n, c]) => [n, figure(c.reproj_median_px), figure(c.reproj_p95_px), figure(c.points_reproj_median_px), c.n_detections, c.inlier_share === null ? "–" : percent(c.inlier_share)]));
  return (frame) => {
    const u = (DATA.motion.start_s + frame / DATA.motion.fps - charts.from_s) / (charts.to_s - charts.from_s);
    head.setAttribute("x1", L + u * (W - L));
    head.setAttribute("x2", L + u * (W - L));
  };
}

async function sources(seek) {
  const charts = DATA.charts, [rows, columns] = charts.sources.shape, values = await inflate(charts.sources.data);
  const names = charts.source_names, present = names.filter((_, s) => values.includes(s));
  const meaning = { measured: "measured by two or more views", interpolated: "interpolated in time", solved: "from the skeleton alone", missing: "missing", edited: "placed by a person" };
  $("sources-about").textContent = "One row per keypoint, time from left to right; the figure is the share of frames that was measured." + (charts.is_binned ? " Where a column stands for several frames, it shows the least measured of them." : "");
  $("sources").before(make("div", { class: "keys" }, ...present.map((n) => make("span", {}, make("i", { class: "box", style: `background:var(--${n})` }), meaning[n]))));
  const strips = [];
  for (let k = 0; k < rows; k++) {
    const canvas = make("canvas", { width: columns, height: 1, role: "img" });
    const share = DATA.keypoint_shares[k];
    canvas.setAttribute("aria-label", Object.entries(share).map(([n, v]) => `${percent(v)} ${n}`).join(", "));
    canvas.addEventListener("click", (e) => {
      const box = canvas.getBoundingClientRect();
      seek(Math.floor(((e.clientX - box.left) / box.width) * DATA.motion.n_frames));
    });
    $("sources").append(make("span", {}, DATA.motion.keypoint_names[k]), canvas, make("span", { class: "share" }, percent((share.measured || 0) + (share.edited || 0))));
    strips.push(canvas);
  }
  const paint = () => {
    const style = getComputedStyle(document.documentElement), colours = names.map((n) => style.getPropertyValue("--" + n).trim());
    strips.forEach((canvas, k) => {
      const pen = canvas.getContext("2d");
      for (let i = 0; i < columns; i++) {
        pen.fillStyle = colours[values[k * columns + i]];
        pen.fillRect(i, 0, 1, 1);
      }
    });
  };
  paint();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", paint);
  const head = make("i", { class: "head" });
  $("sources").append(head);
  return (frame) => {
    if (!strips.length) return;
    const first = strips[0], last = strips.at(-1);
    head.style.left = first.offsetLeft + ((frame + 0.5) / Math.max(DATA.motion.n_frames, 1)) * first.offsetWidth - 1 + "px";
    head.style.top = first.offsetTop + "px";
    head.style.height = last.offsetTop + last.offsetHeight - first.offsetTop + "px";
  };
}

function bones() {
  const top = Math.max(1, ...DATA.bones.map((b) => b.before_sd_mm || 0));
  const meter = (b) => make("span", { class: "meter", title: "sd before and after" }, make("i", { style: `width:${((b.before_sd_mm || 0) / top) * 100}%` }), make("i", { style: `width:${((b.after_sd_mm || 0) / top) * 100}%` }));
  const both = (mean, sd, digits) => (mean === null ? "–" : `${figure(mean, 0)} ± ${figure(sd, digits)}`);
  table($("bones"), ["Bone", "before", "after", "sd before / after"], DATA.bones.map((b) => [b.name, both(b.before_mm, b.before_sd_mm, 1), both(b.after_mm, b.after_sd_mm, 2), meter(b)]));
}

function refinement() {
  const { before, after, ...more } = DATA.refine, pairs = [];
  const plain = (v) => (v && typeof v === "object" ? v.reproj_median_px ?? v.median_px ?? null : v);
  const isMap = (v) => v && typeof v === "object" && !Array.isArray(v);
  if (isMap(before) && isMap(after)) for (const name of new Set([...Object.keys(before), ...Object.keys(after)])) pairs.push([name, plain(before[name]), plain(after[name])]);
  else if (before !== undefined || after !== undefined) pairs.push(["all cameras", before, after]);
  const number = (v) => (typeof v === "number" ? figure(v) : v === null || v === undefined ? "–" : String(v));
  const change = (a, b) => (typeof a === "number" && typeof b === "number" && a > 0 ? `${(100 * (b / a - 1)).toFixed(0)} %` : "–");
  if (pairs.length) table($("refine"), ["Camera", "before", "after", "change"], pairs.map(([n, a, b]) => [n, number(a), number(b), change(a, b)]));
  const text = (v) => (isMap(v) ? Object.entries(v).map(([k, w]) => `${k}: ${text(w)}`).join(", ") : Array.isArray(v) ? v.map(text).join(", ") : typeof v === "number" ? String(Math.round(v * 1000) / 1000) : String(v ?? "–"));
  for (const [name, value] of Object.entries(more)) $("refine-more").append(make("dt", {}, words(name)), make("dd", {}, text(value)));
  $("refine-card").hidden = !Object.keys(DATA.refine).length;
}

function lists() {
  const bar = (name, value, top, text) => make("div", { class: "row" }, make("span", {}, words(name)), make("span", { class: "track" }, make("i", { style: `width:${Math.max(0, (value / top) * 100)}%` })), make("span", { class: "n" }, text));
  const rejected = Object.entries(DATA.summary.rejected).sort((a, b) => b[1] - a[1]);
  const most = Math.max(1, ...rejected.map((r) => r[1]));
  $("rejected").append(...rejected.map(([n, v]) => bar(n, v, most, String(v))));
  if (!rejected.length) $("rejected").append(make("p", { class: "nothing-found" }, "No observation was rejected."));
  const stages = Object.entries(DATA.stages).filter(([n]) => n !== "total"), slowest = Math.max(1e-9, ...stages.map((s) => s[1]));
  $("stages").append(...stages.map(([n, s]) => bar(n, s, slowest, s.toFixed(2) + " s")));
  if (DATA.stages.total !== undefined) $("stages").append(make("div", { class: "row total" }, make("span", {}, "Total"), make("span"), make("span", { class: "n" }, DATA.stages.total.toFixed(2) + " s")));
  $("stages-card").hidden = !Object.keys(DATA.stages).length;
  const size = (n) => (n === null ? "–" : n < 1e6 ? `${(n / 1e3).toFixed(0)} kB` : `${(n / 1e6).toFixed(1)} MB`);
  table($("exports"), ["File", "Format", "Size"], DATA.exports.map((e) => [e.name, e.format, size(e.bytes)]));
  $("exports-card").hidden = !DATA.exports.length;
  const contacts = Object.entries(DATA.summary.contacts);
  table($("contacts"), ["Joint", "frames", "height sd mm", "height range mm", "slide mm/s"], contacts.map(([n, c]) => [n, c.n_frames, figure(c.height_sd_mm), figure(c.height_range_mm), figure(c.slide_median_mm_s, 0)]));
  $("contacts-card").hidden = !contacts.length;
  const order = { quality: 0, warning: 1, info: 2 };
  for (const d of [...DATA.diagnostics].sort((a, b) => order[a.severity] - order[b.severity]))
    $("findings").append(make("li", {}, make("span", { class: `badge ${d.severity in order ? d.severity : "info"}` }, d.severity), make("div", {}, d.message, make("code", {}, d.code))));
  if (!DATA.diagnostics.length) $("findings").replaceWith(make("p", { class: "nothing-found" }, "Nothing to report."));
}

function player(viewer, followers) {
  const motion = DATA.motion, last = Math.max(motion.n_frames - 1, 0);
  let frame = 0, playing = false, before = 0;
  $("scrub").max = last;
  const show = () => {
    viewer.frame = frame;
    viewer.draw();
    const whole = Math.round(frame);
    $("scrub").value = whole;
    $("clock").textContent = `${(motion.start_s + whole / motion.fps).toFixed(3)} s · frame ${whole}`;
    followers.forEach((follow) => follow(frame));
  };
  const seek = (f) => { frame = Math.min(Math.max(f, 0), last); show(); };
  const tick = (now) => {
    if (!playing) return;
    frame += ((now - before) / 1000) * motion.fps * Number($("speed").value);
    before = now;
    if (frame > last) frame = 0;
    show();
    requestAnimationFrame(tick);
  };
  const play = (on) => {
    playing = on && last > 0;
    $("play").textContent = playing ? "❚❚" : "▶";
    $("play").setAttribute("aria-label", playing ? "Pause" : "Play");
    if (!playing) { seek(Math.round(frame)); return; }
    before = performance.now();
    requestAnimationFrame(tick);
  };
  const step = (n) => { play(false); seek(Math.round(frame) + n); };
  $("play").addEventListener("click", () => play(!playing));
  $("back").addEventListener("click", () => step(-1));
  $("next").addEventListener("click", () => step(1));
  $("scrub").addEventListener("input", () => { play(false); seek(Number($("scrub").value)); });
  document.addEventListener("keydown", (e) => {
    if (e.target.closest("select, input, button, a") && e.key !== "ArrowLeft" && e.key !== "ArrowRight") return;
    if (e.target.closest("select, input") || e.ctrlKey || e.metaKey || e.altKey) return;
    const keys = { " ": () => play(!playing), ArrowLeft: () => step(-1), ArrowRight: () => step(1) };
    if (keys[e.key]) { e.preventDefault(); keys[e.key](); }
  });
  for (const name of Object.keys(viewer.layers)) {
    const button = make("button", { "aria-pressed": viewer.layers[name] }, name);
    button.addEventListener("click", () => {
      viewer.layers[name] = !viewer.layers[name];
      button.setAttribute("aria-pressed", viewer.layers[name]);
      viewer.draw();
    });
    $("layers").append(button);
  }
  for (const view of ["Angle", "Front", "Side", "Back", "Top"]) $("views").append(make("button", { onclick: () => viewer.look(view) }, view));
  window.addEventListener("resize", () => followers.forEach((follow) => follow(frame)));
  play(false);
  return { seek, pause: () => play(false) };
}

async function start() {
  summary();
  bones();
  refinement();
  lists();
  let control = { seek: () => {} };
  const seek = (frame) => { control.pause(); control.seek(frame); };
  moments(seek);
  const followers = [reprojection(seek), await sources(seek)];
  const motion = DATA.motion, tracks = {};
  for (const name of ["joints", "keypoints", "points"]) tracks[name] = await unpackPositions(motion.tracks[name], motion.unit_m, motion.centre_m);
  tracks.confidence = await inflate(motion.tracks.confidence.data);
  control = player(new Viewer($("view"), motion, tracks), followers);
  document.documentElement.dataset.ready = "yes";
}

start().catch((error) => {
  $("failed").hidden = false;
  $("failed").textContent = "The report cannot be shown completely in this browser: " + error.message;
  throw error;
});
