// fs: reading alone, synchronous, by callback and by promise.
'use strict';
(function (module, exports, { host, builtin, fault }) {
const toPath = (p) => {
  if (typeof p === 'string') {
    if (p.includes('\0')) throw fault('ERR_INVALID_ARG_VALUE', 'a path cannot contain a NUL byte');
    return p;
  }
  if (p instanceof URL) return builtin('url').fileURLToPath(p);
  if (p instanceof Uint8Array) return Buffer.from(p).toString();
  throw fault('ERR_INVALID_ARG_TYPE', `The "path" argument must be of type string or an instance of Buffer or URL. Received ${p === null ? 'null' : typeof p}`);
};
const encodingOf = (o) => (typeof o === 'string' ? o : o?.encoding) || null;

class Stats {
  constructor(s) {
    Object.assign(this, s);
    for (const k of ['atime', 'mtime', 'ctime', 'birthtime']) this[k] = new Date(this[`${k}Ms`]);
  }
  isFile() { return (this.mode & 0o170000) === 0o100000; }
  isDirectory() { return (this.mode & 0o170000) === 0o040000; }
  isSymbolicLink() { return (this.mode & 0o170000) === 0o120000; }
  isFIFO() { return (this.mode & 0o170000) === 0o010000; }
  isSocket() { return (this.mode & 0o170000) === 0o140000; }
  isBlockDevice() { return (this.mode & 0o170000) === 0o060000; }
  isCharacterDevice() { return (this.mode & 0o170000) === 0o020000; }
}
class Dirent {
  constructor(name, dir, kind) { this.name = name; this.parentPath = dir; this.path = dir; Object.defineProperty(this, 'kind', { value: kind }); }
  isFile() { return this.kind === 'file'; }
  isDirectory() { return this.kind === 'dir'; }
  isSymbolicLink() { return this.kind === 'link'; }
  isFIFO() { return this.kind === 'fifo'; }
  isSocket() { return this.kind === 'socket'; }
  isBlockDevice() { return false; }
  isCharacterDevice() { return this.kind === 'device'; }
}
const stat = (op) => (p, o) => {
  try {
    return new Stats(host(op, toPath(p)));
  } catch (e) {
    if (o?.throwIfNoEntry === false && (e.code === 'ENOENT' || e.code === 'ENOTDIR')) return undefined;
    throw e;
  }
};
const read = {
  readFile(p, o) {
    if (typeof p === 'number') throw fault('ERR_PACELINE_UNAVAILABLE', 'fs.readFileSync of a descriptor is not available: a config file reads files by their names', Error);
    const encoding = encodingOf(o);
    if (encoding === 'utf8' || encoding === 'utf-8') return host('readFile', toPath(p), 'utf8');
    const data = Buffer.from(host('readFile', toPath(p), 'latin1'), 'latin1');
    return encoding && encoding !== 'buffer' ? data.toString(encoding) : data;
  },
  stat: stat('stat'),
  lstat: stat('lstat'),
  readdir(p, o) {
    const dir = toPath(p), list = host('readdir', dir, Boolean(o?.recursive));
    return o?.withFileTypes
      ? list.map(([name, kind]) => { const i = name.lastIndexOf('/'); return new Dirent(name.slice(i + 1), i < 0 ? dir : `${dir}/${name.slice(0, i)}`, kind); })
      : list.map(([name]) => name);
  },
  realpath: (p) => host('realpath', toPath(p)),
  readlink: (p) => host('readlink', toPath(p)),
  access(p, mode = 0) { host('access', toPath(p), mode); },
};
read.realpath.native = read.realpath;

const writes = ('appendFile chmod chown copyFile cp fchmod fchown fdatasync fsync ftruncate futimes lchmod lchown link lutimes mkdir mkdtemp ' +
  'open read close readv rename rm rmdir symlink truncate unlink utimes write writeFile writev opendir').split(' ');
const refuse = (name) => () => { throw fault('ERR_PACELINE_UNAVAILABLE', `${name} is not available: a config file may only read`, Error); };

const fs = { promises: {} };
for (const [name, f] of Object.entries(read)) {
  fs[`${name}Sync`] = f;
  fs[name] = (...args) => {
    const done = args.pop();
    if (typeof done !== 'function') throw fault('ERR_INVALID_ARG_TYPE', 'The "cb" argument must be of type function.');
    let result, error = null;
    try { result = f(...args); } catch (e) { error = e; }
    setImmediate(() => (error ? done(error) : done(null, result)));
  };
  fs.promises[name] = async (...args) => f(...args);
}
for (const name of writes) {
  fs[`${name}Sync`] = refuse(`fs.${name}Sync`);
  fs[name] = refuse(`fs.${name}`);
  fs.promises[name] = async () => refuse(`fs.promises.${name}`)();
}
for (const name of ['createReadStream', 'createWriteStream', 'watch', 'watchFile', 'unwatchFile']) fs[name] = refuse(`fs.${name}`);
fs.existsSync = (p) => { try { return host('exists', toPath(p)); } catch { return false; } };
fs.exists = (p, done) => { const there = fs.existsSync(p); setImmediate(() => done(there)); };
fs.constants = { F_OK: 0, X_OK: 1, W_OK: 2, R_OK: 4, O_RDONLY: 0, S_IFMT: 0o170000, S_IFREG: 0o100000, S_IFDIR: 0o040000, S_IFLNK: 0o120000 };
Object.assign(fs, { F_OK: 0, X_OK: 1, W_OK: 2, R_OK: 4, Stats, Dirent });
fs.promises.constants = fs.constants;
module.exports = fs;
})
