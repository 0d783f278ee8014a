import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import java.util.TreeSet;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.PullResult;
import org.apache.rocketmq.client.consumer.PullStatus;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.client.utils.MessageUtil;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;

/**
 * The Java client as the independent replier: answers COUNT requests of a topic with "java: " and the
 * request's body, as often as the body says ("3 x": three times; a body of 10000 bytes is so compressed).
 *
 * <pre>java -cp "$ROCKETMQ_CLASSPATH" tests/rocketmq/JavaReplier.java NAME_SERVER TOPIC COUNT</pre>
 *
 * Ends with 1 if not all were answered within 60 s. It pulls each queue itself, since a push consumer
 * would first wait for a rebalance.
 */
@SuppressWarnings("deprecation") // the pull consumer is the one class that both 4.9 and 5.x have for this
public class JavaReplier {
    private static final long PATIENCE_MS = 60_000;

    public static void main(String[] args) throws Exception {
        if (args.length != 3) {
            System.err.println("usage: JavaReplier NAME_SERVER TOPIC COUNT");
            System.exit(2);
        }
        int open = Integer.parseInt(args[2]);
        quiet(); // before any class of the client is loaded
        String instance = "javareplier" + ProcessHandle.current().pid();
        DefaultMQPullConsumer consumer = new DefaultMQPullConsumer("JavaReplier");
        consumer.setNamesrvAddr(args[0]);
        consumer.setInstanceName(instance);
        consumer.start();
        DefaultMQProducer producer = new DefaultMQProducer("JavaReplier");
        producer.setNamesrvAddr(args[0]);
        producer.setInstanceName(instance);
        producer.start();
        Map<MessageQueue, Long> next = new HashMap<>();
        long end = System.currentTimeMillis() + PATIENCE_MS;
        while (open > 0) {
            if (System.currentTimeMillis() > end) {
                System.err.println("JavaReplier: " + open + " requests did not come");
                System.exit(1);
            }
            try {
                for (MessageQueue queue : new TreeSet<>(consumer.fetchSubscribeMessageQueues(args[1]))) {
                    long from = next.getOrDefault(queue, 0L);
                    if (from >= consumer.maxOffset(queue)) {
                        continue;
                    }
                    PullResult result = consumer.pull(queue, "*", from, 32);
                    if (result.getPullStatus() == PullStatus.FOUND) {
                        for (MessageExt request : result.getMsgFoundList()) {
                            reply(producer, request);
                            open--;
                        }
                        next.put(queue, result.getNextBeginOffset());
                    }
                }
            } catch (Exception e) { // the topic does not exist yet: ask again
                System.err.println("JavaReplier: " + e);
            }
            Thread.sleep(50);
        }
        producer.shutdown();
        System.exit(0);
    }

    private static void reply(DefaultMQProducer producer, MessageExt request) throws Exception {
        String body = "java: " + new String(request.getBody(), StandardCharsets.UTF_8);
        String[] words = body.split(" ");
        int times = words.length > 2 ? Integer.parseInt(words[1]) : 1;
        byte[] answer = body.repeat(times).getBytes(StandardCharsets.UTF_8);
        SendResult result = producer.send(MessageUtil.createReplyMessage(request, answer), 10_000);
        System.out.println(result.getSendStatus());
        System.out.flush();
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
