// Runs what the test sends: {id, code}, the body of an async function; answers {id, value} or {id, error}.
'use strict';
const AsyncFunction = (async () => {}).constructor;
globalThis.kept = {};
process.on('message', async (m, handle) => {
  if (!m || !m.code) return;
  try {
    const value = await new AsyncFunction('require', 'kept', m.code)(require, globalThis.kept);
    process.send({ id: m.id, value: value === undefined ? null : value });
  } catch (e) {
    process.send({ id: m.id, error: String(e && e.code || e) });
  }
});
process.send('up');
