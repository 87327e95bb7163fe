"""Takes locks with redis-py on behalf of a program that speaks to it over standard input and output.

Arguments: host, port, the term of a lock in seconds. It understands `lock`, `try-lock`, `release` and `exit` of the
language of `peer.rs`.

A lock of redis-py lasts for its term and no longer. So a holder asks for the term anew after each third of it,
which is what `reacquire` is for, and says `lost NAME` when that fails for whatever reason.
"""

import os
import queue
import sys
import threading

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

SAYING = threading.Lock()


def say(*words):
    """One whole line at a time, from whichever thread."""
    with SAYING:
        print(*words, flush=True)


class Line:
    """What this process has to do with one lock: one thing after the other, on a thread."""

    def __init__(self, client, name, term):
        self.client = client
        self.name = name
        self.term = term
        self.held = None
        self.commands = queue.SimpleQueue()
        threading.Thread(target=self.work, daemon=True).start()

    def work(self):
        while True:
            verb = self.commands.get()
            try:
                say(*self.carry_out(verb))
            except Exception as error:  # pylint: disable=broad-except
                say("error", self.name, repr(error))

    def carry_out(self, verb):
        if verb == "release":
            (lock, renewal), self.held = self.held, None
            renewal.end()
            lock.release()
            return "free", self.name
        if verb not in ("lock", "try-lock"):
            raise ValueError(f"unknown command {verb}")
        # The token belongs to the lock and not to a thread, as another renews it.
        lock = self.client.lock(self.name, timeout=self.term, thread_local=False)
        if not lock.acquire(blocking=verb == "lock"):
            return "busy", self.name
        self.held = lock, Renewal(lock, self.name, self.term / 3)
        return "held", self.name


class Renewal:
    """Has a lock last for longer, until it is given back or that fails."""

    def __init__(self, lock, name, every):
        self.lock = lock
        self.name = name
        self.every = every
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.renew, daemon=True)
        self.thread.start()

    def renew(self):
        while not self.ended.wait(self.every):
            try:
                self.lock.reacquire()
            except Exception:  # pylint: disable=broad-except
                if not self.ended.is_set():
                    say("lost", self.name)
                return

    def end(self):
        self.ended.set()
        self.thread.join()


def main(host, port, term):
    term = float(term)
    # What is not answered fails while there is time left to let go.
    client = redis.Redis(
        host=host,
        port=int(port),
        socket_timeout=term / 4,
        socket_connect_timeout=term / 4,
        retry=Retry(NoBackoff(), 0),
    )
    say("state CONNECTED")
    lines = {}
    for command in sys.stdin:
        verb, *words = command.split()
        if verb == "exit":
            say("bye")
            os._exit(0)
        name = words[0]
        if name not in lines:
            lines[name] = Line(client, name, term)
        lines[name].commands.put(verb)
    # Whoever spoke to it is gone without a word. So is this: what it holds is left to its term.
    os._exit(1)


main(*sys.argv[1:])
