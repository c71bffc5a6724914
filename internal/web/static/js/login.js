// Signing in by hand; the address that `pace web` prints does it by itself.

import { login } from './api.js';
import { h, set } from './dom.js';

export function form(main, entered, why = '') {
  const input = h('input', { type: 'password', name: 'token', autocomplete: 'current-password', required: true, spellcheck: 'false', 'aria-describedby': 'login-error' });
  const error = h('p', { id: 'login-error', class: 'bad', role: 'alert' }, why);
  const button = h('button', { type: 'submit', class: 'primary' }, 'Sign in');
  const el = h('form', { class: 'card login' }, h('h1', null, 'Sign in'),
    h('p', { class: 'muted' }, '`pace web` printed an address with the token in it when it was first run. The token is also in the file web/token of Paceline’s home; `pace web --new-token` makes another.'),
    h('label', { class: 'field' }, 'Token', input), error, button);
  el.addEventListener('submit', async (e) => {
    e.preventDefault();
    button.disabled = true;
    try {
      const text = input.value.trim();
      await login(text.match(/#token=([A-Za-z0-9_-]+)$/)?.[1] ?? text);
      entered();
    } catch (refused) {
      set(error, refused.message);
      input.select();
    } finally {
      button.disabled = false;
    }
  });
  main.replaceChildren(el);
  input.focus();
}
