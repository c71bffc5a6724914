package cli

import (
	"bufio"
	"debug/buildinfo"
	"io"
	"os"
	"path/filepath"
	"strings"

	"paceline/internal/app"
)

// language is what a program is written in, as far as its remedies differ.
type language string

// The languages.
const (
	inNode   language = "node"
	inPython language = "python"
	inGo     language = "go"
	inRuby   language = "ruby"
	inPHP    language = "php"
	inJava   language = "java"
	inOther  language = "program" // any other, or not known
)

// languageOf looks at what runs: the interpreter, the script's #! line, or what
// Go's linker leaves in a binary.
func languageOf(spec *app.Spec) language {
	if spec.Runtime == app.RuntimeNode {
		return inNode
	}
	for _, program := range []string{spec.Interpreter, spec.Exec} {
		if lang := languageNamed(filepath.Base(program)); lang != inOther {
			return lang
		}
	}
	if spec.Interpreter != "" {
		return inOther
	}
	if lang := languageNamed(bang(spec.Exec)); lang != inOther {
		return lang
	}
	if _, err := buildinfo.ReadFile(spec.Exec); err == nil {
		return inGo
	}
	return inOther
}

// languageNamed knows the names of interpreters and of well-known servers.
func languageNamed(name string) language {
	for _, l := range []struct {
		begin string
		lang  language
	}{
		{"node", inNode},
		{"npm", inNode},
		{"npx", inNode},
		{"tsx", inNode},
		{"bun", inNode},
		{"python", inPython},
		{"gunicorn", inPython},
		{"uvicorn", inPython},
		{"hypercorn", inPython},
		{"ruby", inRuby},
		{"puma", inRuby},
		{"rackup", inRuby},
		{"php", inPHP},
		{"java", inJava},
	} {
		if strings.HasPrefix(name, l.begin) {
			return l.lang
		}
	}
	return inOther
}

// maxBang bounds a #! line: Linux reads 256 bytes of it.
const maxBang = 256

// bang returns the base name of the interpreter in a script's first line, "" if
// it has none: "python3" for "#!/usr/bin/env -S python3 -u".
func bang(file string) string {
	f, err := os.Open(file)
	if err != nil {
		return ""
	}
	defer f.Close() //nolint:errcheck // nothing was written
	line, err := bufio.NewReader(io.LimitReader(f, maxBang)).ReadString('\n')
	text, ok := strings.CutPrefix(line, "#!")
	if err != nil || !ok {
		return ""
	}
	words := strings.Fields(text)
	for len(words) > 1 && (filepath.Base(words[0]) == "env" || strings.HasPrefix(words[0], "-")) {
		words = words[1:]
	}
	if len(words) == 0 {
		return ""
	}
	return filepath.Base(words[0])
}

// remediesFor returns what helps against each fault, in the language of the app.
func remediesFor(spec *app.Spec) func(fault) string {
	lang := languageOf(spec)
	name := spec.KillSignal
	if sig, err := app.ParseSignal(name); err == nil {
		name = app.SignalName(sig)
	}
	fill := strings.NewReplacer("{SIG}", name, "{INT}", strings.TrimPrefix(name, "SIG"), "{KILL}", spec.KillTimeout.String())
	return func(of fault) string {
		table := remedies()[of]
		text, ok := table[lang]
		if !ok {
			text = table[inOther]
		}
		return fill.Replace(text)
	}
}

// remedies is the table of what helps. Each fault has one for inOther, which
// stands for the languages that are not named. {SIG} is the stop signal, {INT}
// the same without "SIG", {KILL} the kill_timeout.
func remedies() map[fault]map[language]string {
	return map[fault]map[language]string{
		neverListens: {
			inOther: "If it is no server, there is nothing to reload without a gap: `pace restart` will do. If it takes its socket from LISTEN_FDS, start it with --socket ADDRESS.",
		},
		forksAway: {
			inOther:  "Keep it in the foreground, so that what is started is what serves: nginx -g 'daemon off;', apachectl -D FOREGROUND, redis-server --daemonize no, and no & at the end of a script, which ends in `exec program` instead.",
			inPython: "Keep it in the foreground: gunicorn without --daemon, no python-daemon, and wait for what was started: subprocess.run, not Popen.",
			inRuby:   "Keep it in the foreground: puma without --daemon, rackup without -D, no Process.daemon.",
			inPHP:    "Keep it in the foreground: php-fpm --nodaemonize (-F), and no pcntl_fork whose parent exits.",
			inNode:   "Start the server itself: no spawn with detached: true whose parent exits, no forever or pm2 inside.",
		},
		bindsLate: {
			inOther: "Listening tells that it is ready, so it is right to listen last; but give it the time: --listen-timeout 15s. Or do less before: no migration, no download, no build at the start.",
			inJava:  "Listening tells that it is ready, so it is right to listen last; but give it the time: --listen-timeout 30s. Or start faster: class data sharing (-XX:+AutoCreateSharedArchive), lazy beans.",
			inNode:  "Listening tells that it is ready, so it is right to listen last; but give it the time: --listen-timeout 15s. Or start the built script, not tsx or ts-node, and import less before server.listen.",
		},
		failsAnyway: {
			inOther: "Look at `pace logs` and at the path of the requests; --path names another one. Check again when the program answers without a reload.",
		},
		successorFails: {
			inOther: "A second copy must be able to start beside the first one: no fixed pid or lock file (nginx: a pid file per NODE_APP_INSTANCE), no fixed UDP port, and the same addresses at each start.",
		},
		moves: {
			inOther: "Listen on a fixed address: a port from the configuration, neither 0 nor one drawn at random.",
			inNode:  "Listen on a fixed port: server.listen(process.env.PORT), not listen(0) nor get-port.",
		},
		noHandler: {
			inNode:   "process.on('{SIG}', () => server.close(() => process.exit())): what is in flight is answered first.",
			inPython: "signal.signal(signal.{SIG}, lambda *_: threading.Thread(target=server.shutdown).start()), and daemon_threads = False. gunicorn finishes its requests on SIGTERM alone: start it with --kill-signal SIGTERM.",
			inGo:     "ctx, stop := signal.NotifyContext(ctx, syscall.{SIG}); <-ctx.Done(); srv.Shutdown(timeout): and let main wait until Shutdown has returned, not ListenAndServe.",
			inRuby:   "trap('{INT}') { Thread.new { server.shutdown } }: as a trap may not take a lock, the work is for a thread. Puma does it on SIGTERM and SIGINT.",
			inPHP:    "php-fpm finishes its requests on SIGQUIT: start it with --kill-signal SIGQUIT and a process_control_timeout. A server in PHP itself: pcntl_async_signals(true); pcntl_signal({SIG}, fn() => $server->stop()). php -S cannot.",
			inJava:   "Runtime.getRuntime().addShutdownHook(new Thread(() -> server.stop(1))); Spring Boot: server.shutdown=graceful. And --kill-timeout above what that may take.",
			inOther:  "Install a handler for {SIG} that stops accepting, finishes what is in flight, and exits; or name the signal on which the program does that: --kill-signal SIGTERM.",
		},
		ignoresStop: {
			inNode:   "server.close() waits for connections that clients keep alive: call server.closeIdleConnections() after it, and process.exit() when the last request is answered; or give it longer than {KILL}: --kill-timeout 10s.",
			inGo:     "Give srv.Shutdown a context with a deadline below {KILL}, and srv.Close() after it: websockets and streams do not end by themselves. Or --kill-timeout 10s.",
			inPython: "A thread that is no daemon holds the process up: end the threads too. gunicorn: --graceful-timeout below {KILL}, uvicorn: --timeout-graceful-shutdown. Or --kill-timeout 10s.",
			inJava:   "Executors and other threads that are no daemons hold the JVM up: shut them down in the hook; server.stop(1) bounds the wait. Or --kill-timeout 10s.",
			inOther:  "It has {KILL} from {SIG} on: end when the last request is answered. Or give it longer, --kill-timeout 10s; or name the signal on which it ends: --kill-signal SIGTERM.",
		},
		cutsRequests: {
			inNode:   "On {SIG} call server.close() and let the callback exit; no process.exit() in the handler itself.",
			inGo:     "On {SIG} call srv.Shutdown and let main wait for it: ListenAndServe returns as soon as Shutdown begins, and a main that ends then cuts what is in flight.",
			inPython: "On {SIG} stop accepting and join the threads of the requests: ThreadingHTTPServer with daemon_threads = False and server_close(). gunicorn: --kill-signal SIGTERM, and --graceful-timeout below --kill-timeout.",
			inRuby:   "On {SIG} stop accepting and join the threads of the requests before the exit. Puma: no force_shutdown_after below the time of a request.",
			inPHP:    "php-fpm: --kill-signal SIGQUIT and process_control_timeout = 10. php -S ends in the middle of a request: serve by php-fpm, FrankenPHP or RoadRunner.",
			inJava:   "In the shutdown hook stop the server and wait: server.stop(seconds), with an executor that the hook awaits; Spring Boot: server.shutdown=graceful.",
			inOther:  "On {SIG} stop accepting, but finish what is in flight before the exit. If a request may take longer than {KILL}: --kill-timeout 30s.",
		},
		dropsKept: {
			inNode:   "Start it with -i 1: in cluster mode Paceline has its answers say `Connection: close` while it stops. Or yourself: from {SIG} on res.setHeader('Connection', 'close'), and server.close() a second later.",
			inGo:     "Shutdown and SetKeepAlivesEnabled(false) close idle connections at once. So on {SIG} first set a flag on which the handlers w.Header().Set(\"Connection\", \"close\"), wait a second, and then Shutdown (--kill-timeout above both).",
			inPython: "From {SIG} on send_header('Connection', 'close') and self.close_connection = True, and stop a second later. gunicorn: --keep-alive 0 where a proxy stands before it, or -k gthread, which announces it.",
			inRuby:   "From {SIG} on answer with the header 'Connection' => 'close', and stop a second later.",
			inPHP:    "From {SIG} on answer with header('Connection: close'), and stop a second later; php-fpm leaves this to its web server.",
			inJava:   "From {SIG} on exchange.getResponseHeaders().set(\"Connection\", \"close\") before sendResponseHeaders, and stop the server a second later, in the shutdown hook.",
			inOther:  "From {SIG} on answer with `Connection: close`, for as long as a client may be about to use its connection again (a second), and end only then. Idle connections may be closed once no client sends on them.",
		},
		losesOthers: {
			inOther: "Look at `pace logs` for the time of the reload: the successor listens before it can answer, or the old process leaves connections without an answer. Listen only when all that a request needs is there.",
		},
		epollFirst: {
			inOther: "Call listen before epoll_ctl(EPOLL_CTL_ADD). Or let Paceline open the socket: --socket ADDRESS, if the program knows LISTEN_FDS.",
			inJava:  "Netty's native transport may do that: use NIO, NioEventLoopGroup instead of EpollEventLoopGroup (-Dio.netty.transport.noNative=true).",
		},
		smallBacklog: {
			inNode:   "server.listen({ port, backlog: 511 }): 511 is Node's own default.",
			inPython: "class Server(ThreadingHTTPServer): request_queue_size = 511 (the default is 5); a socket of your own: listen(511).",
			inGo:     "Go takes what the kernel allows: raise net.core.somaxconn.",
			inRuby:   "TCPServer#listen(511); Puma: bind 'tcp://0.0.0.0:3000?backlog=1024'.",
			inPHP:    "php-fpm: listen.backlog = 511; stream_socket_server: a context with socket.backlog 511.",
			inJava:   "new ServerSocket(port, 511), HttpServer.create(address, 511); the default of both is 50.",
			inOther:  "listen(fd, 511): a burst of connections, or the wait for a busy process, fills a small queue, and the kernel drops what comes then.",
		},
	}
}
