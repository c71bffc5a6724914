// os: what the machine is, asked when it is used.
'use strict';
(function (module, exports, { host, info, builtin }) {
const os = {
  EOL: '\n', devNull: '/dev/null',
  arch: () => info.arch,
  platform: () => info.platform,
  availableParallelism: () => host('os', 'parallelism'),
  cpus: () => host('os', 'cpus'),
  endianness: () => 'LE',
  freemem: () => host('os', 'freemem'),
  totalmem: () => host('os', 'totalmem'),
  getPriority: () => 0,
  homedir: () => builtin('process').env.HOME || host('os', 'user').homedir,
  hostname: () => host('os', 'hostname'),
  loadavg: () => host('os', 'loadavg'),
  machine: () => host('os', 'uname').machine,
  networkInterfaces: () => Object.fromEntries(JSON.parse(host('os', 'interfaces'))),
  release: () => host('os', 'uname').release,
  tmpdir() {
    const { env } = builtin('process');
    const dir = env.TMPDIR || env.TMP || env.TEMP || '/tmp';
    return dir.length > 1 && dir.endsWith('/') ? dir.slice(0, -1) : dir;
  },
  type: () => host('os', 'uname').sysname,
  uptime: () => host('os', 'uptime'),
  userInfo: () => host('os', 'user'),
  version: () => host('os', 'uname').version,
};
os.constants = {
  signals: {
    SIGHUP: 1, SIGINT: 2, SIGQUIT: 3, SIGILL: 4, SIGTRAP: 5, SIGABRT: 6, SIGFPE: 8, SIGKILL: 9, SIGSEGV: 11, SIGPIPE: 13, SIGALRM: 14, SIGTERM: 15,
    ...(info.platform === 'linux' ? { SIGBUS: 7, SIGUSR1: 10, SIGUSR2: 12, SIGCHLD: 17, SIGCONT: 18, SIGSTOP: 19 } : { SIGBUS: 10, SIGUSR1: 30, SIGUSR2: 31, SIGCHLD: 20, SIGCONT: 19, SIGSTOP: 17 }),
  },
};
module.exports = os;
})
