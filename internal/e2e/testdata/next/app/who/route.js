export const dynamic = 'force-dynamic'
export async function GET() {
  await new Promise(resolve => setTimeout(resolve, 5))
  return new Response(`instance ${process.env.NODE_APP_INSTANCE} process ${process.pid} mode ${process.env.MODE}\n`)
}
