// Apps for `pace start`. Every field: docs/app-file.md.
module.exports = {
  apps: [{
    name: 'api',
    script: './server.js',          // a path, a program, or a whole command line
    // args: '--verbose',
    // cwd: __dirname,              // default: the folder in which pace is called
    // instances: 'max',            // they share the port, whatever the program is
    // wait_ready: true,            // Node: ready at process.send('ready')
    // max_memory_restart: '300M',  // reloaded above that
    // watch: ['src'],
    // env_file: '.env',
    // health: { http: 'http://127.0.0.1:3000/health' },
    env: { PORT: 3000 },
    env_production: { NODE_ENV: 'production' }, // with --env production
  }],
  // jobs: [{ name: 'cleanup', script: './cleanup.js', schedule: '0 3 * * *' }],
};
