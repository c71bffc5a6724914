# The smallest Ruby server that shows what a process manager is for.
#
#   ruby server.rb                 one process
#   pace start server.rb -i 4      four, all on the same port
#
# Nothing in it knows about Paceline, about clusters or about signals. WEBrick left
# Ruby's standard library with 3.0, so this reads and writes HTTP itself: one request
# after the other, a connection for each.
require 'socket'

$stdout.sync = true
port = Integer(ENV.fetch('PORT', '3000'))

# busy keeps the only thread computing: until it returns, this process can do
# nothing else at all.
def busy(ms)
  stop = Process.clock_gettime(Process::CLOCK_MONOTONIC, :millisecond) + ms
  nil while Process.clock_gettime(Process::CLOCK_MONOTONIC, :millisecond) < stop
end

def answer(path)
  case path
  when '/'
    ['200 OK', "process #{Process.pid}\n"]
  when %r{\A/timer(?:\?ms=(\d+))?\z}
    ms = Integer($1 || '9000', 10)
    busy(ms)
    ['200 OK', "process #{Process.pid} was busy for #{ms} ms\n"]
  else
    ['404 Not Found', "not found; try / or /timer?ms=9000\n"]
  end
end

server = TCPServer.new(port)
puts "process #{Process.pid} listens on port #{port}"
begin
  loop do
    client = server.accept
    begin
      _method, path, _version = client.gets.to_s.split
      nil until ['', "\r\n", "\n"].include?(client.gets.to_s) # the headers
      status, body = answer(path)
      client.write("HTTP/1.1 #{status}\r\nContent-Type: text/plain\r\n" \
                   "Content-Length: #{body.bytesize}\r\nConnection: close\r\n\r\n#{body}")
    rescue SystemCallError
      # the client has left
    ensure
      client.close
    end
  end
rescue Interrupt
  # Ctrl-C, or pace's stop signal: no backtrace for that
end
