import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.BitSet;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicIntegerArray;
import java.util.function.Consumer;
import java.util.function.IntConsumer;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendCallback;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageAccessor;
import org.apache.rocketmq.common.message.MessageConst;

/**
 * The Java client as the sender in the figures of src/docs/faults.md: does what the lines of standard input say, one
 * after the other, and answers in lines, so that tests/faults can measure both clients by the same scenarios.
 *
 * <pre>java -cp "$ROCKETMQ_CLASSPATH" tests/rocketmq/JavaFigures.java</pre>
 *
 * Times are in ms if not said otherwise, MODE is sync or async, OK and FAILED are numbers of sends.
 *
 * <pre>
 * start NAME_SERVER RETRIES ROUTE API TLS ready                    a producer, which the others are about; ROUTE is how often
 *                                                                  it asks for routes, API the timeout of its own requests
 * send MODE COUNT BYTES TIMEOUT           accepted REFUSED         REFUSED times a call threw and was made again
 *                                         over OK FAILED           by itself, when the last send has met its end
 * wave MODES COUNT BYTES TIMEOUT          late NANOS ERROR         for each of COUNT threads, which have the MODES by turns:
 *                                                                  NANOS after its deadline, less than 0 if before
 * again THREADS TIMEOUT                   first, over OK FAILED    each sends until it succeeds, with pauses of 10 ms
 * keys COUNT WINDOW                       unconfirmed N, ...,      asynchronous sends with their numbers as unique keys
 *                                         called LOST DOUBLED
 * flood SECONDS THREADS BYTES             flooded OK FAILED OPEN   asynchronous, with timeouts of 3000 and 100
 * stop                                    stopped NANOS OPEN       OPEN sends have not met their end
 * </pre>
 */
public class JavaFigures {
    private static final String TOPIC = "Figures";
    private static DefaultMQProducer producer;
    private static int producers;
    private static Ends ends = new Ends(0);
    private static String errors = "";

    /** What becomes of so many sends. */
    private static class Ends {
        final AtomicInteger ok = new AtomicInteger();
        final AtomicInteger failed = new AtomicInteger();
        final AtomicInteger open;

        Ends(int count) {
            open = new AtomicInteger(count);
        }

        void note(Throwable error) {
            (error == null ? ok : failed).incrementAndGet();
            close();
        }

        void close() {
            if (open.decrementAndGet() == 0) {
                line("over " + ok + " " + failed);
            }
        }
    }

    public static void main(String[] args) throws Exception {
        quiet(); // before any class of the client is loaded
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String text = in.readLine(); text != null; text = in.readLine()) {
            String[] words = text.split(" ");
            int[] numbers = new int[words.length];
            for (int i = 0; i < words.length; i++) {
                numbers[i] = words[i].matches("\\d+") ? Integer.parseInt(words[i]) : 0;
            }
            switch (words[0]) {
                case "start":
                    start(words[1], numbers[2], numbers[3], numbers[4], words[5].equals("true"));
                    break;
                case "send":
                    send(words[1].equals("sync"), numbers[2], numbers[3], numbers[4]);
                    break;
                case "wave":
                    wave(words[1].split(","), numbers[2], numbers[3], numbers[4]);
                    break;
                case "again":
                    again(numbers[1], numbers[2]);
                    break;
                case "keys":
                    keys(numbers[1], numbers[2]);
                    break;
                case "flood":
                    flood(numbers[1], numbers[2], numbers[3]);
                    break;
                case "stop":
                    long begin = System.nanoTime();
                    producer.shutdown();
                    line("stopped " + (System.nanoTime() - begin) + " " + ends.open.get());
                    break;
                default:
                    throw new IllegalArgumentException(text);
            }
        }
        System.exit(0); // also if threads of the client are left
    }

    private static void start(String nameServer, int retries, int route, int api, boolean tls) throws Exception {
        producer = new DefaultMQProducer("JavaFigures");
        producer.setNamesrvAddr(nameServer);
        // Producers of one name share their threads and connections.
        producer.setInstanceName("javafigures" + producers++);
        producer.setRetryTimesWhenSendFailed(retries);
        producer.setRetryTimesWhenSendAsyncFailed(retries);
        producer.setPollNameServerInterval(route);
        producer.setMqClientApiTimeout(api);
        producer.setUseTLS(tls);
        producer.setMaxMessageSize(16 << 20);
        producer.setCompressMsgBodyOverHowmuch(Integer.MAX_VALUE);
        producer.start();
        line("ready");
    }

    private static void send(boolean sync, int count, int bytes, int timeout) throws Exception {
        Ends all = new Ends(count + 1); // one for the line between
        ends = all;
        int refused = 0;
        for (int i = 0; i < count; i++) {
            while (true) {
                try {
                    begin(sync, new Message(TOPIC, new byte[bytes]), timeout, all::note);
                    break;
                } catch (Exception e) {
                    if (sync) {
                        all.note(e);
                        break;
                    }
                    // Its executor takes no more for now, and all of them shall be in flight.
                    refused++;
                    Thread.sleep(1);
                }
            }
        }
        line("accepted " + refused);
        all.close();
    }

    /** Calls back with null for a success. */
    private static void begin(boolean sync, Message message, int timeout, Consumer<Throwable> end) throws Exception {
        if (sync) {
            producer.send(message, timeout);
            end.accept(null);
            return;
        }
        producer.send(message, new SendCallback() {
            @Override
            public void onSuccess(SendResult result) {
                end.accept(null);
            }

            @Override
            public void onException(Throwable e) {
                end.accept(e);
            }
        }, timeout);
    }

    private static void wave(String[] modes, int count, int bytes, int timeout) {
        threads(count, i -> {
            Message message = new Message(TOPIC, new byte[bytes]);
            boolean sync = modes[i % modes.length].equals("sync");
            long due = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(timeout);
            Consumer<Throwable> note = error -> {
                long late = System.nanoTime() - due;
                line("late " + late + " " + (error == null ? "none" : reason(error)));
            };
            try {
                begin(sync, message, timeout, note);
            } catch (Exception e) {
                note.accept(e);
            }
        });
    }

    private static void again(int threads, int timeout) {
        Ends all = new Ends(threads);
        AtomicInteger first = new AtomicInteger();
        threads(threads, i -> {
            while (true) {
                try {
                    producer.send(new Message(TOPIC, new byte[1]), timeout);
                    break;
                } catch (Exception e) {
                    all.failed.incrementAndGet();
                    pause(10);
                }
            }
            if (first.getAndIncrement() == 0) {
                line("first");
            }
            all.note(null);
        });
    }

    private static void keys(int count, int window) throws Exception {
        AtomicIntegerArray called = new AtomicIntegerArray(count);
        BitSet confirmed = new BitSet(count);
        AtomicInteger done = new AtomicInteger();
        for (int i = 0; i < count; i++) {
            int index = i;
            for (int n = 0; i - done.get() >= window && n < 60_000; n++) {
                pause(1);
            }
            Message message = new Message(TOPIC, new byte[1]);
            String key = String.format("%032X", i);
            MessageAccessor.putProperty(message, MessageConst.PROPERTY_UNIQ_CLIENT_MESSAGE_ID_KEYIDX, key);
            Consumer<Throwable> note = error -> {
                called.incrementAndGet(index);
                synchronized (confirmed) {
                    confirmed.set(index, error == null || confirmed.get(index));
                }
                done.incrementAndGet();
            };
            try {
                begin(false, message, producer.getSendMsgTimeout(), note);
            } catch (Exception e) {
                note.accept(e);
            }
        }
        // Twice the longest that a send with its retries took.
        for (int n = 0; done.get() < count && n < 60_000; n++) {
            pause(1);
        }
        pause(1000); // for those that come twice
        int lost = 0;
        int doubled = 0;
        for (int i = 0; i < count; i++) {
            lost += called.get(i) == 0 ? 1 : 0;
            doubled += called.get(i) > 1 ? 1 : 0;
            synchronized (confirmed) {
                if (!confirmed.get(i)) {
                    line("unconfirmed " + i);
                }
            }
        }
        line("called " + lost + " " + doubled);
    }

    private static void flood(int seconds, int threads, int bytes) throws Exception {
        Ends all = new Ends(1); // not over by itself
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(seconds);
        CountDownLatch open = threads(threads, i -> {
            int timeout = i % 2 == 0 ? 3000 : 100;
            while (System.nanoTime() < end) {
                all.open.incrementAndGet();
                try {
                    begin(false, new Message("Flood", new byte[bytes]), timeout, all::note);
                } catch (Throwable e) { // also that there is no memory
                    all.note(e);
                    seen(e);
                }
            }
        });
        open.await();
        line("flooded " + all.ok + " " + all.failed + " " + (all.open.get() - 1));
    }

    private static CountDownLatch threads(int count, IntConsumer run) {
        CountDownLatch open = new CountDownLatch(count);
        for (int i = 0; i < count; i++) {
            int index = i;
            new Thread(() -> {
                run.accept(index);
                open.countDown();
            }).start();
        }
        return open;
    }

    private static String reason(Throwable error) {
        return error.getCause() == null ? error.getClass().getSimpleName() : reason(error.getCause());
    }

    /** The first of its kind goes to standard error. */
    private static synchronized void seen(Throwable e) {
        if (!errors.contains(e.getClass().getName())) {
            errors += " " + e.getClass().getName();
            System.err.println("JavaFigures: " + e);
        }
    }

    private static void pause(int ms) {
        try {
            Thread.sleep(ms);
        } catch (InterruptedException e) {
            throw new IllegalStateException(e); // nobody does that
        }
    }

    /** Callbacks come on several threads. */
    private static synchronized void line(String text) {
        System.out.println(text);
        System.out.flush();
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
