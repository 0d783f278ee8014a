import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.apache.rocketmq.client.consumer.DefaultLitePullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyContext;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.ConsumeOrderlyStatus;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.MessageExt;

/**
 * The Java client as the independent consumer: consumes COUNT messages of a topic and shuts down.
 *
 * <pre>java -cp "$ROCKETMQ_CLASSPATH" tests/rocketmq/JavaConsume.java NAME_SERVER KIND GROUP TOPIC COUNT</pre>
 *
 * KIND is push, orderly or pull. A push consumer fails a message whose body begins with "retry" until it
 * comes again, and asks for it after the first delay level. Prints one JSON line for each message that is
 * done. Ends with 1 if not all came within 120 s.
 */
@SuppressWarnings("deprecation") // commitSync is the one name that both 4.9 and 5.x have
public class JavaConsume {
    private static final long PATIENCE_S = 120;

    private static CountDownLatch open;

    public static void main(String[] args) throws Exception {
        if (args.length != 5) {
            System.err.println("usage: JavaConsume NAME_SERVER push|orderly|pull GROUP TOPIC COUNT");
            System.exit(2);
        }
        quiet(); // before any class of the client is loaded
        open = new CountDownLatch(Integer.parseInt(args[4]));
        boolean done = args[1].equals("pull") ? pull(args[0], args[2], args[3]) : push(args[0], args[1], args[2], args[3]);
        if (!done) {
            System.err.println("JavaConsume: " + open.getCount() + " messages did not come");
        }
        System.exit(done ? 0 : 1);
    }

    private static boolean push(String nameServer, String kind, String group, String topic) throws Exception {
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer(group);
        consumer.setNamesrvAddr(nameServer);
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.subscribe(topic, "*");
        if (kind.equals("orderly")) {
            consumer.registerMessageListener((List<MessageExt> messages, org.apache.rocketmq.client.consumer.listener.ConsumeOrderlyContext context) -> {
                messages.forEach(JavaConsume::done);
                return ConsumeOrderlyStatus.SUCCESS;
            });
        } else {
            consumer.registerMessageListener((List<MessageExt> messages, ConsumeConcurrentlyContext context) -> {
                for (MessageExt message : messages) { // one at a time, by default
                    if (body(message).startsWith("retry") && message.getReconsumeTimes() == 0) {
                        context.setDelayLevelWhenNextConsume(1);
                        return ConsumeConcurrentlyStatus.RECONSUME_LATER;
                    }
                    done(message);
                }
                return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
            });
        }
        consumer.start();
        boolean done = open.await(PATIENCE_S, TimeUnit.SECONDS);
        Thread.sleep(2_000); // what was done is committed at shutdown only if its thread has said so
        consumer.shutdown();
        return done;
    }

    private static boolean pull(String nameServer, String group, String topic) throws Exception {
        DefaultLitePullConsumer consumer = new DefaultLitePullConsumer(group);
        consumer.setNamesrvAddr(nameServer);
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.setAutoCommit(false);
        consumer.subscribe(topic, "*");
        consumer.start();
        long end = System.currentTimeMillis() + PATIENCE_S * 1000;
        while (open.getCount() > 0 && System.currentTimeMillis() < end) {
            consumer.poll(1000).forEach(JavaConsume::done);
            consumer.commitSync();
        }
        consumer.shutdown();
        return open.getCount() == 0;
    }

    private static String body(MessageExt message) {
        return new String(message.getBody(), StandardCharsets.UTF_8);
    }

    private static synchronized void done(MessageExt message) {
        System.out.printf("{\"topic\":\"%s\",\"msg_id\":\"%s\",\"body\":\"%s\",\"queue_id\":%d,\"queue_offset\":%d,\"reconsume_times\":%d}%n",
            message.getTopic(), message.getMsgId(), body(message), message.getQueueId(), message.getQueueOffset(),
            message.getReconsumeTimes());
        System.out.flush();
        open.countDown();
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
