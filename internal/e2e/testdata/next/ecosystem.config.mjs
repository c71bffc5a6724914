// The standalone build, with the build's server.js as it is.
export default {
  apps: [
    {
      name: 'app',
      script: 'server.js',
      instances: 2,
      exec_mode: 'cluster',
      kill_timeout: 5000,
      listen_timeout: 60000,
      env: { MODE: 'development', HOSTNAME: '127.0.0.1' },
      env_production: { MODE: 'production' },
    },
  ],
}
