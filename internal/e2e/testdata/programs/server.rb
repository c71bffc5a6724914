# One thread that blocks in accept.
require 'socket'
text = "instance #{ENV['NODE_APP_INSTANCE']} process #{Process.pid}\n"
server = TCPServer.new('127.0.0.1', Integer(ENV.fetch('PORT')))
loop do
  client = server.accept
  begin
    nil until ['', "\r\n"].include?(client.gets.to_s)
    client.write("HTTP/1.1 200 OK\r\nContent-Length: #{text.bytesize}\r\nConnection: close\r\n\r\n#{text}")
  rescue SystemCallError
    # the client has left
  ensure
    client.close
  end
end
