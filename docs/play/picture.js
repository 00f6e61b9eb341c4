// Canvases: points and arrows in the plane, images as pixels, curves.

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

function sharp(canvas, height) {
  const box = canvas.getBoundingClientRect(), ratio = Math.min(window.devicePixelRatio || 1, 2);
  const width = Math.max(1, Math.round(box.width * ratio));
  const tall = Math.max(1, Math.round((height || box.height) * ratio));
  if (canvas.width !== width || canvas.height !== tall) { canvas.width = width; canvas.height = tall; }
  const g = canvas.getContext("2d");
  g.setTransform(1, 0, 0, 1, 0, 0);
  g.clearRect(0, 0, canvas.width, canvas.height);
  return [g, ratio];
}

// layers: the cloud and a pale one behind it, arrows at places and other arrows under them
export function drawPlane(canvas, { cloud, ghost, places, arrows, under, limit = 2.6, family = "noisy", drawn }) {
  const [g, ratio] = sharp(canvas);
  const side = canvas.width, scale = side / (2 * limit);
  const X = (x) => side / 2 + x * scale, Y = (y) => canvas.height / 2 - y * scale;
  g.strokeStyle = colour("line");
  g.lineWidth = ratio;
  g.beginPath();
  g.moveTo(X(-limit), Y(0)); g.lineTo(X(limit), Y(0)); g.moveTo(X(0), Y(-limit)); g.lineTo(X(0), Y(limit));
  g.stroke();
  const dots = (points, name, size, alpha) => {
    g.fillStyle = colour(name);
    g.globalAlpha = alpha;
    g.beginPath();
    for (let i = 0; i < points.length; i += 2) {
      const x = X(points[i]), y = Y(points[i + 1]);
      g.moveTo(x + size, y);
      g.arc(x, y, size, 0, 7);
    }
    g.fill();
    g.globalAlpha = 1;
  };
  if (ghost) dots(ghost.data, "data", side / 320, 0.22);
  for (const [field, name, alpha] of [[under, "data", 0.45], [arrows, "field", 0.85]]) {
    if (!field) continue;
    g.strokeStyle = colour(name);
    g.lineWidth = Math.max(1, side / 480);
    g.globalAlpha = alpha;
    g.beginPath();
    const most = (2 * limit) / 17 * 0.95;
    for (let i = 0; i < field.data.length; i += 2) {
      let dx = field.data[i], dy = field.data[i + 1];
      const length = Math.hypot(dx, dy) || 1, drawn = Math.min(length * 0.17, most);
      dx *= drawn / length; dy *= drawn / length;
      const x = places.data[i], y = places.data[i + 1], ex = x + dx, ey = y + dy, head = 0.32;
      g.moveTo(X(x), Y(y)); g.lineTo(X(ex), Y(ey));
      g.lineTo(X(ex - head * (dx - 0.6 * dy)), Y(ey - head * (dy + 0.6 * dx)));
      g.moveTo(X(ex), Y(ey));
      g.lineTo(X(ex - head * (dx + 0.6 * dy)), Y(ey - head * (dy - 0.6 * dx)));
    }
    g.stroke();
    g.globalAlpha = 1;
  }
  if (cloud) dots(cloud.data, family, side / 240, 0.75);
  if (drawn) dots(drawn.flat(), "data", side / 160, 0.9);
}

// values in -1..1 (or low..high) of one image; diverging: zero is the paper, both signs have a colour
export function drawImage(canvas, data, height, width, { low = -1, high = 1, diverging = false } = {}) {
  canvas.width = width;
  canvas.height = height;
  canvas.classList.add("pixels");
  const g = canvas.getContext("2d"), image = g.createImageData(width, height);
  const dark = getComputedStyle(document.documentElement).colorScheme.includes("dark");
  const zero = dark ? 28 : 250, hot = dark ? [255, 154, 98] : [194, 65, 12], cold = dark ? [110, 165, 255] : [31, 95, 208];
  for (let i = 0; i < width * height; i++) {
    let r, b, green;
    if (diverging) {
      const v = Math.max(-1, Math.min(1, data[i] / high));
      const a = Math.abs(v);
      [r, green, b] = (v > 0 ? hot : cold).map((c) => zero + (c - zero) * a);
    } else r = green = b = 255 * Math.max(0, Math.min(1, (data[i] - low) / (high - low)));
    image.data.set([r, green, b, 255], 4 * i);
  }
  g.putImageData(image, 0, 0);
}

// one image of an array (..., H, W) by its number; its range is shown where it is not -1..1
export function drawOne(canvas, array, index = 0, options) {
  const [height, width] = array.shape.slice(-2), size = height * width;
  drawImage(canvas, array.data.subarray(index * size, (index + 1) * size), height, width, options);
}

// curves: [{x, y, name, label}]; logs on both axes if asked for
export function drawCurves(canvas, curves, { logX = false, logY = false, xLabel = "", zero = false } = {}) {
  const [g, ratio] = sharp(canvas);
  const left = 62 * ratio, bottom = 34 * ratio, top = 22 * ratio, right = 14 * ratio;
  const fx = logX ? Math.log10 : (v) => v, fy = logY ? Math.log10 : (v) => v;
  const xs = curves.flatMap((c) => Array.from(c.x, fx)), ys = curves.flatMap((c) => Array.from(c.y, fy)).filter(Number.isFinite);
  if (!xs.length || !ys.length) return;
  const [x0, x1] = [Math.min(...xs), Math.max(...xs)];
  let [y0, y1] = [zero ? Math.min(0, ...ys) : Math.min(...ys), Math.max(...ys)];
  if (y1 - y0 < 1e-12) { y0 -= 0.5; y1 += 0.5; }
  const X = (v) => left + ((fx(v) - x0) / (x1 - x0 || 1)) * (canvas.width - left - right);
  const Y = (v) => canvas.height - bottom - ((fy(v) - y0) / (y1 - y0)) * (canvas.height - top - bottom);
  g.font = `${12.5 * ratio}px ${getComputedStyle(document.body).fontFamily}`;
  g.fillStyle = colour("quiet");
  g.strokeStyle = colour("line");
  g.lineWidth = ratio;
  for (let i = 0; i <= 4; i++) {
    const v = y0 + ((y1 - y0) * i) / 4, y = canvas.height - bottom - (i / 4) * (canvas.height - top - bottom);
    g.beginPath(); g.moveTo(left, y); g.lineTo(canvas.width - right, y); g.stroke();
    const value = logY ? 10 ** v : v;
    g.textAlign = "right";
    g.fillText(Math.abs(value) >= 1000 || (Math.abs(value) < 0.01 && value !== 0) ? value.toExponential(0) : value.toPrecision(2), left - 8 * ratio, y + 4 * ratio);
  }
  g.textAlign = "center";
  for (let i = 0; i <= 3; i++) {
    const v = x0 + ((x1 - x0) * i) / 3, value = logX ? 10 ** v : v;
    g.fillText(String(Math.round(value)), left + (i / 3) * (canvas.width - left - right), canvas.height - 10 * ratio);
  }
  g.fillText(xLabel, (left + canvas.width) / 2, canvas.height - 10 * ratio);
  g.textAlign = "left";
  curves.forEach((curve, k) => {
    g.strokeStyle = g.fillStyle = colour(curve.name);
    g.lineWidth = 2.6 * ratio;
    g.globalAlpha = curve.faint ? 0.35 : 1;
    g.beginPath();
    Array.from(curve.x).forEach((v, i) => (i ? g.lineTo(X(v), Y(curve.y[i])) : g.moveTo(X(v), Y(curve.y[i]))));
    g.stroke();
    g.globalAlpha = 1;
    if (curve.label) g.fillText(curve.label, left + 8 * ratio + k * 210 * ratio * Math.min(1, canvas.width / (560 * ratio)), top - 8 * ratio);
  });
}
