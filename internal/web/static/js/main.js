// The page: which part of it is shown, and the stream that feeds it.

import { get, hasKey, login, logout, onSignedOut, Stream } from './api.js';
import { attr, fail, set } from './dom.js';
import { overview } from './overview.js';
import { forgetColours } from './spark.js';
import { State } from './state.js';

const main = document.getElementById('main');
const link = document.getElementById('link');
const state = new State();
let page = null, stream = null, signedIn = false;

function tellLink(up, why) {
  attr(link, 'data-up', up ? 'yes' : 'no');
  set(link, up ? 'live' : why || 'connecting again…');
  attr(link, 'title', why || null);
}

function leave() {
  stream?.end();
  page?.end();
  stream = page = null;
}

// show opens the page that the address names.
async function show(moved) {
  if (!signedIn) return;
  const path = decodeURI(location.hash.replace(/^#/, '')) || '/';
  leave();
  const app = location.hash.match(/^#\/app\/(.+)$/)?.[1];
  let make;
  if (app) {
    const name = decodeURIComponent(app);
    const { detail } = await import('./detail.js');
    make = () => detail(main, state, name);
    document.title = `${name} · Paceline`;
  } else if (path === '/events') {
    const { eventPage } = await import('./events.js');
    make = () => eventPage(main);
    document.title = 'Events · Paceline';
  } else {
    make = () => overview(main, state);
    document.title = 'Paceline';
  }
  if (page || !signedIn) return; // another address was faster
  page = make();
  for (const a of document.querySelectorAll('#nav a')) attr(a, 'aria-current', a.hash === '#' + (app ? '/' : path) ? 'page' : null);
  if (moved) {
    window.scrollTo(0, 0);
    main.focus({ preventScroll: true });
  }
  const here = page;
  const tell = (what) => (e) => here === page && page[what]?.(e);
  stream = new Stream(page.params, {
    begun: tell('begun'),
    state: (e) => {
      state.apply(e);
      tellLink(!e.down, e.down);
      tell('state')(e);
      performance.mark('paceline-state');
    },
    events: tell('events'),
    logs: tell('logs'),
    app: tell('app'),
  }, (up, why, status) => {
    tellLink(up, why);
    if (status === 404 && here === page) page.missing?.();
  });
}

function entered() {
  signedIn = true;
  for (const id of ['nav', 'signout']) document.getElementById(id).hidden = false;
  show(false);
  get('/api/session').then(({ host, version }) => {
    const el = document.getElementById('host');
    set(el, host || '');
    attr(el, 'title', version ? `daemon ${version}` : null);
  }, () => {}); // the stream says what is wrong
}

async function askToken(why) {
  const { form } = await import('./login.js');
  if (signedIn) return;
  form(main, entered, why);
}

onSignedOut(() => {
  if (!signedIn) return;
  signedIn = false;
  leave();
  for (const id of ['nav', 'signout']) document.getElementById(id).hidden = true;
  set(link, '');
  askToken('');
});

document.getElementById('signout').addEventListener('click', () => logout());

document.getElementById('theme').addEventListener('click', () => {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
  root.dataset.theme = dark ? 'light' : 'dark';
  try {
    localStorage.setItem('paceline-theme', root.dataset.theme);
  } catch { /* until the next load, then */ }
  recolour();
});
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', recolour);

function recolour() {
  forgetColours();
  page?.state?.();
  page?.recolour?.();
}

document.addEventListener('keydown', (e) => {
  if (e.key !== '/' || e.ctrlKey || e.metaKey || e.altKey || /^(INPUT|SELECT|TEXTAREA)$/.test(e.target.tagName)) return;
  const input = main.querySelector('[data-slash]');
  if (!input) return;
  e.preventDefault();
  input.focus();
});

window.addEventListener('hashchange', () => show(true));
window.addEventListener('error', (e) => fail(`The page has a fault: ${e.message}`));

async function begin() {
  const token = location.hash.match(/^#token=([A-Za-z0-9_-]+)$/)?.[1];
  if (!token) {
    if (hasKey()) entered();
    else askToken('');
    return;
  }
  history.replaceState(null, '', '/#/'); // out of the address bar and its history
  try {
    await login(token);
    entered();
  } catch (error) {
    askToken(error.message);
  }
}

begin();
