import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.message.Message;

/**
 * The Java client as the independent asker: sends one request and prints the reply's body.
 *
 * <pre>java -cp "$ROCKETMQ_CLASSPATH" tests/rocketmq/JavaRequester.java NAME_SERVER TOPIC BODY TIMEOUT_MS</pre>
 */
public class JavaRequester {
    public static void main(String[] args) throws Exception {
        if (args.length != 4) {
            System.err.println("usage: JavaRequester NAME_SERVER TOPIC BODY TIMEOUT_MS");
            System.exit(2);
        }
        quiet(); // before any class of the client is loaded
        DefaultMQProducer producer = new DefaultMQProducer("JavaRequester");
        producer.setNamesrvAddr(args[0]);
        producer.setInstanceName("javarequester" + ProcessHandle.current().pid());
        producer.setMqClientApiTimeout(15_000); // a busy machine takes longer than the 3 s that it has
        producer.start();
        try {
            Message request = new Message(args[1], args[2].getBytes(StandardCharsets.UTF_8));
            Message reply = producer.request(request, Long.parseLong(args[3]));
            System.out.println(new String(reply.getBody(), StandardCharsets.UTF_8));
            System.out.flush();
            producer.shutdown();
            System.exit(0);
        } catch (Exception e) {
            System.err.println("JavaRequester: " + e);
            System.exit(1);
        }
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
