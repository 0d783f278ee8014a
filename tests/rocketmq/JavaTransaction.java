import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.apache.rocketmq.client.producer.LocalTransactionState;
import org.apache.rocketmq.client.producer.TransactionListener;
import org.apache.rocketmq.client.producer.TransactionMQProducer;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;

/**
 * The Java client as the independent transaction producer: sends "commit", "rollback" and "unknown" in
 * transactions that end so, and commits "unknown" when the broker asks. Prints each line as it happens.
 *
 * <pre>java -cp "$ROCKETMQ_CLASSPATH" tests/rocketmq/JavaTransaction.java NAME_SERVER TOPIC</pre>
 */
public class JavaTransaction {
    public static void main(String[] args) throws Exception {
        if (args.length != 2) {
            System.err.println("usage: JavaTransaction NAME_SERVER TOPIC");
            System.exit(2);
        }
        quiet(); // before any class of the client is loaded
        CountDownLatch asked = new CountDownLatch(1);
        TransactionMQProducer producer = new TransactionMQProducer("JavaTransaction");
        producer.setNamesrvAddr(args[0]);
        producer.setInstanceName("javatransaction" + ProcessHandle.current().pid());
        producer.setSendMsgTimeout(15_000);
        producer.setMqClientApiTimeout(15_000); // a busy machine takes longer than the 3 s that both have
        producer.setTransactionListener(new TransactionListener() {
            @Override
            public LocalTransactionState executeLocalTransaction(Message message, Object arg) {
                switch (new String(message.getBody(), StandardCharsets.UTF_8)) {
                    case "commit":
                        return LocalTransactionState.COMMIT_MESSAGE;
                    case "rollback":
                        return LocalTransactionState.ROLLBACK_MESSAGE;
                    default:
                        return LocalTransactionState.UNKNOW;
                }
            }

            @Override
            public LocalTransactionState checkLocalTransaction(MessageExt message) {
                line("asked " + message.getTopic() + " " + new String(message.getBody(), StandardCharsets.UTF_8));
                asked.countDown();
                return LocalTransactionState.COMMIT_MESSAGE;
            }
        });
        producer.start();
        for (String body : new String[] {"commit", "rollback", "unknown"}) {
            Message message = new Message(args[1], body.getBytes(StandardCharsets.UTF_8));
            line(body + " " + producer.sendMessageInTransaction(message, null).getSendStatus());
        }
        boolean ok = asked.await(60, TimeUnit.SECONDS);
        Thread.sleep(2_000); // the answer is sent oneway, on a thread of the client's
        producer.shutdown();
        System.exit(ok ? 0 : 1);
    }

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
    }
}
