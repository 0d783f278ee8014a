import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.apache.rocketmq.client.exception.MQClientException;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.trace.TraceBean;
import org.apache.rocketmq.client.trace.TraceContext;
import org.apache.rocketmq.client.trace.TraceDataEncoder;
import org.apache.rocketmq.common.message.MessageExt;

/**
 * Java's own view of message trace: finds the records of a message as RocketMQ's tools do, by its id among the
 * keys of the trace messages, and decodes them with Java's decoder.
 *
 * <pre>java -cp "$ROCKETMQ_CLASSPATH" tests/rocketmq/JavaTrace.java NAME_SERVER MESSAGE_ID COUNT</pre>
 *
 * Waits for COUNT records (up to 60 s), and prints each as a JSON line.
 */
public class JavaTrace {
    private static final String TOPIC = "RMQ_SYS_TRACE_TOPIC";
    private static final long PATIENCE_MS = 60_000;

    public static void main(String[] args) throws Exception {
        if (args.length != 3) {
            System.err.println("usage: JavaTrace NAME_SERVER MESSAGE_ID COUNT");
            System.exit(2);
        }
        quiet(); // before any class of the client is loaded
        DefaultMQProducer admin = new DefaultMQProducer("JavaTrace");
        admin.setNamesrvAddr(args[0]);
        admin.start();
        int expected = Integer.parseInt(args[2]);
        long end = System.currentTimeMillis() + PATIENCE_MS;
        List<String> found = new ArrayList<>();
        while (found.size() < expected && System.currentTimeMillis() < end) {
            found = find(admin, args[1]);
            Thread.sleep(100);
        }
        found.forEach(System.out::println);
        System.out.flush();
        System.exit(found.size() == expected ? 0 : 1);
    }

    private static List<String> find(DefaultMQProducer admin, String id) throws Exception {
        List<String> lines = new ArrayList<>();
        Set<String> seen = new HashSet<>();
        List<MessageExt> messages;
        try {
            messages = admin.queryMessage(TOPIC, id, 64, 0, Long.MAX_VALUE).getMessageList();
        } catch (MQClientException e) { // none yet
            return lines;
        }
        for (MessageExt message : messages) {
            if (!seen.add(message.getMsgId())) {
                continue;
            }
            String body = new String(message.getBody(), StandardCharsets.UTF_8);
            for (TraceContext context : TraceDataEncoder.decoderFromTraceDataString(body)) {
                for (TraceBean bean : context.getTraceBeans()) {
                    if (bean.getMsgId().equals(id)) {
                        lines.add(json(context, bean));
                    }
                }
            }
        }
        return lines;
    }

    private static String json(TraceContext c, TraceBean b) {
        return String.format("{\"type\":\"%s\",\"time\":%d,\"region\":\"%s\",\"group\":\"%s\",\"request\":\"%s\",\"cost\":%d,"
            + "\"success\":%b,\"code\":%d,\"topic\":\"%s\",\"keys\":\"%s\",\"retries\":%d}",
            c.getTraceType(), c.getTimeStamp(), c.getRegionId(), c.getGroupName(), c.getRequestId(), c.getCostTime(),
            c.isSuccess(), c.getContextCode(), b.getTopic(), b.getKeys(), b.getRetryTimes());
    }

    /** Turns logging off, and keeps the client from writing to the home directory. */
    private static void quiet() throws Exception {
        Path off = Files.createTempFile("logback-off", ".xml");
        off.toFile().deleteOnExit();
        Files.writeString(off, "<configuration><root level=\"OFF\"/></configuration>");
        System.setProperty("rmq.logback.configurationFile", off.toString()); // 5.x has a logback of its own
        System.setProperty("logback.configurationFile", off.toString()); // 4.9 ...
        System.setProperty("rocketmq.client.logUseSlf4j", "true"); // ... if told to use it
    }
}
