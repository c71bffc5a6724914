// Socket.IO. A session of its polling transport is many requests, each of which has
// to reach the process that began it.
const { createServer } = require('http')
const { Server } = require('socket.io')

const server = createServer()
const io = new Server(server, { pingInterval: 500 })
io.on('connection', socket => {
  socket.on('who', answer => answer({ instance: Number(process.env.NODE_APP_INSTANCE), pid: process.pid }))
})
server.listen(Number(process.env.PORT), '127.0.0.1')
process.on('SIGINT', () => io.close(() => process.exit(0)))
