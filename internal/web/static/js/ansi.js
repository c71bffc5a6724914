// Log lines are whatever a program writes. Colours become classes; every other
// control sequence goes; what remains of control characters, and marks that turn the
// direction of text, is shown as a symbol. Nothing here makes HTML of text.

// parse splits a line into [{text, classes}]. Marks are kept, so that a search finds
// what is seen.
export function parse(line) {
  if (!odd.test(line)) return [{ text: line, classes: '' }];
  const parts = [];
  const style = { fg: '', bg: '', bold: false, dim: false, italic: false, under: false };
  let from = 0;
  const put = (text) => {
    if (text) parts.push({ text: visible(text), classes: classes(style) });
  };
  for (const m of line.matchAll(sequence)) {
    put(line.slice(from, m.index));
    from = m.index + m[0].length;
    if (m[1] !== undefined) select(style, m[1]);
  }
  put(line.slice(from));
  return parts;
}

// plain is what parse shows, in one piece.
export const plain = (line) => (odd.test(line) ? visible(line.replace(sequence, '')) : line);

// What needs a closer look: control characters other than the tab, and marks of
// direction.
const odd = /[\u0000-\u0008\u000a-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]/; // eslint-disable-line no-control-regex

// Escape sequences (ECMA-48): CSI with its parameters (group 1: those of SGR), OSC, DCS
// and their like up to their end, and two-character ones. Every alternative is linear.
const sequence = /(?:\u001b\[|\u009b)(?:([0-9;:]*)m|[0-?]*[ -/]*[@-~])|(?:\u001b[\]PX^_]|[\u009d\u0090\u0098\u009e\u009f])[^\u0007\u001b\u009c]*(?:\u0007|\u001b\\|\u009c|$)|\u001b[ -/]*[0-~]/g; // eslint-disable-line no-control-regex

function visible(text) {
  if (!odd.test(text)) return text;
  let out = '';
  for (const ch of text) {
    const c = ch.codePointAt(0);
    if (c === 9 || !odd.test(ch)) out += ch;
    else if (c < 0x20) out += String.fromCharCode(0x2400 + c);
    else if (c === 0x7f) out += '\u2421';
    else out += '\ufffd';
  }
  return out;
}

const names = ['black', 'red', 'green', 'yellow', 'blue', 'magenta', 'cyan', 'white'];

function select(style, params) {
  const list = params === '' ? [0] : params.split(/[;:]/).map(Number);
  for (let i = 0; i < list.length; i++) {
    const n = list[i];
    if (n === 0) Object.assign(style, { fg: '', bg: '', bold: false, dim: false, italic: false, under: false });
    else if (n === 1) style.bold = true;
    else if (n === 2) style.dim = true;
    else if (n === 3) style.italic = true;
    else if (n === 4) style.under = true;
    else if (n === 22) style.bold = style.dim = false;
    else if (n === 23) style.italic = false;
    else if (n === 24) style.under = false;
    else if (n >= 30 && n <= 37) style.fg = names[n - 30];
    else if (n >= 90 && n <= 97) style.fg = names[n - 90];
    else if (n === 39) style.fg = '';
    else if (n >= 40 && n <= 47) style.bg = names[n - 40];
    else if (n >= 100 && n <= 107) style.bg = names[n - 100];
    else if (n === 49) style.bg = '';
    else if (n === 38 || n === 48) {
      const [place, extended] = [n === 38 ? 'fg' : 'bg', list[i + 1]];
      if (extended === 5) style[place] = basic(list[i + 2]);
      i += extended === 5 ? 2 : extended === 2 ? 4 : 0;
    }
  }
}

// basic is the nearest of the eight colours to one of 256.
function basic(n) {
  if (!(n >= 0 && n < 256)) return '';
  if (n < 16) return names[n % 8];
  if (n >= 232) return n < 244 ? 'black' : 'white';
  n -= 16;
  const on = (v) => (v >= 3 ? 1 : 0);
  return names[on(Math.floor(n / 36)) | (on(Math.floor(n / 6) % 6) << 1) | (on(n % 6) << 2)];
}

function classes(s) {
  let c = '';
  if (s.fg) c += ` a-${s.fg}`;
  if (s.bg) c += ` a-on a-on-${s.bg}`;
  if (s.bold) c += ' a-bold';
  if (s.dim) c += ' a-dim';
  if (s.italic) c += ' a-italic';
  if (s.under) c += ' a-under';
  return c.trim();
}
