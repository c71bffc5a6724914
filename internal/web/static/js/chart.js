// The large charts, drawn by uPlot, which is fetched when the first is shown.

import { attr, eachFrame, h, set } from './dom.js';
import { colour } from './spark.js';

let library = null;

async function load() {
  library ??= (async () => {
    const css = h('link', { rel: 'stylesheet', href: '/vendor/uPlot.min.css' });
    document.head.append(css);
    return (await import('/vendor/uPlot.esm.js')).default;
  })();
  return library;
}

export const palette = ['c1', 'c2', 'c3', 'c4', 'c5', 'c6'];

// Chart is a card with a chart in it. Lines: [{name, colour, fill}]; write(value)
// makes a text of a value. Binary: the axis has round numbers of KiB, MiB, GiB.
export class Chart {
  constructor(title, write, binary) {
    this.write = write;
    this.incrs = binary ? Array.from({ length: 50 }, (_, i) => 2 ** i) : undefined;
    this.value = h('span', { class: 'value num' });
    this.box = h('div', { class: 'plot', role: 'img', 'aria-label': title });
    this.title = title;
    this.el = h('section', { class: 'card chart', 'aria-label': title }, h('header', null, h('h3', null, title), this.value), this.box);
    this.marks = [];
    this.draw = eachFrame(() => this.plot?.setData(this.data));
    this.size = new ResizeObserver(() => this.plot?.setSize(this.measure()));
    this.size.observe(this.box);
    this.ended = false;
  }

  measure() {
    return { width: Math.max(120, this.box.clientWidth), height: 150 };
  }

  // lines begins anew with other lines.
  async lines(lines) {
    const key = JSON.stringify(lines) + document.documentElement.dataset.theme + matchMedia('(prefers-color-scheme: dark)').matches;
    if (this.key === key) return;
    this.key = key;
    const uPlot = await load();
    if (this.ended || this.key !== key) return;
    this.plot?.destroy();
    const axis = { stroke: colour('muted'), grid: { stroke: colour('line'), width: 1 }, ticks: { show: false }, font: '11px system-ui, sans-serif' };
    this.plot = new uPlot({
      ...this.measure(),
      padding: [8, 8, 0, 0],
      cursor: { points: { size: 6 }, drag: { x: false, y: false }, y: false },
      legend: { show: false },
      scales: { y: { range: (_, low, high) => [0, Math.max(high ?? 0, 1e-9) * 1.1] } },
      axes: [{ ...axis, size: 26, values: (u, at) => at.map((s) => hours(s, u.scales.x.max - u.scales.x.min)) }, { ...axis, size: 58, incrs: this.incrs, values: (_, at) => at.map((v) => this.write(v)) }],
      series: [{}, ...lines.map((l) => ({ label: l.name, stroke: colour(l.colour) + (l.fill ? '' : 'b0'), width: l.fill ? 1.5 : 1, fill: l.fill ? colour(l.colour) + '22' : undefined, points: { show: false }, spanGaps: false }))],
      hooks: {
        draw: [(u) => this.drawMarks(u)],
        setCursor: [(u) => this.hover(u)],
      },
    }, this.data ?? [[], ...lines.map(() => [])], this.box);
    if (this.data) this.plot.setData(this.data);
    // The canvas has nothing for a screen reader; the label of the box has.
    attr(this.plot.root, 'aria-hidden', 'true');
  }

  // show draws data: [seconds, values...]. Marks: [{at, bad, text}] on the time axis.
  show(data, marks, now) {
    this.data = data;
    this.marks = marks;
    this.now = now;
    if (!this.hovering) set(this.value, now === null || now === undefined ? '–' : this.write(now));
    this.draw();
  }

  // describe is what a screen reader hears, and is not changed each second.
  describe() {
    const values = (this.data?.[1] ?? []).filter((v) => v !== null && v !== undefined);
    if (!values.length) return attr(this.box, 'aria-label', `${this.title}: nothing is known yet`);
    return attr(this.box, 'aria-label', `${this.title}: ${this.write(values.at(-1))} now, between ${this.write(Math.min(...values))} and ${this.write(Math.max(...values))}`);
  }

  drawMarks(u) {
    const c = u.ctx, ratio = window.devicePixelRatio || 1;
    c.save();
    for (const m of this.marks) {
      if (m.at < u.scales.x.min || m.at > u.scales.x.max) continue;
      const x = u.valToPos(m.at, 'x', true);
      c.strokeStyle = c.fillStyle = colour(m.bad ? 'bad' : 'info');
      c.lineWidth = ratio;
      c.setLineDash([3 * ratio, 3 * ratio]);
      c.beginPath();
      c.moveTo(x, u.bbox.top);
      c.lineTo(x, u.bbox.top + u.bbox.height);
      c.stroke();
      c.setLineDash([]);
      c.beginPath();
      c.arc(x, u.bbox.top + 3 * ratio, 3 * ratio, 0, 7);
      c.fill();
    }
    c.restore();
  }

  hover(u) {
    const i = u.cursor.idx;
    this.hovering = i !== null && i !== undefined && u.cursor.left >= 0;
    if (!this.hovering) return set(this.value, this.now === null || this.now === undefined ? '–' : this.write(this.now));
    const values = u.data.slice(1).map((column) => column[i]).filter((v) => v !== null && v !== undefined);
    const at = new Date(u.data[0][i] * 1000).toLocaleTimeString();
    return set(this.value, `${at}  ${values.slice(0, 4).map((v) => this.write(v)).join('  ') || '–'}`);
  }

  end() {
    this.ended = true;
    this.size.disconnect();
    this.plot?.destroy();
  }
}

function hours(seconds, range) {
  const d = new Date(seconds * 1000), two = (n) => String(n).padStart(2, '0');
  if (range > 3 * 86400) return `${two(d.getDate())}.${two(d.getMonth() + 1)}.`;
  return range > 1800 ? `${two(d.getHours())}:${two(d.getMinutes())}` : `${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`;
}
