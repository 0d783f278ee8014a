import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Base64;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.TreeSet;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.PullResult;
import org.apache.rocketmq.client.consumer.PullStatus;
import org.apache.rocketmq.common.message.MessageClientExt;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;

/**
 * The Java client as the independent reader: prints every message of a topic, one JSON object a line.
 *
 * <pre>java -cp "$ROCKETMQ_CLASSPATH" tests/rocketmq/ReadBack.java NAME_SERVER TOPIC EXPECTED_COUNT [TIMEOUT_S]</pre>
 *
 * Ends with 0 about a second after EXPECTED_COUNT messages have come (so that messages too many are
 * seen as well), with 1 when they have not come within TIMEOUT_S (60). It pulls each queue itself,
 * since a push consumer would first wait for a rebalance.
 */
@SuppressWarnings("deprecation") // the pull consumer is the one class that both 4.9 and 5.x have for this
public class ReadBack {
    private static final long SETTLE_MS = 1000;

    public static void main(String[] args) throws Exception {
        if (args.length < 3) {
            System.err.println("usage: ReadBack NAME_SERVER TOPIC EXPECTED_COUNT [TIMEOUT_S]");
            System.exit(2);
        }
        String topic = args[1];
        int expected = Integer.parseInt(args[2]);
        long timeout = args.length > 3 ? Long.parseLong(args[3]) : 60;
        quiet(); // before any class of the client is loaded
        DefaultMQPullConsumer consumer = new DefaultMQPullConsumer("ReadBack-" + ProcessHandle.current().pid());
        consumer.setNamesrvAddr(args[0]);
        consumer.setInstanceName("readback" + ProcessHandle.current().pid());
        consumer.start();
        Map<MessageQueue, Long> next = new HashMap<>();
        int count = 0;
        String trouble = "";
        long start = System.nanoTime();
        long settled = -1;
        while (true) {
            try {
                int found = 0;
                for (MessageQueue queue : new TreeSet<>(consumer.fetchSubscribeMessageQueues(topic))) {
                    found += read(consumer, queue, next);
                }
                count += found;
                trouble = "";
            } catch (Exception e) { // the topic does not exist yet, or a broker is starting: ask again
                trouble = ", last trouble: " + e;
            }
            System.out.flush();
            long now = System.nanoTime() / 1_000_000;
            if (count >= expected) {
                if (settled < 0) {
                    settled = now;
                } else if (now - settled >= SETTLE_MS) {
                    System.exit(0);
                }
            } else if (now - start / 1_000_000 > timeout * 1000) {
                System.err.println("ReadBack: " + count + " of " + expected + " messages of " + topic
                    + " after " + timeout + " s" + trouble);
                System.exit(1);
            }
            Thread.sleep(100);
        }
    }

    /** Prints what a queue holds beyond what was read before; returns how many messages that was. */
    private static int read(DefaultMQPullConsumer consumer, MessageQueue queue, Map<MessageQueue, Long> next) throws Exception {
        if (!next.containsKey(queue)) {
            next.put(queue, Math.max(0, consumer.minOffset(queue)));
        }
        int found = 0;
        long max = consumer.maxOffset(queue);
        while (next.get(queue) < max) {
            PullResult result = consumer.pull(queue, "*", next.get(queue), 32);
            if (result.getPullStatus() == PullStatus.FOUND) {
                for (MessageExt message : result.getMsgFoundList()) {
                    System.out.println(json(queue, message));
                    found++;
                }
            } else if (result.getNextBeginOffset() <= next.get(queue)) {
                break; // counted by the broker, but not readable yet
            }
            next.put(queue, result.getNextBeginOffset());
        }
        return found;
    }

    private static String json(MessageQueue queue, MessageExt m) {
        byte[] body = m.getBody() == null ? new byte[0] : m.getBody();
        String offsetId = m instanceof MessageClientExt ? ((MessageClientExt) m).getOffsetMsgId() : m.getMsgId();
        List<String> fields = new ArrayList<>();
        fields.add("\"topic\":" + quote(m.getTopic()));
        fields.add("\"broker\":" + quote(queue.getBrokerName()));
        fields.add("\"queue_id\":" + m.getQueueId());
        fields.add("\"queue_offset\":" + m.getQueueOffset());
        fields.add("\"msg_id\":" + quote(m.getMsgId()));
        fields.add("\"offset_msg_id\":" + quote(offsetId));
        fields.add("\"tags\":" + quote(m.getTags()));
        fields.add("\"keys\":" + quote(m.getKeys()));
        fields.add("\"flag\":" + m.getFlag());
        fields.add("\"sys_flag\":" + m.getSysFlag());
        fields.add("\"born_timestamp\":" + m.getBornTimestamp());
        fields.add("\"store_timestamp\":" + m.getStoreTimestamp());
        fields.add("\"store_size\":" + m.getStoreSize());
        fields.add("\"reconsume_times\":" + m.getReconsumeTimes());
        fields.add("\"body_base64\":\"" + Base64.getEncoder().encodeToString(body) + "\"");
        fields.add("\"body_crc\":" + m.getBodyCRC());
        List<String> properties = new ArrayList<>();
        for (Map.Entry<String, String> e : new TreeMap<>(m.getProperties()).entrySet()) {
            properties.add(quote(e.getKey()) + ":" + quote(e.getValue()));
        }
        fields.add("\"properties\":{" + String.join(",", properties) + "}");
        return "{" + String.join(",", fields) + "}";
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
