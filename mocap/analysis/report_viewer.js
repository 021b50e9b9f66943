"use strict";
// The player: unpacks the motion and draws it in perspective on a canvas. World: metres, Z up.

async function inflate(text) {
  const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

async function unpackPositions(track, unit, centre) {
  // Differences in time, low bytes first and high bytes after: undo both. NaN marks what is missing.
  const [frames, nodes] = track.shape, row = nodes * 3, n = frames * row;
  const bytes = await inflate(track.data), xyz = new Float32Array(n), last = new Int16Array(row);
  for (let i = 0; i < n; i++) {
    const c = i % row;
    last[c] = last[c] + (bytes[i] | (bytes[n + i] << 8));
    xyz[i] = last[c] === -32768 ? NaN : last[c] * unit + centre[i % 3];
  }
  return { frames, nodes, xyz };
}

function at(track, frame, step, out) {
  // Positions at a master frame, between stored frames by proportion.
  const f = Math.min(frame / step, track.frames - 1), a = Math.floor(f), b = Math.min(a + 1, track.frames - 1), u = f - a;
  const row = track.nodes * 3;
  for (let i = 0; i < row; i++) {
    const va = track.xyz[a * row + i];
    out[i] = u === 0 ? va : va + u * (track.xyz[b * row + i] - va);
  }
  return out;
}

function rampColour(value) {
  const stops = [[224, 49, 49], [245, 190, 50], [55, 200, 113]];
  const x = Math.min(Math.max(value, 0), 1) * 2, i = Math.min(Math.floor(x), 1), u = x - i;
  return "rgb(" + stops[i].map((v, k) => Math.round(v + u * (stops[i + 1][k] - v))).join(",") + ")";
}

class Viewer {
  constructor(canvas, motion, tracks) {
    Object.assign(this, { canvas, motion, ...tracks, frame: 0 });
    this.layers = { Skeleton: true, Keypoints: false, "Raw points": false, Cameras: true, Follow: false };
    this.pen = canvas.getContext("2d");
    this.now = { joints: new Float32Array(this.joints.nodes * 3), keypoints: new Float32Array(this.keypoints.nodes * 3), points: new Float32Array(this.points.nodes * 3) };
    this.bounds();
    this.look("Angle");
    this.listen();
    new ResizeObserver(() => this.draw()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  bounds() {
    let lo = [Infinity, Infinity, Infinity], hi = [-Infinity, -Infinity, -Infinity];
    const xyz = this.joints.xyz;
    for (let i = 0; i < xyz.length; i++) {
      const c = i % 3;
      if (xyz[i] < lo[c]) lo[c] = xyz[i];
      if (xyz[i] > hi[c]) hi[c] = xyz[i];
    }
    if (!isFinite(lo[0])) { lo = [-1, -1, 0]; hi = [1, 1, 2]; }
    this.middle = [0, 1, 2].map((c) => (lo[c] + hi[c]) / 2);
    this.size = Math.max(2, Math.hypot(hi[0] - lo[0], hi[1] - lo[1], hi[2] - lo[2]));
    const reach = Math.min(20, Math.max(2, ...this.motion.cameras.flatMap((k) => [0, 1].map((c) => Math.abs(k.at_m[c] - this.middle[c]))), this.size));
    this.grid = Math.ceil(reach) + 1;
  }

  look(view) {
    const turns = { Angle: [-0.6, 0.28], Front: [0, 0.06], Side: [Math.PI / 2, 0.06], Back: [Math.PI, 0.06], Top: [0, 1.5] };
    [this.azimuth, this.elevation] = turns[view];
    this.distance = this.size * 0.95 + 0.8;
    this.shift = [0, 0, 0];
    this.draw();
  }

  colours() {
    const style = getComputedStyle(document.documentElement);
    const get = (name) => style.getPropertyValue(name).trim();
    return { grid: get("--grid"), dim: get("--dim"), ink: get("--ink"), line: get("--line"), accent: get("--accent") };
  }

  // Camera basis from the turn about Z and the elevation; the view looks at the target.
  setup(width, height) {
    const ca = Math.cos(this.azimuth), sa = Math.sin(this.azimuth), ce = Math.cos(this.elevation), se = Math.sin(this.elevation);
    this.back = [ca * ce, sa * ce, se];
    this.right = [-sa, ca, 0];
    this.up = [-ca * se, -sa * se, ce];
    const root = this.layers.Follow ? [this.now.joints[0], this.now.joints[1], this.middle[2]] : this.middle;
    const target = [0, 1, 2].map((c) => root[c] + this.shift[c]);
    this.eye = [0, 1, 2].map((c) => target[c] + this.back[c] * this.distance);
    this.scale = Math.min(height, width * 1.25) * 1.15;
    this.origin = [width / 2, height / 2];
  }

  project(x, y, z) {
    const d = [x - this.eye[0], y - this.eye[1], z - this.eye[2]];
    const dot = (a) => d[0] * a[0] + d[1] * a[1] + d[2] * a[2];
    const depth = -dot(this.back);
    if (!(depth > 0.05)) return null;
    const s = this.scale / depth;
    return [this.origin[0] + dot(this.right) * s, this.origin[1] - dot(this.up) * s, depth, s];
  }

  segment(a, b) {
    const p = this.project(...a), q = this.project(...b);
    if (!p || !q) return;
    this.pen.moveTo(p[0], p[1]);
    this.pen.lineTo(q[0], q[1]);
  }

  draw() {
    const { canvas, pen } = this, ratio = window.devicePixelRatio || 1;
    const width = canvas.clientWidth, height = canvas.clientHeight;
    if (!width || !height) return;
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
    }
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width, height);
    pen.lineCap = "round";
    for (const name of ["joints", "keypoints", "points"]) at(this[name], this.frame, this.motion.step, this.now[name]);
    this.setup(width, height);
    const colours = this.colours();
    this.floor(colours);
    if (this.layers.Cameras) this.cameras(colours);
    if (this.layers.Skeleton) this.figure(this.now.joints, this.motion.joint_edges, this.motion.joint_sides, (j) => this.trust(this.motion.joint_keypoint[j]), 4.6);
    if (this.layers.Keypoints) this.figure(this.now.keypoints, this.motion.keypoint_edges, this.motion.keypoint_sides, (k) => this.trust(k), 3);
    if (this.layers["Raw points"]) this.dots(this.now.points, colours.ink);
  }

  trust(keypoint) {
    const f = Math.min(Math.round(this.frame / this.motion.step), this.keypoints.frames - 1);
    return this.confidence[f * this.keypoints.nodes + keypoint] / 255;
  }

  floor(colours) {
    const { pen, grid } = this, cx = Math.round(this.middle[0]), cy = Math.round(this.middle[1]);
    for (let i = -grid; i <= grid; i++) {
      pen.beginPath();
      pen.strokeStyle = colours.grid;
      pen.lineWidth = 1;
      for (let j = -grid; j < grid; j++) {
        this.segment([cx + i, cy + j, 0], [cx + i, cy + j + 1, 0]);
        this.segment([cx + j, cy + i, 0], [cx + j + 1, cy + i, 0]);
      }
      pen.stroke();
    }
    pen.lineWidth = 2;
    for (const [axis, colour] of [[[0.5, 0, 0], "#e5484d"], [[0, 0.5, 0], "#30a46c"], [[0, 0, 0.5], "#3e63dd"]]) {
      pen.beginPath();
      pen.strokeStyle = colour;
      this.segment([0, 0, 0], axis);
      pen.stroke();
    }
    this.shadow();
  }

  shadow() {
    // The figure straight down on the floor: shows height and place in a still picture.
    const { pen, now } = this;
    pen.globalAlpha = 0.16;
    pen.strokeStyle = "#000";
    pen.lineWidth = 5;
    pen.beginPath();
    for (const [a, b] of this.motion.joint_edges)
      this.segment([now.joints[3 * a], now.joints[3 * a + 1], 0], [now.joints[3 * b], now.joints[3 * b + 1], 0]);
    pen.stroke();
    pen.globalAlpha = 1;
  }

  cameras(colours) {
    const { pen } = this;
    for (const camera of this.motion.cameras) {
      const R = camera.R_cam_from_world, depth = 0.35;
      const corner = (sx, sy) => {
        const c = [sx * Math.min(camera.half_fov[0], 1.5) * depth, sy * Math.min(camera.half_fov[1], 1.5) * depth, depth];
        return [0, 1, 2].map((k) => camera.at_m[k] + R[0][k] * c[0] + R[1][k] * c[1] + R[2][k] * c[2]);
      };
      const corners = [corner(-1, -1), corner(1, -1), corner(1, 1), corner(-1, 1)];
      pen.beginPath();
      pen.strokeStyle = colours.dim;
      pen.lineWidth = 1.2;
      corners.forEach((c, i) => { this.segment(camera.at_m, c); this.segment(c, corners[(i + 1) % 4]); });
      pen.stroke();
      const p = this.project(...camera.at_m);
      if (!p) continue;
      pen.fillStyle = colours.dim;
      pen.font = "12px system-ui, sans-serif";
      pen.fillText(camera.name, p[0] + 8, p[1] - 8);
    }
  }

  figure(xyz, edges, sides, trust, thick) {
    const { pen } = this, rims = { L: "#00a3e0", R: "#e64cc0", "": "#8b95a1" };
    const node = (k) => this.project(xyz[3 * k], xyz[3 * k + 1], xyz[3 * k + 2]);
    const lines = [];
    for (const [a, b] of edges) {
      const p = node(a), q = node(b);
      if (!p || !q || !isFinite(p[0] + q[0])) continue;
      const side = sides[a] === sides[b] ? sides[a] : sides[a] && sides[b] ? "" : sides[b];
      lines.push({ p, q, a, b, side, depth: (p[2] + q[2]) / 2, trust: Math.min(trust(a), trust(b)) });
    }
    lines.sort((m, n) => n.depth - m.depth);
    const unit = this.canvas.clientHeight / 560;
    for (const line of lines) {
      const width = Math.min(Math.max((thick * unit * 4) / line.depth, 1.5), 9);
      for (const [colour, extra] of [[rims[line.side], 2.6], [rampColour(line.trust), 0]]) {
        pen.beginPath();
        pen.strokeStyle = colour;
        pen.lineWidth = width + extra;
        pen.moveTo(line.p[0], line.p[1]);
        pen.lineTo(line.q[0], line.q[1]);
        pen.stroke();
      }
    }
  }

  dots(xyz, colour) {
    const { pen } = this;
    pen.fillStyle = colour;
    for (let k = 0; k < xyz.length; k += 3) {
      const p = this.project(xyz[k], xyz[k + 1], xyz[k + 2]);
      if (!p || !isFinite(p[0])) continue;
      pen.beginPath();
      pen.arc(p[0], p[1], Math.min(Math.max(10 / p[2], 1.6), 4), 0, 7);
      pen.fill();
    }
  }

  turn(dx, dy) {
    this.azimuth -= dx;
    this.elevation = Math.min(Math.max(this.elevation + dy, -0.2), 1.55);
    this.draw();
  }

  zoom(factor) {
    this.distance = Math.min(Math.max(this.distance * factor, 0.8), 60);
    this.draw();
  }

  move(dx, dy) {
    const s = this.distance / this.scale;
    this.shift = this.shift.map((v, c) => v - (this.right[c] * dx - this.up[c] * dy) * s);
    this.draw();
  }

  listen() {
    const { canvas } = this, fingers = new Map();
    canvas.addEventListener("pointerdown", (e) => { canvas.setPointerCapture(e.pointerId); fingers.set(e.pointerId, [e.clientX, e.clientY]); });
    for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, (e) => fingers.delete(e.pointerId));
    canvas.addEventListener("pointermove", (e) => {
      const before = fingers.get(e.pointerId);
      if (!before) return;
      const now = [e.clientX, e.clientY], dx = now[0] - before[0], dy = now[1] - before[1];
      if (fingers.size === 2) {
        const [other] = [...fingers].filter(([id]) => id !== e.pointerId).map(([, p]) => p);
        const gap = (p) => Math.max(Math.hypot(p[0] - other[0], p[1] - other[1]), 10);
        this.zoom(gap(before) / gap(now));
        this.move(dx / 2, dy / 2);
      } else if (e.shiftKey) this.move(dx, dy);
      else this.turn(dx * 0.008, dy * 0.008);
      fingers.set(e.pointerId, now);
    });
    canvas.addEventListener("wheel", (e) => {
      // Only on purpose: a plain wheel over the picture goes on scrolling the page.
      if (!e.ctrlKey && document.activeElement !== canvas) return;
      e.preventDefault();
      this.zoom(Math.exp(Math.sign(e.deltaY) * 0.08));
    }, { passive: false });
    canvas.addEventListener("keydown", (e) => {
      const turns = { ArrowLeft: [0.1, 0], ArrowRight: [-0.1, 0], ArrowUp: [0, 0.08], ArrowDown: [0, -0.08] };
      if (turns[e.key]) this.turn(...turns[e.key]);
      else if (e.key === "+" || e.key === "=") this.zoom(0.9);
      else if (e.key === "-") this.zoom(1.1);
      else return;
      e.preventDefault();
      e.stopPropagation();
    });
  }
}
