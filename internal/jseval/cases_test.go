package jseval

import (
	"strings"
	"time"
)

// nodeCases are configs, the first file of each, whose value must be Node's byte
// for byte.
var nodeCases = map[string][]string{
	"usual": {
		"ecosystem.config.js", `
		const path = require('path'), os = require('node:os'), fs = require('fs');
		const base = require('./base'), list = require('./list.json');
		module.exports = { apps: [{ ...base, name: 'api', script: path.join(__dirname, 'x.js'), instances: os.cpus().length, port: process.env.PORT,
			f: __filename, cwd: process.cwd(), there: fs.existsSync('./list.json'), not: fs.existsSync('nope'), list, env: { ...process.env, A: undefined } }] };`,
		"base.js", `exports.max_restarts = 3; exports.env_production = { NODE_ENV: "production" }`, "list.json", `[1, {"a": null}]`,
	},
	"json of values": {"a.config.js", `module.exports = { nan: NaN, inf: -Infinity, date: new Date(0), u: undefined, f() {}, s: Symbol('x'), list: [undefined, () => 1, NaN],
		nested: { toJSON: () => 'j' }, m: new Map([[1, 2]]), r: /x/, b: Buffer.from('hé'), lone: '\ud800', e: 1e21, neg: -0, str: new String('s'), p: Promise.resolve(1), '2': 1, '1': 2, u8: new Uint8Array([1, 2]) }`},
	"promise": {"a.config.js", `module.exports = (async () => { await new Promise((r) => setTimeout(r, 5)); return { apps: [await Promise.resolve('x')] } })()`},
	"order":   {"a.config.js", `module.exports = new Promise((done) => { const o = []; setTimeout(() => { o.push('t'); setTimeout(() => done(o), 2) }, 1); Promise.resolve().then(() => o.push('m')); process.nextTick(() => o.push('n')); o.push('s') }).then((o) => o.sort())`},
	"sloppy":  {"a.config.js", "undeclared = 010; with ({ z: 3 }) { var q = z }\nmodule.exports = { undeclared, q, t: this === exports, a: arguments.length, g: typeof global, r: typeof require }"},
	"return":  {"a.config.cjs", "#!/usr/bin/env node\nmodule.exports = { a: 1 }; if (true) return; module.exports = 2"},
	"bom":     {"a.config.js", "\ufeffmodule.exports = { a: 1 }"},
	"cycle": {
		"a.config.js", `module.exports = require('./x')`, "x.js", `exports.before = 1; const y = require('./y'); exports.y = y; exports.seen = y.seen`,
		"y.js", `const x = require('./x'); exports.seen = Object.keys(x)`,
	},
	"packages": {
		"a.config.js", `module.exports = [require('main'), require('index'), require('exp'), require('exp/sub'), require('exp/feat/a.js'), require('@s/p/lib/x'), require('#int'), require('self/me'), require('cond'), require('./dir'), require('./dir/'), require('..' + '/' + require('path').basename(__dirname) + '/dir')]`,
		"node_modules/main/package.json", `{"main":"./lib"}`, "node_modules/main/lib/index.js", `module.exports = 'main'`,
		"node_modules/index/index.js", `module.exports = require('main') + '+index'`,
		"node_modules/exp/package.json", `{"exports":{".":{"import":"./no.mjs","require":"./r.js"},"./sub":"./s.js","./feat/*":"./f/*"}}`,
		"node_modules/exp/r.js", `module.exports = 'r'`, "node_modules/exp/s.js", `module.exports = 's'`, "node_modules/exp/f/a.js", `module.exports = 'fa'`,
		"node_modules/@s/p/lib/x.js", `module.exports = __filename.split('/').slice(-4).join('/')`,
		"node_modules/cond/package.json", `{"exports":{"browser":"./b.js","node":{"require":"./n.js"},"default":"./d.js"}}`, "node_modules/cond/n.js", `module.exports = 'n'`,
		"package.json", `{"name":"self","exports":{"./me":"./me.js"},"imports":{"#int":"./int.js"}}`, "me.js", `module.exports = 'me'`, "int.js", `module.exports = 'int'`,
		"dir/index.json", `{"i":1}`,
	},
	"resolve": {
		"a.config.js", `const codes = []; for (const n of ['./no', 'no', 'node:no', './b.json/', './broken.json']) try { require(n) } catch (e) { codes.push(e.code ?? e.name) }
		module.exports = [codes, require.resolve('./b'), require.resolve('fs'), require.resolve('node:fs'), module.id.length > 0, module.loaded, module.paths[0], require('./b') === require('./b.json'), Object.keys(require.cache).length > 0]`,
		"b.json", `{}`, "broken.json", `{]`,
	},
	"process": {"a.config.js", `process.env.N = 5; process.env.U = undefined; delete process.env.EQ; const { UML, EMPTY } = process.env;
		module.exports = [process.env.N, process.env.U, 'EQ' in process.env, UML, EMPTY, process.env.NOPE, Object.keys(process.env).length, process.platform, process.arch, typeof process.pid, process.cwd(), process.execPath,
		process.argv[0] === process.execPath, typeof process.uptime(), process.hrtime().length, typeof process.hrtime.bigint(), process.memoryUsage().rss > 0, process.version[0], typeof process.versions.node, String(process), process.getuid(), process.on('exit', () => 1) === process]`},
	"path": {"a.config.js", `const p = require('path'); const s = ['', '.', '..', '/', '//', 'a', 'a/', '/a', '/a/b/', 'a/b.c', '.x', 'a/.x.y', 'a..', '..a', '/../x', '../..', 'a/../..', './a', 'a//b', '//a', '///a//', 'x.', 'a/b/../c/./d', 'ä/ö.ü', '...'];
		module.exports = [s.map((x) => [p.normalize(x), p.dirname(x), p.basename(x), p.extname(x), p.parse(x), p.isAbsolute(x), p.resolve(x), p.resolve('/q', x), p.join('/q', x), p.join(x, '..', 'r'), p.relative('/a/b', p.resolve('/', x)), p.format(p.parse(x))]),
		p.basename('a.js', '.js'), p.basename('.js', '.js'), p.basename('a/b.js/', '.js'), p.join(), p.resolve(), p.relative('a/b', 'a/c/d'), p.format({ dir: 'd', name: 'n', ext: 'e' }), p.format({ root: '/', base: 'b' }), p.posix === p, p.sep, p.delimiter]`},
	"os": {"a.config.js", `const os = require('os'); const u = os.userInfo(); module.exports = [os.cpus().length, os.availableParallelism(), os.hostname(), os.homedir(), os.tmpdir(), os.totalmem(), os.EOL, os.platform(), os.arch(), os.type(), os.release(), os.machine(), os.endianness(), u.username, u.uid, u.gid, u.homedir, u.shell, Object.keys(os.networkInterfaces()), os.networkInterfaces(), os.loadavg().length, os.freemem() > 0, os.constants.signals.SIGTERM]`},
	"fs": {
		"a.config.js", `const fs = require('fs'), fsp = require('fs/promises'); const codes = []; for (const f of [() => fs.readFileSync('no'), () => fs.readFileSync('.'), () => fs.readdirSync('a.config.js'), () => fs.statSync('/no/x'), () => fs.accessSync('no'), () => fs.readlinkSync('t.txt')]) try { f() } catch (e) { codes.push([e.code, e.syscall, e.errno, e.path, e.message]) }
		const st = fs.statSync('t.txt');
		module.exports = (async () => [codes, fs.readFileSync('t.txt', 'utf8'), fs.readFileSync('t.txt').length, String(fs.readFileSync('t.txt')), fs.readFileSync('t.txt', { encoding: 'base64' }), fs.readFileSync('t.txt', 'hex'), JSON.parse(fs.readFileSync('j.json')), fs.readdirSync('d'), fs.readdirSync('d', { withFileTypes: true }).map((e) => [e.name, e.isFile(), e.isDirectory(), e.parentPath]),
			st.size, st.isFile(), st.isDirectory(), st.mode, st.mtime instanceof Date, fs.lstatSync('d').isDirectory(), fs.realpathSync('d/..'), fs.statSync('no', { throwIfNoEntry: false }) === undefined, await fsp.readFile('t.txt', 'utf8'), await fs.promises.readdir('d'), await fsp.stat('no').catch((e) => e.code),
			await new Promise((r) => fs.readFile('t.txt', 'latin1', (e, v) => r(v))), fs.existsSync(new URL('file://' + __dirname + '/t.txt')), fs.accessSync('t.txt', fs.constants.R_OK) === undefined])()`,
		"t.txt", "hällo €\n", "j.json", `{"a":1}`, "d/x", "", "d/sub/y", "",
	},
	"url": {"a.config.js", `const url = require('url'); const all = ['http://u:p@Ex.com:80/a/../b?q=1 2#h', 'postgres://user:p%40ss@db:5432/name?ssl=true', 'redis://localhost', 'https://a.b:443', 'file:///a%20b/c', 'http://[::1]:3000/x', 'mailto:a@b.c', 'http://a/b?x=ä&y=%20#ö', 'http:\\\\a\\b', 'mongodb://h1:1/x'];
		const bad = []; for (const s of ['x', 'http://', 'http://a b/', 'http://a:99999', '']) try { new URL(s); bad.push(0) } catch (e) { bad.push(e.code) }
		const v = new URL('http://a/b?c=1'); v.searchParams.append('d', 'e f'); v.pathname = '/z z'; v.port = '81'; v.hash = 'k'; v.username = 'me';
		module.exports = [all.map((s) => { const u = new URL(s); return [u.href, u.origin, u.protocol, u.username, u.password, u.host, u.hostname, u.port, u.pathname, u.search, u.hash, u] }), bad, v.href, ['../x', '/y', '?q', '#h', '//b/c', 'z/./w', ''].map((r) => new URL(r, 'http://a/b/c?d#e').href),
		url.fileURLToPath('file:///a%20b/%C3%A4'), url.pathToFileURL('/a b/ä#?%.js').href, [...new URLSearchParams('a=1&b=%20+x&a=2&c')], String(new URLSearchParams({ a: 'ä &', b: '~*' })), new URLSearchParams('a=1').get('a'), URL.canParse('x:y')]`},
	"util": {"a.config.js", `const u = require('util'); module.exports = (async () => [u.format('%s %d %i %f %j %% %s', 'a', 1.5, '42px', '1.5', { a: 1 }, {}), u.format(1, 'a', { b: [] }), u.inspect({ a: { b: { c: { d: 1 } } }, s: "it's", n: null, f() {}, [Symbol('k')]: 1, m: new Map([['a', 1]]), set: new Set([1]) }), u.inspect('x'), u.inspect([1, , 3]), u.inspect(class A {}), u.inspect(new (class B { x = 1 })()), await u.promisify((a, cb) => cb(null, a + 1))(1), u.isDeepStrictEqual({ a: [1] }, { a: [1] }), u.types.isDate(new Date()), new TextDecoder().decode(new TextEncoder().encode('ä€')),
		structuredClone({ d: new Date(0), m: [...structuredClone(new Map([[1, { a: 1 }]]))] }), u.stripVTControlCharacters('\x1b[31mx\x1b[0m')])()`},
	"buffer": {"a.config.js", `const b = Buffer.from('aGk', 'base64'); module.exports = [b, b.toString(), Buffer.from('héé').toString('hex'), Buffer.from('ff0', 'hex'), Buffer.from('x-_', 'base64url').toString('base64'), Buffer.concat([b, Buffer.from([1, 2])]), Buffer.isBuffer(b), Buffer.byteLength('€'), b.slice(1).toString(), atob('aGk='), btoa('hi'), Buffer.from('a').equals(Buffer.from('a')), Buffer.alloc(2, 'x'), [...b], Buffer.from('hi').toString('utf16le').length, Buffer.from([0xff, 0x41]).toString(), b.indexOf('i')]`},
	"events": {"a.config.js", `const E = require('events'); class A extends E {} const a = new A(), o = []; a.on('x', (v) => o.push(v)); a.once('x', (v) => o.push(-v)); a.emit('x', 1); a.emit('x', 2); function Old() { E.call(this) } require('util').inherits(Old, E); const old = new Old(); old.on('y', () => o.push('y')); old.emit('y'); module.exports = [o, a.listenerCount('x'), require('node:events').EventEmitter === E, a.emit('none')]`},
	"packages that load more": {
		"a.config.js", `require('dotlike').config(); module.exports = { v: process.env.FROM_FILE, extends: require('dotlike').T }`, ".env", "FROM_FILE=yes\n",
		"node_modules/dotlike/index.js", `const fs = require('fs'), path = require('path'), os = require('os'), crypto = require('crypto'), { execSync } = require('child_process'), { Transform } = require('stream'), { promisify } = require('util'); const exec = promisify(require('child_process').exec); class T2 extends Transform {}
			exports.T = typeof T2; exports.config = () => { for (const l of fs.readFileSync(path.resolve(process.cwd(), '.env'), { encoding: 'utf8' }).split('\n')) { const m = /^(\w+)=(.*)$/.exec(l); if (m && !(m[1] in process.env)) process.env[m[1]] = m[2] } }`,
	},
	"esm": {
		"a.config.mjs", `import path, { join } from 'node:path'; import * as os from 'os'; import { readFileSync } from 'fs'; import x, { y } from './x.mjs'; import c, { named } from './c.cjs'; import { createRequire } from 'module'; import { fileURLToPath } from 'url'; import dep, { z } from 'dep'; import process2 from 'node:process';
		const require = createRequire(import.meta.url); const late = await import('./late.mjs'); const j = await import('./d.json', { with: { type: 'json' } });
		export default { apps: [join('a', 'b'), path.sep, os.EOL, readFileSync('d.json', 'utf8'), x, y, c, named, require('./c.cjs') === c, fileURLToPath(import.meta.url), import.meta.dirname, import.meta.filename, late.v, j.default, dep, z, process2 === process, import.meta.resolve('./x.mjs'), await import('./no.mjs').catch((e) => e.code), import.meta.url] }`,
		"x.mjs", `export default 'x'; export const y = import.meta.url.slice(0, 8)`, "c.cjs", `exports.named = 'n'; exports.other = __dirname === process.cwd()`, "late.mjs", `export const v = await Promise.resolve(7)`, "d.json", `{"k":[1]}`,
		"node_modules/dep/package.json", `{"exports":{"import":"./i.mjs","require":"./r.js"}}`, "node_modules/dep/i.mjs", `export default 'dep'; export const z = 'z'`,
	},
	"esm namespace":       {"a.config.mjs", `export const apps = [{ name: 'a' }]; export const z = 1, b = () => 1`},
	"esm by package":      {"a.config.js", `import { v } from './b.js'; export default { v }`, "b.js", `export const v = 1`, "package.json", `{"type":"module"}`},
	"esm promise":         {"a.config.mjs", `export default new Promise((r) => setImmediate(() => r({ a: 1 })))`},
	"import from cjs":     {"sub/a.config.js", `module.exports = import('./b.mjs').then((m) => ({ b: m.default, u: m.u }))`, "sub/b.mjs", `export default 1; export const u = import.meta.url`},
	"expression":          {"a.json", "{ // comment\n apps: [{ name: ['a', 'b'].join(''), port: +process.env.PORT, 'x-y': `t`, /* c */ list: [1, 2,], },],\n} // end"},
	"expression, scalars": {"a.json", `[1, "a", null, 0x10, 1_000, .5, typeof require === 'x', new Date(0)]`},
	"modern": {"a.config.js", `const o = { a: { b: null } }; class A { #p = 1; static s = 2; get p() { return this.#p } static { this.t = 3 } }
		module.exports = [o?.a?.b ?? 'd', [3, 1, 2].toSorted(), Object.groupBy ? 1 : 1, [1, [2, [3]]].flat(Infinity), 'a-b'.replaceAll('-', '+'), new A().p, A.s, A.t, [1, 2, 3].at(-1), Object.fromEntries([['a', 1]]), 2 ** 10, 'x'.padStart(3), [..."ab"].entries().next(), /(?<y>\d+)/.exec('a12').groups.y, "t", Array.from({ length: 2 }, (_, i) => i), (() => { try { null.x } catch { return 'c' } })(), Number('12'), parseInt('8080'), encodeURIComponent('ä'), [10, 9, 1].sort(), JSON.parse('{"__proto__": 1}')]`},
}

var errorCases = map[string]struct {
	files   []string
	options Options
	want    string
}{
	"syntax":              {files: []string{"a.config.js", "module.exports = {\n  apps: [}\n}"}, want: "a.config.js:2:10: SyntaxError: *"},
	"syntax, first line":  {files: []string{"a.config.js", "module.exports = {]"}, want: "a.config.js:1:19: SyntaxError: *"},
	"syntax, end missing": {files: []string{"a.config.js", "module.exports = {\n  apps: ["}, want: "a.config.js:2: SyntaxError: *"},
	"syntax, module":      {files: []string{"a.mjs", "export default {\n  a: ]\n}"}, want: "a.mjs:2:6: SyntaxError: *"},
	"syntax, expression":  {files: []string{"a.json", "{ a: [1 2] }"}, want: "a.json:1:9: SyntaxError: *"},
	"syntax, required":    {files: []string{"a.config.js", "require('./b')", "b.js", "let x = 1\nlet x = 2"}, want: "b.js:2:*"},
	"syntax, imported":    {files: []string{"a.mjs", "import './b.mjs'", "b.mjs", "\n\nlet = ="}, want: "b.mjs:3:*"},
	"json":                {files: []string{"a.config.js", "module.exports = require('./b.json')", "b.json", "{\n  \"a\": 1,\n}"}, want: "b.json:3:1: SyntaxError: not JSON: *"},
	"throws":              {files: []string{"a.config.js", "\nfunction f() {\n  throw new Error('no\\n  secret')\n}\nf()"}, want: "a.config.js:3:18: no secret"},
	"throws, first line":  {files: []string{"a.config.js", "nope()"}, want: "a.config.js:1:1: ReferenceError: *"},
	"throws, module":      {files: []string{"a.mjs", "null.x"}, want: "a.mjs:1:5: TypeError: *"},
	"throws, required":    {files: []string{"a.config.js", "require('./b')", "b.js", "\n  undefined.x"}, want: "b.js:2:12: TypeError: *"},
	"throws, fs":          {files: []string{"a.config.js", "const fs = require('fs')\nmodule.exports = fs.readFileSync('/no/such')"}, want: "a.config.js:2:33: ENOENT: no such file or directory, open '/no/such'"},
	"throws, later":       {files: []string{"a.config.js", "module.exports = new Promise(() => {\n  setTimeout(() => { throw new TypeError('late') }, 1)\n})"}, want: "a.config.js:2:*"},
	"rejects":             {files: []string{"a.config.js", "module.exports = (async () => {\n  await 1\n  throw new RangeError('r')\n})()"}, want: "a.config.js:3:23: RangeError: r"},
	"cause":               {files: []string{"a.config.js", "throw new Error('a', { cause: new Error('b') })"}, want: "a.config.js:1:16: a (b)"},
	"throws a text":       {files: []string{"a.config.js", "throw 'plain'"}, want: "a.config.js: it throws plain"},
	"throws an object":    {files: []string{"a.config.js", "throw { a: 1 }"}, want: "a.config.js: it throws { a: 1 }"},
	"throws null":         {files: []string{"a.config.js", "throw null"}, want: "a.config.js: it throws null"},
	"throws a trap":       {files: []string{"a.config.js", "throw new Proxy({}, { get() { throw 1 } })"}, want: "a.config.js: it throws a value that cannot be shown"},
	"not found":           {files: []string{"a.config.js", "\nconst x = require('./nope')"}, want: "a.config.js:2:18: Cannot find module './nope'"},
	"not found, module":   {files: []string{"a.mjs", "import fs from 'fs'\nimport x from './nope.mjs'"}, want: "a.mjs:2:15: Cannot find module './nope.mjs'"},
	"no export":           {files: []string{"a.mjs", "import { nope } from 'fs'\nexport default nope"}, want: "a.mjs:*"},
	"no file":             {files: []string{"nope/a.config.js"}, want: "nope/a.config.js: ENOENT: no such file or directory"},
	"exit":                {files: []string{"a.config.js", "try {\n  process.exit(3)\n} catch {} finally { for (;;); }"}, want: "a.config.js:2:15: it calls process.exit(3): a config file exports its value and returns"},
	"function":            {files: []string{"a.config.js", "module.exports = () => ({})"}, want: "a.config.js: its value is a function: export what the function returns"},
	"undefined":           {files: []string{"a.config.js", "module.exports = undefined"}, want: "a.config.js: its value is undefined: nothing is exported"},
	"cycle":               {files: []string{"a.config.js", "const a = { name: 'x' }; a['e-v'] = { self: [a] }; module.exports = { apps: [a] }"}, want: `a.config.js: apps[0]["e-v"].self[0] refers back to apps[0]: JSON cannot hold a cycle`},
	"bigint":              {files: []string{"a.config.js", "module.exports = { apps: [{ port: 80n }] }"}, want: "a.config.js: apps[0].port is a BigInt, which JSON cannot hold: write Number() or String() around it"},
	"never":               {files: []string{"a.config.js", "module.exports = new Promise(() => {})"}, want: "a.config.js: its value is a promise that nothing will ever settle"},
	"writes":              {files: []string{"a.config.js", "require('fs').writeFileSync('x', 'y')"}, want: "a.config.js:1:28: fs.writeFileSync is not available: a config file may only read"},
	"runs":                {files: []string{"a.config.js", "\nconst v = require('child_process').execSync('git describe')"}, want: "a.config.js:2:44: child_process.execSync is not available: a config file cannot run programs: run it before and pass the result in an environment variable, which process.env has"},
	"crypto":              {files: []string{"a.config.mjs", "import { createHash } from 'node:crypto'\nexport default createHash('md5')"}, want: "a.config.mjs:2:26: crypto.createHash is not available: *"},
	"loop":                {files: []string{"a.config.js", "const x = 1\nfor (;;) {}"}, options: Options{Timeout: time.Second}, want: "a.config.js:*not done after 1s*"},
	"loop in a catch":     {files: []string{"a.config.js", "for (;;) { try { for (;;); } catch {} }"}, options: Options{Timeout: time.Second}, want: "a.config.js*not done after 1s*"},
	"loop of promises":    {files: []string{"a.config.js", "module.exports = new Promise(() => { const f = () => Promise.resolve().then(f); f() })"}, options: Options{Timeout: time.Second}, want: "a.config.js*not done after 1s*"},
	"waits too long":      {files: []string{"a.mjs", "await new Promise((r) => setTimeout(r, 1e8))"}, options: Options{Timeout: time.Second}, want: "a.mjs: not done after 1s, *"},
	"regex":               {files: []string{"a.config.js", "/^(a+)+$/.test('a'.repeat(40) + 'b')"}, options: Options{Timeout: time.Second}, want: "a.config.js*"},
	"recursion":           {files: []string{"a.config.js", "const f = () => f() + 1\nf()"}, want: "a.config.js:*it calls itself without end (stack overflow)"},
	"memory":              {files: []string{"a.config.js", "const a = []\nfor (;;) a.push('x'.repeat(1e6) + a.length)"}, options: Options{MemoryBytes: 64 << 20}, want: "a.config.js*it needs more than 64 MiB of memory, which is the limit for a config file"},
	"memory at once":      {files: []string{"a.config.js", "new Uint8Array(1e9)"}, options: Options{MemoryBytes: 64 << 20}, want: "a.config.js*"},
	"value too large":     {files: []string{"a.config.js", "module.exports = 'x'.repeat(2 ** 24)"}, want: "a.config.js: its value is too large: *"},
	"file too large":      {files: []string{"a.config.js", "//" + strings.Repeat("x", 2<<20)}, options: Options{MaxFile: 1 << 20}, want: "a.config.js: too large: 2 MiB, and at most 1 MiB are read"},
	"native":              {files: []string{"a.config.js", "require('./a.node')", "a.node", ""}, want: "a.config.js:1:*"},
}
