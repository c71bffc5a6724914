// assert: the checks that config files make.
'use strict';
(function (module, exports, { builtin }) {
class AssertionError extends Error {
  constructor(o) { super(o.message); this.name = 'AssertionError'; this.code = 'ERR_ASSERTION'; this.actual = o.actual; this.expected = o.expected; this.operator = o.operator; }
}
const check = (ok, message, fallback, more) => {
  if (ok) return;
  if (message instanceof Error) throw message;
  throw new AssertionError({ message: message ?? fallback(), ...more });
};
const show = (v) => builtin('util').inspect(v);
const same = (a, b) => builtin('util').isDeepStrictEqual(a, b);
const assert = (v, message) => check(v, message, () => `The expression evaluated to a falsy value: ${show(v)}`);
Object.assign(assert, {
  AssertionError, ok: (v, message) => assert(v, message),
  equal: (a, b, m) => check(a == b || (a !== a && b !== b), m, () => `${show(a)} == ${show(b)}`),
  notEqual: (a, b, m) => check(a != b, m, () => `${show(a)} != ${show(b)}`),
  strictEqual: (a, b, m) => check(Object.is(a, b), m, () => `Expected values to be strictly equal: ${show(a)} !== ${show(b)}`),
  notStrictEqual: (a, b, m) => check(!Object.is(a, b), m, () => `Expected "actual" to be strictly unequal to: ${show(b)}`),
  deepStrictEqual: (a, b, m) => check(same(a, b), m, () => `Expected values to be strictly deep-equal: ${show(a)} and ${show(b)}`),
  match: (s, re, m) => check(re.test(s), m, () => `The input did not match ${re}: ${show(s)}`),
  fail: (m = 'Failed') => check(false, m),
  throws: (f, m) => { try { f(); } catch { return; } check(false, typeof m === 'string' ? m : undefined, () => 'Missing expected exception.'); },
});
assert.deepEqual = assert.deepStrictEqual;
assert.strict = assert;
module.exports = assert;
})
