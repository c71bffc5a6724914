// The way to the server: the session, requests, and the one stream of a tab.

// The page's half of the session; the other one is a cookie that scripts cannot
// read. Neither is of use alone. See session.go.
const keyName = 'paceline-key';
let key = read();

function read() {
  try {
    return localStorage.getItem(keyName) || '';
  } catch {
    return '';
  }
}

function keep(value) {
  key = value;
  try {
    if (value) localStorage.setItem(keyName, value);
    else localStorage.removeItem(keyName);
  } catch { /* storage is off: the session lasts as long as this page */ }
}

export const hasKey = () => key !== '';

export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

const listeners = new Set();
export const onSignedOut = (f) => listeners.add(f);

function signedOut() {
  keep('');
  for (const f of listeners) f();
}

async function answer(response) {
  const body = await response.json().catch(() => ({}));
  if (response.ok) return body;
  throw new Refused(response.status, body.error?.message || `the server answered ${response.status}`);
}

async function request(path, options) {
  const response = await fetch(path, { ...options, headers: { 'Paceline-Key': key, ...options.headers }, cache: 'no-store' });
  if (response.status === 401 && path !== '/api/login') signedOut();
  return answer(response);
}

const query = (params) => {
  const q = new URLSearchParams();
  for (const [k, v] of Object.entries(params || {})) if (v !== undefined && v !== null && v !== '') q.set(k, v);
  return String(q) ? `?${q}` : '';
};

export const get = (path, params, signal) => request(path + query(params), { signal });

export const post = (path, body) =>
  request(path, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) });

export async function login(token) {
  keep((await post('/api/login', { token })).key);
}

export async function logout() {
  await post('/api/logout', {}).catch(() => {}); // signed out already
  signedOut();
}

// A stream that is silent for longer than this is dead; the server says something
// every 15 s.
const silence = 40_000;

// Stream keeps one stream open as long as the page can be seen. On: functions by the
// name of the event; link(up, why) tells of the connection.
export class Stream {
  constructor(params, on, link) {
    Object.assign(this, { params, on, link, wait: 500, ended: false });
    this.visible = () => {
      if (document.hidden) this.cut();
      else this.begin();
    };
    document.addEventListener('visibilitychange', this.visible);
    this.begin();
  }

  end() {
    this.ended = true;
    document.removeEventListener('visibilitychange', this.visible);
    this.cut();
  }

  cut() {
    clearTimeout(this.timer);
    this.abort?.abort();
    this.abort = undefined;
  }

  begin() {
    if (this.ended || this.abort || document.hidden) return;
    const abort = this.abort = new AbortController();
    this.run(abort).catch((error) => error).then((error) => {
      if (this.abort !== abort) return; // cut on purpose
      this.abort = undefined;
      if (this.ended || error?.status === 401) return;
      this.link(false, error instanceof Refused ? error.message : '', error?.status);
      this.timer = setTimeout(() => this.begin(), this.wait * (0.75 + Math.random() / 2));
      this.wait = Math.min(this.wait * 2, 10_000);
    });
  }

  async run(abort) {
    const response = await fetch('/api/stream' + query(this.params), { headers: { 'Paceline-Key': key }, signal: abort.signal, cache: 'no-store' });
    if (response.status === 401) signedOut();
    if (!response.ok) await answer(response);
    this.link(true);
    this.wait = 500;
    this.on.begun?.();
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = '', timer;
    const alive = () => {
      clearTimeout(timer);
      timer = setTimeout(() => abort.abort(new Error('silence')), silence);
    };
    try {
      for (;;) {
        alive();
        const { value, done } = await reader.read();
        if (done) return;
        text += value;
        let from = 0;
        for (let end; (end = text.indexOf('\n\n', from)) >= 0; from = end + 2) this.event(text.slice(from, end));
        text = text.slice(from);
      }
    } finally {
      clearTimeout(timer);
    }
  }

  event(text) {
    if (!text.startsWith('event: ')) return;
    const end = text.indexOf('\n');
    this.on[text.slice(7, end)]?.(JSON.parse(text.slice(end + 7))); // "data: "
  }
}
