package sneck.testkit;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.TimeUnit;
import org.redisson.Redisson;
import org.redisson.api.RLock;
import org.redisson.api.RedissonClient;
import org.redisson.config.Config;

/**
 * Takes locks with Redisson on behalf of a program that speaks to it over standard input and output.
 *
 * <p>Arguments: host, port. It understands the language of {@code redis/peer.rs}: {@code cycle}, {@code contend} and
 * {@code exit}. A lock is taken without a term, so that the library renews it, as it does by default.
 */
public final class RedissonPeer {
    private final RedissonClient client;

    private RedissonPeer(RedissonClient client) {
        this.client = client;
    }

    public static void main(String[] args) throws IOException {
        Config config = new Config();
        config.useSingleServer().setAddress("redis://" + args[0] + ":" + args[1]);
        RedissonClient client = Redisson.create(config);
        say("ready");
        new RedissonPeer(client).listen();
        client.shutdown();
        say("bye");
    }

    private static void say(String line) {
        System.out.println(line);
        System.out.flush();
    }

    private void listen() throws IOException {
        BufferedReader commands =
                new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line; (line = commands.readLine()) != null; ) {
            String[] words = line.split(" ");
            if (words[0].equals("exit")) {
                return;
            }
            try {
                say(carryOut(words));
            } catch (Exception error) {
                say("error " + words[1] + " " + error);
            }
        }
    }

    private String carryOut(String[] words) throws InterruptedException {
        switch (words[0]) {
            case "cycle":
                return answer("cycled " + words[1], cycle(words[1], Integer.parseInt(words[2])));
            case "contend":
                long lengthMs = Long.parseLong(words[3]);
                return answer("contended " + words[1], contend(words[1], Integer.parseInt(words[2]), lengthMs));
            default:
                throw new IllegalArgumentException("unknown command " + words[0]);
        }
    }

    private static String answer(String head, List<Long> nanos) {
        StringBuilder line = new StringBuilder(head);
        for (long each : nanos) {
            line.append(String.format(Locale.ROOT, " %.1f", each / 1000.0));
        }
        return line.toString();
    }

    private List<Long> cycle(String name, int times) {
        List<Long> took = new ArrayList<>(times);
        for (int at = 0; at < times; at++) {
            long began = System.nanoTime();
            RLock lock = client.getLock(name);
            lock.lock();
            lock.unlock();
            took.add(System.nanoTime() - began);
        }
        return took;
    }

    /** What it took in all, and then the waits of all threads. */
    private List<Long> contend(String name, int threads, long lengthMs) throws InterruptedException {
        long began = System.nanoTime();
        long until = began + TimeUnit.MILLISECONDS.toNanos(lengthMs);
        List<List<Long>> waits = new ArrayList<>();
        List<Thread> workers = new ArrayList<>();
        for (int at = 0; at < threads; at++) {
            List<Long> mine = new ArrayList<>();
            waits.add(mine);
            workers.add(new Thread(() -> work(name, until, mine)));
        }
        workers.forEach(Thread::start);
        for (Thread worker : workers) {
            worker.join();
        }
        List<Long> all = new ArrayList<>();
        all.add(System.nanoTime() - began);
        waits.forEach(all::addAll);
        return all;
    }

    private void work(String name, long until, List<Long> waits) {
        RLock lock = client.getLock(name);
        while (System.nanoTime() < until) {
            long asked = System.nanoTime();
            lock.lock();
            waits.add(System.nanoTime() - asked);
            lock.unlock();
        }
    }
}
