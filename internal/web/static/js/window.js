// A table of any length of which only the rows in sight are in the document. All
// rows are of one height, which the style sheet says by --row.

import { attr, eachFrame, h } from './dom.js';

export class RowWindow {
  // make(item) returns {el, update(item)}; key(item) tells items apart. The window
  // scrolls with box, or with the page.
  constructor({ body, columns, make, key, box = null }) {
    Object.assign(this, { body, make, key, box });
    this.items = [];
    this.rows = new Map();
    this.above = h('tr', { class: 'space', 'aria-hidden': 'true' }, h('td', { colspan: columns }));
    this.below = h('tr', { class: 'space', 'aria-hidden': 'true' }, h('td', { colspan: columns }));
    body.append(this.above, this.below);
    this.draw = eachFrame(() => this.render());
    this.target = box || window;
    this.target.addEventListener('scroll', this.draw, { passive: true });
    window.addEventListener('resize', this.draw, { passive: true });
  }

  end() {
    this.target.removeEventListener('scroll', this.draw);
    window.removeEventListener('resize', this.draw);
  }

  show(items) {
    this.items = items;
    this.draw();
  }

  render() {
    if (!this.body.isConnected) return;
    const height = parseFloat(getComputedStyle(this.body).getPropertyValue('--row')) || 48;
    const table = this.body.closest('table');
    attr(table, 'aria-rowcount', this.items.length + 1);
    const top = this.body.getBoundingClientRect().top - (this.box ? this.box.getBoundingClientRect().top : 0);
    const seen = this.box ? this.box.clientHeight : window.innerHeight;
    const extra = 6;
    let from = Math.max(0, Math.floor(-top / height) - extra);
    let to = Math.min(this.items.length, Math.ceil((seen - top) / height) + extra);
    from = Math.min(from, Math.max(0, to - 1));
    if (to < from) to = from;
    const focused = document.activeElement?.closest?.('tr');
    const keep = new Set();
    let after = this.above;
    for (let i = from; i < to; i++) {
      const item = this.items[i], k = this.key(item);
      let row = this.rows.get(k);
      if (!row) {
        row = this.make(item);
        this.rows.set(k, row);
      }
      row.update(item);
      attr(row.el, 'aria-rowindex', i + 2);
      if (after.nextSibling !== row.el) after.after(row.el);
      after = row.el;
      keep.add(k);
    }
    for (const [k, row] of this.rows) {
      if (keep.has(k)) continue;
      if (row.el === focused) continue; // its place goes when the focus does
      row.el.remove();
      this.rows.delete(k);
    }
    this.above.firstChild.style.height = `${from * height}px`;
    this.below.firstChild.style.height = `${(this.items.length - to) * height}px`;
  }
}
