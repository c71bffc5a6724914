// What can be done to an app or an instance, each after a question.

import { post } from './api.js';
import { ask, fail, h, say } from './dom.js';
import { count } from './format.js';

const self = 'pace-web';

const words = {
  reload: { name: 'Reload', done: 'reloaded', text: 'Successors take over one by one; no request fails. If a successor does not come up, the old one stays.' },
  restart: { name: 'Restart', done: 'restarted', text: 'Processes are stopped and started. What they are answering may be cut off.', danger: true },
  stop: { name: 'Stop', done: 'stopped', text: 'Nothing answers until it is started again.', danger: true },
  start: { name: 'Start', done: 'started', text: 'It is started as it is configured.' },
  flush: { name: 'Empty logs', done: 'has empty logs', text: 'The log files are emptied. That cannot be undone.', danger: true },
  scale: { name: 'Scale', done: 'scaled' },
};

const busy = new Set();

// act asks, does it and says what came of it.
export async function act(action, app, { id, instances } = {}) {
  const w = words[action];
  const what = id === undefined ? app : `instance ${id} of ${app}`;
  let text = w.text;
  if (app === self && action !== 'flush') text = `${text} It is this dashboard: ${action === 'stop' ? '`pace web` brings it back.' : 'the page will connect again.'}`;
  let number;
  if (action === 'scale') {
    const entered = await ask({
      title: `Scale ${app}`, text: `It has ${count(instances, 'instance')} now.`, yes: 'Scale',
      fields: [{ label: 'Instances', type: 'number', min: 1, max: 4096, value: instances, required: true, inputmode: 'numeric' }],
    });
    if (!entered) return;
    number = String(Number.parseInt(entered[0], 10));
  } else if (!(await ask({ title: `${w.name} ${what}?`, text, yes: w.name, danger: w.danger }))) return;
  const key = `${action} ${app} ${id ?? ''}`;
  if (busy.has(key)) return;
  busy.add(key);
  document.body.toggleAttribute('data-busy', true);
  try {
    const reply = await post('/api/action', { action, app, ...(id === undefined ? {} : { id }), ...(number ? { instances: number } : {}) });
    say(action === 'scale' ? `${app} has ${count(Number(number), 'instance')}` : `${what} ${w.done}`);
    for (const warning of reply.warnings || []) fail(warning);
  } catch (error) {
    if (error.status !== 401) fail(`${w.name} ${what}: ${error.message}`);
  } finally {
    busy.delete(key);
    document.body.toggleAttribute('data-busy', busy.size > 0);
  }
}

// button makes a button of an action; target() returns [app, options].
export function button(action, target, quiet) {
  const w = words[action];
  const el = h('button', { type: 'button', class: quiet ? 'small' : w.danger ? 'warn' : '', 'data-action': action, on: {
    click: (e) => {
      e.stopPropagation();
      act(action, ...target());
    },
  } }, w.name);
  return el;
}
