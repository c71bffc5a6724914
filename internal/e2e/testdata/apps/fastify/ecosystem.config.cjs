// .cjs, since package.json makes .js an ES module.
module.exports = {
  apps: [
    {
      name: 'app',
      script: './server.js',
      cwd: __dirname,
      instances: '2',
      kill_timeout: '5s',
      listen_timeout: 20_000,
      env: { NODE_ENV: 'development' },
      env_production: { NODE_ENV: 'production' },
    },
  ],
};
