// A small chart without axes, on a canvas. The figure beside it says the last value.

let colours = null;

export function forgetColours() {
  colours = null;
}

function colour(name) {
  if (!colours) {
    const style = getComputedStyle(document.documentElement);
    colours = new Proxy({}, { get: (cache, n) => (cache[n] ??= style.getPropertyValue(`--${n}`).trim()) });
  }
  return colours[name];
}

export { colour };

const width = 88, height = 24;

export function spark(canvas, values, name, least = 0) {
  const ratio = Math.min(window.devicePixelRatio || 1, 2);
  if (canvas.width !== width * ratio) [canvas.width, canvas.height] = [width * ratio, height * ratio];
  const c = canvas.getContext('2d');
  c.setTransform(ratio, 0, 0, ratio, 0, 0);
  c.clearRect(0, 0, width, height);
  let most = least;
  for (const v of values) if (v !== null && v > most) most = v;
  if (most <= 0) most = 1;
  const x = (i) => (i / (values.length - 1)) * (width - 2) + 1;
  const y = (v) => height - 2 - (v / most) * (height - 5);
  const shade = colour(name);
  c.strokeStyle = shade;
  c.lineWidth = 1.4;
  c.lineJoin = 'round';
  let begun = -1;
  const close = (end) => {
    c.stroke();
    c.lineTo(x(end), height - 1);
    c.lineTo(x(begun), height - 1);
    c.globalAlpha = 0.14;
    c.fillStyle = shade;
    c.fill();
    c.globalAlpha = 1;
    begun = -1;
  };
  for (let i = 0; i < values.length; i++) {
    const v = values[i];
    if (v === null) {
      if (begun >= 0) close(i - 1);
      continue;
    }
    if (begun < 0) {
      begun = i;
      c.beginPath();
      c.moveTo(x(i), y(v));
    }
    c.lineTo(x(i) + (begun === i ? 0.5 : 0), y(v));
  }
  if (begun >= 0) close(values.length - 1);
}

export const sparkSize = { width, height };
