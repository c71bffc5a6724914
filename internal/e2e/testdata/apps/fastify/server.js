// Fastify as an ES module with a top-level await. It listens on what localhost
// means, which may be two addresses.
import Fastify from 'fastify'

const { NODE_APP_INSTANCE: instance, NODE_ENV: mode, PORT: port } = process.env
const app = Fastify({ logger: { level: 'warn' } })

app.addHook('onRequest', () => new Promise(resolve => setTimeout(resolve, 5)))
app.get('/', { schema: { response: { 200: { type: 'string' } } } }, async (request, reply) => {
  reply.type('text/plain')
  return `instance ${instance} process ${process.pid} mode ${mode}\n`
})

await app.listen({ port: Number(port), host: 'localhost' })
console.log('fastify listens')
