// Elements are made here and nowhere else: text goes in as text, never as HTML.

// h makes an element: h('a', {href: '#/', class: 'x', on: {click: f}}, 'text', child).
export function h(tag, props, ...children) {
  const el = document.createElement(tag);
  for (const [name, value] of Object.entries(props || {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name === 'on') for (const [type, f] of Object.entries(value)) el.addEventListener(type, f);
    else if (name === 'value') el.value = value;
    else el.setAttribute(name, value === true ? '' : value);
  }
  for (const child of children.flat()) {
    if (child !== undefined && child !== null && child !== false) el.append(child);
  }
  return el;
}

// set changes an element's text if it is another: what does not change costs no layout.
export function set(el, text) {
  text = String(text);
  if (el.textContent !== text) el.textContent = text;
}

// attr does the same for an attribute; null takes it off.
export function attr(el, name, value) {
  if (value === null || value === undefined || value === false) {
    if (el.hasAttribute(name)) el.removeAttribute(name);
  } else if (el.getAttribute(name) !== String(value)) el.setAttribute(name, value);
}

// eachFrame returns a function that has f called once, in the next frame, however
// often it is called itself. Hidden pages have no frames, so there nothing is drawn.
export function eachFrame(f) {
  let due = 0;
  return () => {
    due ||= requestAnimationFrame(() => {
      due = 0;
      f();
    });
  };
}

function note(place, kind, text, ms) {
  const el = h('div', { class: `toast ${kind}` }, h('span', null, text),
    h('button', { type: 'button', class: 'quiet', 'aria-label': 'Dismiss', on: { click: () => el.remove() } }, '×'));
  const box = document.getElementById(place);
  box.append(el);
  while (box.children.length > 4) box.firstChild.remove();
  setTimeout(() => el.remove(), ms);
}

// say tells what has been done, fail what has not.
export const say = (text) => note('toasts', 'good', text, 6000);
export const fail = (text) => note('alerts', 'bad', text, 15000);

// ask shows a dialog and returns what was entered, or null. Fields: [{label, ...attributes of input}].
export function ask({ title, text, yes, danger, fields = [] }) {
  return new Promise((resolve) => {
    const inputs = fields.map(({ label, ...rest }) => {
      const input = h('input', rest);
      return { input, el: h('label', { class: 'field' }, label, input) };
    });
    const form = h('form', { method: 'dialog', class: 'ask' },
      h('h2', { id: 'ask-title' }, title),
      text && h('p', null, text),
      inputs.map((i) => i.el),
      h('div', { class: 'buttons' },
        h('button', { type: 'button', class: 'cancel', on: { click: () => dialog.close('') } }, 'Cancel'),
        h('button', { type: 'submit', value: 'yes', class: danger ? 'danger' : 'primary' }, yes)));
    const dialog = h('dialog', { 'aria-labelledby': 'ask-title' }, form);
    dialog.addEventListener('close', () => {
      resolve(dialog.returnValue === 'yes' ? inputs.map((i) => i.input.value) : null);
      dialog.remove();
    });
    form.addEventListener('submit', (e) => { // a form's own way out is not among what our policy lets through
      e.preventDefault();
      dialog.close('yes');
    });
    document.body.append(dialog);
    dialog.showModal();
    if (!fields.length) form.querySelector('.cancel').focus(); // nothing happens by a stray Enter
  });
}
