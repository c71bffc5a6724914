// An app that reports figures and offers actions by @pm2/io.
const http = require('http')
const io = require('@pm2/io')

const served = io.counter({ name: 'Requests served', id: 'app/requests/served' })
const mode = io.metric({ name: 'Mode' })
mode.set(process.env.NODE_ENV)
let greeting = 'hello'

io.action('greeting', reply => reply({ greeting, instance: process.env.NODE_APP_INSTANCE }))
io.action('greet with', (words, reply) => {
  greeting = words
  reply({ greeting })
})

http.createServer((req, res) => {
  served.inc()
  setTimeout(() => res.end(`instance ${process.env.NODE_APP_INSTANCE} process ${process.pid} mode ${process.env.NODE_ENV}\n`), 5)
}).listen(Number(process.env.PORT), '127.0.0.1')
