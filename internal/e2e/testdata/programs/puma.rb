# Puma's configuration, with the application in it.
bind "tcp://127.0.0.1:#{ENV.fetch('PORT')}"
app do |_env|
  [200, { 'content-type' => 'text/plain' }, ["instance #{ENV['NODE_APP_INSTANCE']} process #{Process.pid}\n"]]
end
