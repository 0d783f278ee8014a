import java.io.BufferedReader;
import java.io.ByteArrayOutputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.stream.Stream;
import org.apache.rocketmq.tools.admin.DefaultMQAdminExt;
import org.apache.rocketmq.tools.command.MQAdminStartup;

/**
 * The tool mqadmin, which runs the commands in the lines of its standard input, one after the other, and ends
 * with it.
 *
 * <pre>java -cp "$ROCKETMQ_CLASSPATH" tests/rocketmq/Mqadmin.java NAME_SERVER</pre>
 *
 * Prints one JSON line for each: {"event": the command, "output": what it printed}. One more command, for what
 * mqadmin has no command any more: "consumeStatus GROUP TOPIC", a line "CLIENT-ID BROKER QUEUE OFFSET" for each
 * queue that a member has.
 */
public class Mqadmin {
    public static void main(String[] args) throws Exception {
        quiet(); // before any class of the tool is loaded
        PrintStream out = System.out;
        BufferedReader input = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = input.readLine(); line != null; line = input.readLine()) {
            ByteArrayOutputStream printed = new ByteArrayOutputStream();
            PrintStream all = new PrintStream(printed, true, StandardCharsets.UTF_8);
            System.setOut(all);
            System.setErr(all);
            String[] words = Stream.concat(Arrays.stream(line.trim().split(" ")), Stream.of("-n", args[0])).toArray(String[]::new);
            if (words[0].equals("consumeStatus")) {
                consumeStatus(args[0], words[1], words[2]);
            } else {
                MQAdminStartup.main0(words, null);
            }
            all.flush();
            out.println("{\"event\":\"" + words[0] + "\",\"output\":\"" + escaped(printed.toString(StandardCharsets.UTF_8)) + "\"}");
            out.flush();
        }
        System.exit(0); // its threads would live on
    }

    private static void consumeStatus(String nameServer, String group, String topic) throws Exception {
        DefaultMQAdminExt admin = new DefaultMQAdminExt();
        admin.setNamesrvAddr(nameServer);
        admin.setInstanceName("consumeStatus");
        admin.start();
        admin.getConsumeStatus(topic, group, "").forEach((client, offsets) -> offsets.forEach((queue, offset) ->
            System.out.println(client + " " + queue.getBrokerName() + " " + queue.getQueueId() + " " + offset)));
        admin.shutdown();
    }

    private static String escaped(String text) {
        StringBuilder out = new StringBuilder();
        for (char c : text.toCharArray()) {
            if (c == '"' || c == '\\') {
                out.append('\\').append(c);
            } else if (c < ' ') {
                out.append(String.format("\\u%04x", (int) c));
            } else {
                out.append(c);
            }
        }
        return out.toString();
    }

    /** Turns logging off, and keeps the tool from writing to the home directory. */
    private static void quiet() throws Exception {
        Path home = Files.createTempDirectory("mqadmin");
        home.toFile().deleteOnExit();
        Path off = Files.createDirectory(home.resolve("conf")).resolve("logback_tools.xml");
        Files.writeString(off, "<configuration><root level=\"OFF\"/></configuration>");
        System.setProperty("rocketmq.home.dir", home.toString()); // 4.9 reads its file there
        System.setProperty("rmq.logback.configurationFile", off.toString()); // 5.x has a logback of its own
        System.setProperty("logback.configurationFile", off.toString());
        System.setProperty("rocketmq.client.logUseSlf4j", "true");
    }
}
