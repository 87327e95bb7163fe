package sneck.testkit;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import org.redisson.Redisson;
import org.redisson.api.RFencedLock;
import org.redisson.api.RedissonClient;
import org.redisson.config.Config;

/**
 * Takes locks with Redisson on behalf of a program that speaks to it over standard input and output.
 *
 * <p>Arguments: host, port, the term of a lock in milliseconds. It understands {@code lock}, {@code try-lock}, {@code
 * release} and {@code exit} of the language of {@code peer.rs}. The lock is the one with a fencing token, which is said
 * behind {@code held NAME}; the library renews its term.
 */
public final class RedissonHolder {
    private final RedissonClient client;
    /** A lock belongs to a thread, so that each has its own. */
    private final Map<String, ExecutorService> lines = new HashMap<>();

    private RedissonHolder(RedissonClient client) {
        this.client = client;
    }

    public static void main(String[] args) throws IOException {
        Config config = new Config();
        config.setLockWatchdogTimeout(Long.parseLong(args[2]));
        config.useSingleServer()
                .setAddress("redis://" + args[0] + ":" + args[1])
                .setConnectionMinimumIdleSize(1)
                .setSubscriptionConnectionMinimumIdleSize(1);
        RedissonClient client = Redisson.create(config);
        say("state CONNECTED");
        new RedissonHolder(client).listen();
        // What is held is left to its term.
        Runtime.getRuntime().halt(0);
    }

    private static synchronized void say(String line) {
        System.out.println(line.strip());
        System.out.flush();
    }

    private void listen() throws IOException {
        BufferedReader commands =
                new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line; (line = commands.readLine()) != null; ) {
            String[] words = line.split(" ");
            if (words[0].equals("exit")) {
                say("bye");
                return;
            }
            lines.computeIfAbsent(words[1], name -> Executors.newSingleThreadExecutor())
                    .execute(() -> answer(words[0], words[1]));
        }
    }

    private void answer(String verb, String name) {
        try {
            say(carryOut(verb, name));
        } catch (Exception error) {
            say("error " + name + " " + error.toString().replace('\n', ' '));
        }
    }

    private String carryOut(String verb, String name) {
        RFencedLock lock = client.getFencedLock(name);
        switch (verb) {
            case "lock":
                return "held " + name + " " + lock.lockAndGetToken();
            case "try-lock":
                Long token = lock.tryLockAndGetToken();
                return token == null ? "busy " + name : "held " + name + " " + token;
            case "release":
                lock.unlock();
                return "free " + name;
            default:
                throw new IllegalArgumentException("unknown command " + verb);
        }
    }
}
