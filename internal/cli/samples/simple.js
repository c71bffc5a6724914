module.exports = {
  apps: [{
    name: 'app',
    script: './server.js',
  }],
};
