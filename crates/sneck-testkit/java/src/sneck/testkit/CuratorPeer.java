package sneck.testkit;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Queue;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.function.Supplier;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.framework.recipes.leader.LeaderLatch;
import org.apache.curator.framework.recipes.leader.LeaderSelector;
import org.apache.curator.framework.recipes.leader.LeaderSelectorListenerAdapter;
import org.apache.curator.framework.recipes.locks.InterProcessMutex;
import org.apache.curator.framework.recipes.locks.InterProcessReadWriteLock;
import org.apache.curator.framework.recipes.locks.InterProcessSemaphoreV2;
import org.apache.curator.framework.recipes.locks.Lease;
import org.apache.curator.framework.recipes.locks.Revoker;
import org.apache.curator.retry.RetryForever;

/**
 * Takes locks with Apache Curator on behalf of a test that speaks to it over standard input and output.
 *
 * <p>Arguments: connect string, session timeout in ms. It understands the language of {@code peer.rs}: {@code lock},
 * {@code read}, {@code write}, {@code permits}, {@code lead}, {@code select}, {@code try-} of the first four,
 * {@code release}, {@code queue}, {@code count}, {@code cycle}, {@code many}, {@code crowd} and {@code exit}. {@code contend PATH SESSIONS N}
 * is answered {@code contend PATH} when so many sessions have each locked N times. {@code revocable PATH} locks, and {@code asked PATH} is
 * said when somebody asks for the lock; {@code revoke PATH NODE} asks the holder: {@code revoked PATH}. {@code leader PATH}
 * is answered {@code leader PATH ID} with the id of whoever leads, in the eyes of a latch that does not take part.
 */
public final class CuratorPeer {
    private static final int CONNECTION_TIMEOUT_MS = 15_000;
    private static final int RETRY_MS = 100;

    /** How long to wait for what can be had at once: Curator asks the server before it looks at the time. */
    private static final long AT_ONCE_MS = 0;

    /** What the nodes of candidates say. */
    private static final String CANDIDATE = "curator";

    /** Something that can be had and given back, by the thread of its path. */
    private interface Contender {
        void acquire() throws Exception;

        /** Whether it was free, and is held now. */
        boolean attempt() throws Exception;

        void release() throws Exception;
    }

    /** What goes on while a thread of the path waits for the lock. */
    private static final Set<String> LOOKS = Set.of("queue", "revoke", "leader");

    private final CuratorFramework client;
    private final Map<String, InterProcessMutex> mutexes = new HashMap<>();

    /** A thread that writes may read beside it, if it asks the same object. */
    private final Map<String, InterProcessReadWriteLock> readWriteLocks = new ConcurrentHashMap<>();

    /** What is held on each path, in the order in which it was taken. */
    private final Map<String, Queue<Contender>> held = new ConcurrentHashMap<>();

    /** Curator's mutex belongs to the thread that took it, so each path has one of its own. */
    private final Map<String, ExecutorService> threads = new HashMap<>();

    /** Threads of those who are many at once. */
    private final ExecutorService pool = Executors.newCachedThreadPool();

    private final Supplier<CuratorFramework> factory;

    /** Sessions that contend with each other, opened when they are first wanted. */
    private final List<CuratorFramework> contenders = new ArrayList<>();

    private CuratorPeer(CuratorFramework client, Supplier<CuratorFramework> factory) {
        this.client = client;
        this.factory = factory;
    }

    public static void main(String[] arguments) throws IOException {
        int sessionTimeoutMs = Integer.parseInt(arguments[1]);
        Supplier<CuratorFramework> factory = () -> CuratorFrameworkFactory.newClient(
                arguments[0], sessionTimeoutMs, CONNECTION_TIMEOUT_MS, new RetryForever(RETRY_MS));
        CuratorFramework client = factory.get();
        client.getConnectionStateListenable().addListener((source, state) -> say("state " + state));
        client.start();
        CuratorPeer peer = new CuratorPeer(client, factory);
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
        if (LOOKS.contains(words[0])) {
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
        switch (words[0]) {
            case "release":
                held.get(path).remove().release();
                return "free " + path;
            case "queue":
                return queue(mutex(path), path);
            case "count":
                return count(mutex(path), path, Paths.get(words[2]), Integer.parseInt(words[3]));
            case "cycle":
                return cycle(mutex(path), path, Integer.parseInt(words[2]));
            case "many":
                return many(path, Integer.parseInt(words[2]), Integer.parseInt(words[3]));
            case "crowd":
                return crowd(path, Integer.parseInt(words[2]), Integer.parseInt(words[3]));
            case "contend":
                return contend(path, Integer.parseInt(words[2]), Integer.parseInt(words[3]));
            case "revocable":
                mutex(path).makeRevocable(asked -> say("asked " + path));
                return take(new String[] {"lock", path}, path);
            case "revoke":
                Revoker.attemptRevoke(client, path + "/" + words[2]);
                return "revoked " + path;
            case "leader":
                return "leader " + path + " " + new LeaderLatch(client, path).getLeader().getId();
            default:
                return take(words, path);
        }
    }

    private String take(String[] words, String path) throws Exception {
        boolean tries = words[0].startsWith("try-");
        Contender contender = contender(words, path);
        if (tries && !contender.attempt()) {
            return "busy " + path;
        }
        if (!tries) {
            contender.acquire();
        }
        held.computeIfAbsent(path, ignored -> new ArrayDeque<>()).add(contender);
        return "held " + path;
    }

    private Contender contender(String[] words, String path) {
        switch (words[0].replaceFirst("^try-", "")) {
            case "lock":
                return new Locked(mutex(path));
            case "read":
                return new Locked(readWriteLock(path).readLock());
            case "write":
                return new Locked(readWriteLock(path).writeLock());
            case "permits":
                return new Permits(client, path, Integer.parseInt(words[2]), Integer.parseInt(words[3]));
            case "lead":
                return new Latched(client, path);
            case "select":
                return new Selected(client, path);
            default:
                throw new IllegalArgumentException("unknown command " + words[0]);
        }
    }

    private static final class Locked implements Contender {
        private final InterProcessMutex mutex;

        Locked(InterProcessMutex mutex) {
            this.mutex = mutex;
        }

        @Override
        public void acquire() throws Exception {
            mutex.acquire();
        }

        @Override
        public boolean attempt() throws Exception {
            return mutex.acquire(AT_ONCE_MS, TimeUnit.MILLISECONDS);
        }

        @Override
        public void release() throws Exception {
            mutex.release();
        }
    }

    private static final class Permits implements Contender {
        private final InterProcessSemaphoreV2 semaphore;
        private final int take;
        private Collection<Lease> leases;

        Permits(CuratorFramework client, String path, int take, int of) {
            semaphore = new InterProcessSemaphoreV2(client, path, of);
            this.take = take;
        }

        @Override
        public void acquire() throws Exception {
            leases = semaphore.acquire(take);
        }

        @Override
        public boolean attempt() throws Exception {
            leases = semaphore.acquire(take, AT_ONCE_MS, TimeUnit.MILLISECONDS);
            return leases != null;
        }

        @Override
        public void release() {
            semaphore.returnAll(leases);
        }
    }

    private static final class Latched implements Contender {
        private final LeaderLatch latch;

        Latched(CuratorFramework client, String path) {
            latch = new LeaderLatch(client, path, CANDIDATE);
        }

        @Override
        public void acquire() throws Exception {
            latch.start();
            latch.await();
        }

        @Override
        public boolean attempt() {
            throw new IllegalArgumentException("a latch is not tried");
        }

        @Override
        public void release() throws IOException {
            latch.close();
        }
    }

    private static final class Selected implements Contender {
        private final ExecutorService thread = Executors.newSingleThreadExecutor();
        private final CountDownLatch leads = new CountDownLatch(1);
        private final CountDownLatch resigns = new CountDownLatch(1);
        private final LeaderSelector selector;

        Selected(CuratorFramework client, String path) {
            selector = new LeaderSelector(client, path, thread, new LeaderSelectorListenerAdapter() {
                @Override
                public void takeLeadership(CuratorFramework ignored) throws InterruptedException {
                    leads.countDown();
                    resigns.await();
                }
            });
            selector.setId(CANDIDATE);
        }

        @Override
        public void acquire() throws InterruptedException {
            selector.start();
            leads.await();
        }

        @Override
        public boolean attempt() {
            throw new IllegalArgumentException("a selector does not try");
        }

        /** The node is gone when the thread has done what it does after leading. */
        @Override
        public void release() throws InterruptedException {
            resigns.countDown();
            thread.shutdown();
            thread.awaitTermination(Long.MAX_VALUE, TimeUnit.NANOSECONDS);
        }
    }

    private synchronized InterProcessMutex mutex(String path) {
        return mutexes.computeIfAbsent(path, ignored -> new InterProcessMutex(client, path));
    }

    private InterProcessReadWriteLock readWriteLock(String path) {
        return readWriteLocks.computeIfAbsent(path, ignored -> new InterProcessReadWriteLock(client, path));
    }

    private static String queue(InterProcessMutex mutex, String path) throws Exception {
        List<String> answer = new ArrayList<>(List.of("queue", path));
        for (String node : mutex.getParticipantNodes()) {
            answer.add(node.substring(node.lastIndexOf('/') + 1));
        }
        return String.join(" ", answer);
    }

    private static String cycle(InterProcessMutex mutex, String path, int times) throws Exception {
        long[] took = new long[times];
        for (int i = 0; i < times; i++) {
            long began = System.nanoTime();
            mutex.acquire();
            mutex.release();
            took[i] = System.nanoTime() - began;
        }
        Arrays.sort(took);
        return "cycled " + path + " " + took[times / 2];
    }

    private String many(String path, int tasks, int times) throws Exception {
        List<InterProcessMutex> all = new ArrayList<>();
        for (int task = 0; task < tasks; task++) {
            all.add(mutex(path + "/" + task));
        }
        together(all, times);
        return "many " + path;
    }

    private String crowd(String path, int tasks, int times) throws Exception {
        // An object each: those who share one are all woken by each release, and each lists the line.
        List<InterProcessMutex> all = new ArrayList<>();
        for (int task = 0; task < tasks; task++) {
            all.add(new InterProcessMutex(client, path));
        }
        together(all, times);
        return "crowd " + path;
    }

    private String contend(String path, int sessions, int times) throws Exception {
        while (contenders.size() < sessions) {
            CuratorFramework contender = factory.get();
            contender.start();
            contender.blockUntilConnected();
            contenders.add(contender);
        }
        List<InterProcessMutex> all = new ArrayList<>();
        for (CuratorFramework contender : contenders.subList(0, sessions)) {
            all.add(new InterProcessMutex(contender, path));
        }
        together(all, times);
        return "contend " + path;
    }

    /** Each on a thread of its own. */
    private void together(List<InterProcessMutex> all, int times) throws Exception {
        List<Future<Void>> begun = new ArrayList<>();
        for (InterProcessMutex mutex : all) {
            begun.add(pool.submit(() -> {
                for (int i = 0; i < times; i++) {
                    mutex.acquire();
                    mutex.release();
                }
                return null;
            }));
        }
        for (Future<Void> one : begun) {
            one.get();
        }
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
