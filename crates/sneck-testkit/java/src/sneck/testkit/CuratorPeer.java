package sneck.testkit;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.framework.recipes.locks.InterProcessMutex;
import org.apache.curator.framework.recipes.locks.InterProcessReadWriteLock;
import org.apache.curator.framework.recipes.locks.InterProcessSemaphoreV2;
import org.apache.curator.framework.recipes.locks.Lease;
import org.apache.curator.framework.recipes.locks.Revoker;
import org.apache.curator.retry.RetryForever;

/**
 * Takes locks with Apache Curator on behalf of a test that speaks to it over standard input and output.
 *
 * <p>Arguments: connect string, session timeout in ms. A command is a line of words; so is an answer, which repeats the
 * path. {@code lock PATH} is answered {@code held PATH} once it is; {@code unlock PATH}: {@code free PATH};
 * {@code queue PATH}: {@code queue PATH NODE...}; {@code count PATH FILE N}: {@code counted PATH N} after N times of
 * locking, adding one to the number in FILE, and unlocking. {@code read}, {@code write} and {@code permits PATH TAKE OF}
 * are answered {@code held PATH}, {@code unread}, {@code unwrite} and {@code return}: {@code free PATH}. {@code revocable
 * PATH} locks, and {@code asked PATH} is said when somebody asks for the lock; {@code revoke PATH NODE} asks the holder:
 * {@code revoked PATH}. {@code exit} closes the session. A command that fails is
 * answered {@code error PATH REASON}, and a change of the connection is told as {@code state NAME}.
 */
public final class CuratorPeer {
    private static final int CONNECTION_TIMEOUT_MS = 15_000;
    private static final int RETRY_MS = 100;

    private final CuratorFramework client;
    private final Map<String, InterProcessMutex> mutexes = new HashMap<>();

    private final Map<String, InterProcessReadWriteLock> readWriteLocks = new HashMap<>();
    private final Map<String, Collection<Lease>> leases = new HashMap<>();

    /** Curator's mutex belongs to the thread that took it, so each path has one of its own. */
    private final Map<String, ExecutorService> threads = new HashMap<>();

    private CuratorPeer(CuratorFramework client) {
        this.client = client;
    }

    public static void main(String[] arguments) throws IOException {
        int sessionTimeoutMs = Integer.parseInt(arguments[1]);
        CuratorFramework client = CuratorFrameworkFactory.newClient(
                arguments[0], sessionTimeoutMs, CONNECTION_TIMEOUT_MS, new RetryForever(RETRY_MS));
        client.getConnectionStateListenable().addListener((source, state) -> say("state " + state));
        client.start();
        CuratorPeer peer = new CuratorPeer(client);
        BufferedReader commands = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = commands.readLine(); line != null; line = commands.readLine()) {
            String[] words = line.split(" ");
            if (words[0].equals("exit")) {
                client.close();
                say("bye");
                Runtime.getRuntime().halt(0);
            }
            peer.start(words);
        }
        // The test is gone without a word. So is this: its session is left to expire.
        Runtime.getRuntime().halt(1);
    }

    /** One whole line at a time, from whichever thread. */
    private static synchronized void say(String line) {
        System.out.println(line);
        System.out.flush();
    }

    private void start(String[] words) {
        String path = words[1];
        if (words[0].equals("queue") || words[0].equals("revoke")) {
            // A thread that waits for the lock must not keep the line from being looked at.
            run(words, path);
            return;
        }
        threads.computeIfAbsent(path, ignored -> Executors.newSingleThreadExecutor()).execute(() -> run(words, path));
    }

    private void run(String[] words, String path) {
        try {
            say(carryOut(words, path));
        } catch (Exception e) {
            say("error " + path + " " + e);
        }
    }

    private String carryOut(String[] words, String path) throws Exception {
        InterProcessMutex mutex = mutex(path);
        switch (words[0]) {
            case "lock":
                mutex.acquire();
                return "held " + path;
            case "unlock":
                mutex.release();
                return "free " + path;
            case "queue":
                return queue(mutex, path);
            case "count":
                return count(mutex, path, Paths.get(words[2]), Integer.parseInt(words[3]));
            case "revocable":
                mutex.makeRevocable(asked -> say("asked " + path));
                mutex.acquire();
                return "held " + path;
            case "revoke":
                Revoker.attemptRevoke(client, path + "/" + words[2]);
                return "revoked " + path;
            case "permits":
                take(path, Integer.parseInt(words[2]), Integer.parseInt(words[3]));
                return "held " + path;
            case "return":
                for (Lease lease : leases.remove(path)) {
                    lease.close();
                }
                return "free " + path;
            default:
                return readOrWrite(words[0], readWriteLocks.computeIfAbsent(
                        path, ignored -> new InterProcessReadWriteLock(client, path)), path);
        }
    }

    private static String readOrWrite(String command, InterProcessReadWriteLock lock, String path) throws Exception {
        switch (command) {
            case "read":
                lock.readLock().acquire();
                return "held " + path;
            case "write":
                lock.writeLock().acquire();
                return "held " + path;
            case "unread":
                lock.readLock().release();
                return "free " + path;
            case "unwrite":
                lock.writeLock().release();
                return "free " + path;
            default:
                throw new IllegalArgumentException("unknown command " + command);
        }
    }

    private void take(String path, int take, int of) throws Exception {
        leases.put(path, new InterProcessSemaphoreV2(client, path, of).acquire(take));
    }

    private synchronized InterProcessMutex mutex(String path) {
        return mutexes.computeIfAbsent(path, ignored -> new InterProcessMutex(client, path));
    }

    private static String queue(InterProcessMutex mutex, String path) throws Exception {
        List<String> answer = new ArrayList<>(List.of("queue", path));
        for (String node : mutex.getParticipantNodes()) {
            answer.add(node.substring(node.lastIndexOf('/') + 1));
        }
        return String.join(" ", answer);
    }

    private static String count(InterProcessMutex mutex, String path, Path file, int times) throws Exception {
        for (int i = 0; i < times; i++) {
            mutex.acquire();
            try {
                long number = Long.parseLong(Files.readString(file).trim());
                Files.writeString(file, Long.toString(number + 1));
            } finally {
                mutex.release();
            }
        }
        return "counted " + path + " " + times;
    }
}
