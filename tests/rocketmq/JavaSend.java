import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendCallback;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.message.Message;

/**
 * The Java client as the independent sender, against any server: N messages each by sync, async and
 * oneway sends, one batch of N, and one body of 5000 bytes that the client compresses (4 N + 1 messages).
 *
 * <pre>java -cp "$ROCKETMQ_CLASSPATH" tests/rocketmq/JavaSend.java NAME_SERVER TOPIC N</pre>
 *
 * Prints one JSON object a line for each result; ends with 1 if a send failed. With
 * -Drocketmq.serialize.type=ROCKETMQ (Java's own switch) all requests have binary headers.
 */
public class JavaSend {
    private static final long TIMEOUT_MS = 10_000;
    private static volatile boolean failed;

    public static void main(String[] args) throws Exception {
        if (args.length != 3) {
            System.err.println("usage: JavaSend NAME_SERVER TOPIC N");
            System.exit(2);
        }
        String topic = args[1];
        int n = Integer.parseInt(args[2]);
        quiet(); // before any class of the client is loaded
        DefaultMQProducer producer = new DefaultMQProducer("JavaSend");
        producer.setNamesrvAddr(args[0]);
        producer.setInstanceName("javasend" + ProcessHandle.current().pid());
        producer.setSendMsgTimeout((int) TIMEOUT_MS);
        producer.setRetryTimesWhenSendFailed(0); // a retry would hide what we look for
        producer.setRetryTimesWhenSendAsyncFailed(0);
        producer.start();

        for (int i = 0; i < n; i++) {
            try {
                report("sync", i, producer.send(message(topic, "sync", i)));
            } catch (Exception e) {
                report("sync", i, e);
            }
        }
        CountDownLatch open = new CountDownLatch(n);
        for (int i = 0; i < n; i++) {
            int index = i;
            try {
                producer.send(message(topic, "async", i), new SendCallback() {
                    @Override
                    public void onSuccess(SendResult result) {
                        report("async", index, result);
                        open.countDown();
                    }

                    @Override
                    public void onException(Throwable e) {
                        report("async", index, e);
                        open.countDown();
                    }
                });
            } catch (Exception e) {
                report("async", i, e);
                open.countDown();
            }
        }
        if (!open.await(2 * TIMEOUT_MS, TimeUnit.MILLISECONDS)) {
            report("async", -1, new Exception(open.getCount() + " callbacks were never called"));
        }
        for (int i = 0; i < n; i++) {
            try {
                producer.sendOneway(message(topic, "oneway", i));
                line("{\"mode\":\"oneway\",\"index\":" + i + ",\"status\":\"SENT\"}");
            } catch (Exception e) {
                report("oneway", i, e);
            }
        }
        try {
            List<Message> batch = new ArrayList<>();
            for (int i = 0; i < n; i++) {
                batch.add(message(topic, "batch", i));
            }
            report("batch", 0, producer.send(batch));
        } catch (Exception e) {
            report("batch", 0, e);
        }
        try {
            Message large = message(topic, "compressed", 0);
            large.setBody("compressed-0 ".repeat(385).substring(0, 5000).getBytes(StandardCharsets.UTF_8));
            report("compressed", 0, producer.send(large));
        } catch (Exception e) {
            report("compressed", 0, e);
        }
        Thread.sleep(300); // the client writes oneway sends on its own threads: do not cut them off
        producer.shutdown();
        System.out.flush();
        System.exit(failed ? 1 : 0);
    }

    private static Message message(String topic, String mode, int index) {
        String body = mode + "-" + index;
        Message message = new Message(topic, "tag-" + mode, "key-" + body, body.getBytes(StandardCharsets.UTF_8));
        message.putUserProperty("sender", "java \u00e4\u20ac " + body);
        return message;
    }

    private static void report(String mode, int index, SendResult r) {
        line("{\"mode\":" + quote(mode) + ",\"index\":" + index + ",\"status\":" + quote(r.getSendStatus().name())
            + ",\"msg_id\":" + quote(r.getMsgId()) + ",\"offset_msg_id\":" + quote(r.getOffsetMsgId())
            + ",\"queue_id\":" + r.getMessageQueue().getQueueId() + ",\"queue_offset\":" + r.getQueueOffset() + "}");
        if (!r.getSendStatus().name().equals("SEND_OK")) {
            failed = true;
        }
    }

    private static void report(String mode, int index, Throwable e) {
        failed = true;
        line("{\"mode\":" + quote(mode) + ",\"index\":" + index + ",\"error\":" + quote(e.toString()) + "}");
    }

    /** Callbacks come on several threads. */
    private static synchronized void line(String text) {
        System.out.println(text);
    }

    /** A JSON string in plain ASCII, whatever the terminal's character set; null for null. */
    private static String quote(String s) {
        if (s == null) {
            return "null";
        }
        StringBuilder out = new StringBuilder("\"");
        for (char c : s.toCharArray()) {
            if (c == '"' || c == '\\') {
                out.append('\\').append(c);
            } else if (c < 0x20 || c > 0x7e) {
                out.append(String.format("\\u%04x", (int) c));
            } else {
                out.append(c);
            }
        }
        return out.append('"').toString();
    }

    /** Turns logging off: standard output is for our lines, and nothing shall be written to the home directory. */
    private static void quiet() throws Exception {
        Path off = Files.createTempFile("logback-off", ".xml");
        off.toFile().deleteOnExit();
        Files.writeString(off, "<configuration><root level=\"OFF\"/></configuration>");
        System.setProperty("rmq.logback.configurationFile", off.toString()); // 5.x has a logback of its own
        System.setProperty("logback.configurationFile", off.toString()); // 4.9 ...
        System.setProperty("rocketmq.client.logUseSlf4j", "true"); // ... if told to use it
    }
}
