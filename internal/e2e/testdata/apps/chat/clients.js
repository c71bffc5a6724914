// Clients of server.js with the polling transport, each from an address of its own and
// with a connection per request. For each it says, as lines of JSON, what goes on:
// {client, event: "connect" | "disconnect" | "error", reason} and {client, event:
// "answer", instance, pid}.
const { Agent } = require('http')
const { io } = require('socket.io-client')

const [port, count] = process.argv.slice(2).map(Number)
for (let client = 0; client < count; client++) {
  const say = (event, more) => console.log(JSON.stringify({ client, event, ...more }))
  const socket = io(`http://127.0.0.1:${port}`, {
    transports: ['polling'],
    forceNew: true,
    agent: new Agent({ keepAlive: false, localAddress: `127.0.0.${10 + client}` }),
    reconnectionDelay: 100,
    reconnectionDelayMax: 500,
  })
  socket.on('connect_error', error => say('error', { reason: `${error.message} ${error.description ?? ''}` }))
  socket.on('disconnect', reason => say('disconnect', { reason }))
  socket.on('connect', async () => {
    say('connect')
    while (socket.connected) {
      try {
        say('answer', await socket.timeout(30_000).emitWithAck('who'))
      } catch (error) {
        if (socket.connected) say('error', { reason: error.message })
      }
      await new Promise(resolve => setTimeout(resolve, 100))
    }
  })
}
