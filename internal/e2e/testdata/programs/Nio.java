import java.net.InetSocketAddress;
import java.net.StandardSocketOptions;
import java.nio.ByteBuffer;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;

/** One thread and a selector, as under Netty and its kin. */
class Nio {
    public static void main(String[] args) throws Exception {
        String body = "instance " + System.getenv("NODE_APP_INSTANCE") + " process " + ProcessHandle.current().pid() + "\n";
        byte[] text = ("HTTP/1.1 200 OK\r\nContent-Length: " + body.length() + "\r\nConnection: close\r\n\r\n" + body)
            .getBytes(StandardCharsets.US_ASCII);
        Selector selector = Selector.open();
        ServerSocketChannel server = ServerSocketChannel.open();
        server.setOption(StandardSocketOptions.SO_REUSEADDR, true);
        server.configureBlocking(false);
        server.bind(new InetSocketAddress(Integer.parseInt(System.getenv("PORT"))), 128);
        server.register(selector, SelectionKey.OP_ACCEPT);
        while (true) {
            selector.select();
            for (SelectionKey key : selector.selectedKeys()) {
                if (key.isAcceptable()) {
                    SocketChannel client = server.accept();
                    if (client != null) { // else another process was quicker
                        client.configureBlocking(false);
                        client.register(selector, SelectionKey.OP_READ, new StringBuilder());
                    }
                } else {
                    try {
                        read(key, text);
                    } catch (java.io.IOException e) {
                        key.channel().close(); // the client has left
                    }
                }
            }
            selector.selectedKeys().clear();
        }
    }

    private static void read(SelectionKey key, byte[] text) throws java.io.IOException {
        SocketChannel client = (SocketChannel) key.channel();
        ByteBuffer buffer = ByteBuffer.allocate(4096);
        int n = client.read(buffer);
        StringBuilder request = (StringBuilder) key.attachment();
        if (n > 0) {
            request.append(new String(buffer.array(), 0, n, StandardCharsets.US_ASCII));
        }
        if (n > 0 && request.indexOf("\r\n\r\n") < 0) {
            return; // more of it follows
        }
        if (n > 0) {
            ByteBuffer answer = ByteBuffer.wrap(text);
            while (answer.hasRemaining()) {
                client.write(answer);
            }
        }
        client.close();
    }
}
