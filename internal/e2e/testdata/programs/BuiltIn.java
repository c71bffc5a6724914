import com.sun.net.httpserver.HttpServer;
import java.net.InetSocketAddress;

/** The JDK's own HTTP server. */
class BuiltIn {
    public static void main(String[] args) throws Exception {
        byte[] text = ("instance " + System.getenv("NODE_APP_INSTANCE") + " process "
            + ProcessHandle.current().pid() + "\n").getBytes();
        int port = Integer.parseInt(System.getenv("PORT"));
        HttpServer server = HttpServer.create(new InetSocketAddress(port), 0);
        server.createContext("/", exchange -> {
            exchange.sendResponseHeaders(200, text.length);
            exchange.getResponseBody().write(text);
            exchange.close();
        });
        server.start();
    }
}
