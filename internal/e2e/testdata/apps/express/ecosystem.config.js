const path = require('path')

module.exports = {
  apps: [{
    name: 'app',
    script: path.join(__dirname, 'server.js'),
    instances: 2,
    exec_mode: 'cluster',
    kill_timeout: 5000,
    listen_timeout: 20000,
    env: { NODE_ENV: 'development', PORT: process.env.PORT },
    env_production: { NODE_ENV: 'production' },
  }],
}
