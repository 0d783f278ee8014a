import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import java.util.stream.Collectors;
import org.apache.rocketmq.client.consumer.AllocateMessageQueueStrategy;
import org.apache.rocketmq.client.consumer.DefaultLitePullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyContext;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.ConsumeOrderlyContext;
import org.apache.rocketmq.client.consumer.listener.ConsumeOrderlyStatus;
import org.apache.rocketmq.client.consumer.rebalance.AllocateMachineRoomNearby;
import org.apache.rocketmq.client.consumer.rebalance.AllocateMessageQueueAveragely;
import org.apache.rocketmq.client.consumer.rebalance.AllocateMessageQueueAveragelyByCircle;
import org.apache.rocketmq.client.consumer.rebalance.AllocateMessageQueueConsistentHash;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.client.producer.selector.SelectMessageQueueByHash;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;

/**
 * The Java client beside the one under test: does what the lines of its standard input say, one after the
 * other, and ends with it.
 *
 * <pre>java -cp "$ROCKETMQ_CLASSPATH" tests/rocketmq/JavaPeer.java NAME_SERVER</pre>
 *
 * <pre>
 * send TOPIC FROM COUNT           the bodies are the numbers from FROM on
 * keyed TOPIC KEYS EACH           bodies "KEY-N", each to the queue that SelectMessageQueueByHash chooses
 * start NAME KIND HOW GROUP TOPIC a member: push, orderly or broadcast, dividing averagely, circle, hash or
 *                                 nearby; or popped (5.x): it does as brokers say
 * stop NAME
 * queues NAME                     the queues of its topic that it has
 * divide HOW ID,ID.. TOPIC        how Java divides the queues of a topic among clients of these ids
 * </pre>
 *
 * Prints JSON lines: {"event": the command, ..} when a command is done, and {"event":"message", ..} for
 * each message that a member has consumed. A message whose body begins with "retry" is refused once, and one
 * whose body begins with "slow" takes two seconds.
 */
@SuppressWarnings("deprecation") // what both 4.9 and 5.x have
public class JavaPeer {
    private static final Map<String, DefaultMQPushConsumer> members = new HashMap<>();
    private static final Map<String, String> topics = new HashMap<>();
    private static DefaultMQProducer producer;

    public static void main(String[] args) {
        try {
            run(args);
            System.exit(0);
        } catch (Throwable e) { // its threads would live on
            e.printStackTrace();
            System.exit(1);
        }
    }

    private static void run(String[] args) throws Exception {
        quiet(); // before any class of the client is loaded
        producer = new DefaultMQProducer("JavaPeer");
        producer.setNamesrvAddr(args[0]);
        producer.setInstanceName("javapeer" + ProcessHandle.current().pid());
        producer.setSendMsgTimeout(15_000);
        producer.setMqClientApiTimeout(15_000); // a busy machine takes longer than the 3 s that it has
        producer.start();
        BufferedReader input = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = input.readLine(); line != null; line = input.readLine()) {
            String[] words = line.split(" ");
            switch (words[0]) {
                case "send": send(words[1], Integer.parseInt(words[2]), Integer.parseInt(words[3])); break;
                case "keyed": keyed(words[1], Integer.parseInt(words[2]), Integer.parseInt(words[3])); break;
                case "start": start(args[0], words[1], words[2], words[3], words[4], words[5]); break;
                case "stop": stop(words[1]); break;
                case "queues": queues(words[1]); break;
                case "divide": divide(words[1], List.of(words[2].split(",")), words[3]); break;
                default: throw new IllegalArgumentException(line);
            }
        }
        members.values().forEach(DefaultMQPushConsumer::shutdown);
        producer.shutdown();
    }

    private static void send(String topic, int from, int count) throws Exception {
        for (int i = from; i < from + count; i++) {
            producer.send(new Message(topic, "tag", "key-" + i, Integer.toString(i).getBytes(StandardCharsets.UTF_8)));
        }
        line("{\"event\":\"send\"}");
    }

    private static void keyed(String topic, int keys, int each) throws Exception {
        StringBuilder places = new StringBuilder();
        for (int n = 0; n < each; n++) {
            for (int k = 0; k < keys; k++) {
                String key = "key" + k;
                Message message = new Message(topic, (key + "-" + n).getBytes(StandardCharsets.UTF_8));
                SendResult sent = producer.send(message, new SelectMessageQueueByHash(), key);
                if (n == 0) {
                    places.append(k == 0 ? "" : ",").append('"').append(name(sent.getMessageQueue())).append('"');
                }
            }
        }
        line("{\"event\":\"keyed\",\"queues\":[" + places + "]}");
    }

    private static void start(String nameServer, String name, String kind, String how, String group, String topic) throws Exception {
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer(group);
        consumer.setNamesrvAddr(nameServer);
        consumer.setInstanceName(name);
        consumer.setMqClientApiTimeout(15_000);
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.setAllocateMessageQueueStrategy(strategy(how));
        consumer.subscribe(topic, "*");
        if (kind.equals("broadcast")) {
            // 4.9 and 5.x have the enum in different packages.
            for (var model : consumer.getMessageModel().getDeclaringClass().getEnumConstants()) {
                if (model.name().equals("BROADCASTING")) {
                    consumer.setMessageModel(model);
                }
            }
        }
        if (kind.equals("popped")) { // 4.9 does not have these
            DefaultMQPushConsumer.class.getMethod("setClientRebalance", boolean.class).invoke(consumer, false);
            DefaultMQPushConsumer.class.getMethod("setPopInvisibleTime", long.class).invoke(consumer, 10_000L);
        }
        if (kind.equals("orderly")) {
            consumer.registerMessageListener((List<MessageExt> messages, ConsumeOrderlyContext context) -> {
                messages.forEach(message -> consumed(name, message));
                return ConsumeOrderlyStatus.SUCCESS;
            });
        } else {
            consumer.registerMessageListener((List<MessageExt> messages, ConsumeConcurrentlyContext context) -> {
                for (MessageExt message : messages) { // one at a time, by default
                    if (body(message).startsWith("retry") && message.getReconsumeTimes() == 0) {
                        context.setDelayLevelWhenNextConsume(1);
                        return ConsumeConcurrentlyStatus.RECONSUME_LATER;
                    }
                    if (body(message).startsWith("slow")) {
                        pause();
                    }
                    consumed(name, message);
                }
                return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
            });
        }
        consumer.start();
        members.put(name, consumer);
        topics.put(name, topic);
        line("{\"event\":\"start\",\"client_id\":\"" + consumer.buildMQClientId() + "\"}");
    }

    private static void stop(String name) {
        members.remove(name).shutdown();
        line("{\"event\":\"stop\"}");
    }

    private static void queues(String name) {
        Collection<MessageQueue> all = members.get(name).getDefaultMQPushConsumerImpl().getRebalanceImpl().getProcessQueueTable().keySet();
        String topic = topics.get(name);
        line("{\"event\":\"queues\",\"queues\":" + names(all.stream().filter(q -> q.getTopic().equals(topic)).collect(Collectors.toList())) + "}");
    }

    private static void divide(String how, List<String> ids, String topic) throws Exception {
        String subscribed = members.keySet().stream().filter(name -> topics.get(name).equals(topic)).findAny().get();
        List<MessageQueue> queues = List.copyOf(new TreeSet<>(members.get(subscribed).fetchSubscribeMessageQueues(topic)));
        List<String> sorted = ids.stream().sorted().collect(Collectors.toList());
        StringBuilder shares = new StringBuilder();
        for (String id : ids) {
            shares.append(shares.length() == 0 ? "" : ",").append(names(strategy(how).allocate("g", id, queues, sorted)));
        }
        line("{\"event\":\"divide\",\"shares\":[" + shares + "]}");
    }

    private static AllocateMessageQueueStrategy strategy(String how) {
        switch (how) {
            case "averagely": return new AllocateMessageQueueAveragely();
            case "circle": return new AllocateMessageQueueAveragelyByCircle();
            case "hash": return new AllocateMessageQueueConsistentHash();
            case "nearby": return new AllocateMachineRoomNearby(new AllocateMessageQueueAveragely(), new Rooms());
            default: throw new IllegalArgumentException(how);
        }
    }

    /** Even queues are in one room, and odd ones in another; members whose names end with an odd number are in that. */
    private static class Rooms implements AllocateMachineRoomNearby.MachineRoomResolver {
        @Override public String brokerDeployIn(MessageQueue queue) {
            return queue.getQueueId() % 2 == 0 ? "even" : "odd";
        }

        @Override public String consumerDeployIn(String clientId) {
            return clientId.matches(".*@.[13579]-.*") ? "odd" : "even";
        }
    }

    private static void consumed(String member, MessageExt message) {
        line(String.format("{\"event\":\"message\",\"member\":\"%s\",\"body\":\"%s\",\"broker\":\"%s\",\"queue_id\":%d,\"queue_offset\":%d,\"reconsume_times\":%d}",
            member, body(message), message.getBrokerName(), message.getQueueId(), message.getQueueOffset(), message.getReconsumeTimes()));
    }

    private static void pause() {
        try {
            Thread.sleep(2_000);
        } catch (InterruptedException e) { // at the end
            Thread.currentThread().interrupt();
        }
    }

    private static String body(MessageExt message) {
        return new String(message.getBody(), StandardCharsets.UTF_8);
    }

    private static String names(Collection<MessageQueue> queues) {
        return queues.stream().sorted().map(q -> "\"" + name(q) + "\"").collect(Collectors.joining(",", "[", "]"));
    }

    private static String name(MessageQueue queue) {
        return queue.getBrokerName() + ":" + queue.getQueueId();
    }

    /** Listeners run on several threads. */
    private static synchronized void line(String text) {
        System.out.println(text);
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
        System.setProperty("rocketmq.client.localOffsetStoreDir", System.getenv("ROCKETMQ_HOME_DIR") + "/java-offsets");
    }
}
