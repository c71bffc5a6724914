// Koa that closes what it has opened when it is asked to end.
const Koa = require('koa')

const app = new Koa()
app.use(async (ctx, next) => {
  const begun = Date.now()
  await next()
  ctx.set('X-Response-Time', `${Date.now() - begun}ms`)
})
app.use(async ctx => {
  await new Promise(resolve => setTimeout(resolve, 5))
  ctx.body = `instance ${process.env.NODE_APP_INSTANCE} process ${process.pid} mode ${process.env.NODE_ENV}\n`
})
const server = app.listen(Number(process.env.PORT), () => {
  console.log('koa listens')
  process.send('ready')
})
process.on('SIGINT', () => server.close(() => process.exit(0)))
