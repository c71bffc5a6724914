// Express, as most are written: no word about a process manager or about its end.
const express = require('express')

const app = express()
app.use(express.json())
app.use((req, res, next) => {
  // Some work that waits, so that requests are under way whenever a process leaves.
  setTimeout(next, 5)
})
app.get('/', (req, res) => {
  res.type('text').send(`instance ${process.env.NODE_APP_INSTANCE} process ${process.pid} mode ${process.env.NODE_ENV}\n`)
})
// An answer in pieces.
app.get('/stream', async (req, res) => {
  res.type('text')
  for (const word of [`instance ${process.env.NODE_APP_INSTANCE}`, ` process ${process.pid}`, ` mode ${process.env.NODE_ENV}\n`]) {
    res.write(word)
    await new Promise(resolve => setTimeout(resolve, 5))
  }
  res.end()
})
app.listen(process.env.PORT, '127.0.0.1', () => console.log('express listens'))
