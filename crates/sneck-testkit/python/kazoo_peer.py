"""Takes locks with kazoo on behalf of a test that speaks to it over standard input and output.

Arguments: hosts, session timeout in seconds, the identifier that others in line can read.

A command is a line of words, and so is an answer, which repeats the path. `lock PATH`, `read PATH`,
`write PATH` and `semaphore PATH PERMITS` are answered `held PATH` once it is; `try-lock PATH` and so on
is the same without waiting, answered `held PATH` or `busy PATH`; `unlock PATH`, whichever of them it was,
`free PATH`. `contenders PATH` and `holders PATH PERMITS` are answered with the identifiers of those in a
lock's line and of those who have a semaphore's permits, `queue PATH` with the names of the nodes.
`count PATH FILE N` is answered `counted PATH N` after N times of locking, adding one to the number in
FILE, and unlocking. `exit` closes the session.

A lock also heeds contenders of other makes if their names are told beforehand: `heed PATH PATTERN...`
is answered `heeding PATH`. A command that fails is answered `error PATH REASON`, and a change of the
connection is told as `state NAME`.
"""

import os
import queue
import sys
import threading

from kazoo.client import KazooClient
from kazoo.retry import KazooRetry

SAYING = threading.Lock()


def say(*words):
    """One whole line at a time, from whichever thread."""
    with SAYING:
        print(*words, flush=True)


class Line:
    """What this process has to do with one path: one thing after the other, on a thread."""

    def __init__(self, client, identifier, path):
        self.client = client
        self.identifier = identifier
        self.path = path
        self.patterns = []
        self.held = None
        self.commands = queue.SimpleQueue()
        threading.Thread(target=self.work, daemon=True).start()

    def work(self):
        while True:
            words = self.commands.get()
            try:
                say(*self.carry_out(*words))
            except Exception as error:  # pylint: disable=broad-except
                say("error", self.path, repr(error))

    def carry_out(self, verb, *words):
        if verb == "heed":
            self.patterns = list(words)
            return "heeding", self.path
        if verb == "unlock":
            held, self.held = self.held, None
            held.release()
            return "free", self.path
        if verb == "count":
            return self.count(*words)
        recipe = verb.removeprefix("try-")
        contender = self.contender(recipe, *words)
        if not contender.acquire(blocking=verb == recipe):
            return "busy", self.path
        self.held = contender
        return "held", self.path

    def contender(self, recipe, *words):
        if recipe == "read":
            return self.client.ReadLock(self.path, self.identifier, self.patterns)
        if recipe == "write":
            return self.client.WriteLock(self.path, self.identifier, self.patterns)
        if recipe == "semaphore":
            return self.client.Semaphore(self.path, self.identifier, int(words[0]))
        if recipe == "lock":
            return self.client.Lock(self.path, self.identifier, self.patterns)
        raise ValueError(f"unknown command {recipe}")

    def count(self, path, times):
        lock = self.contender("lock")
        for _ in range(int(times)):
            with lock:
                with open(path, encoding="ascii") as file:
                    number = int(file.read())
                with open(path, "w", encoding="ascii") as file:
                    file.write(str(number + 1))
        return "counted", self.path, times


def look(client, verb, path, words):
    """What can be seen without waiting for anything."""
    if verb == "contenders":
        return client.Lock(path).contenders()
    if verb == "holders":
        return client.Semaphore(path, max_leases=int(words[0])).lease_holders()
    return sorted(client.get_children(path), key=lambda name: name[-10:])


def main():
    hosts, timeout, identifier = sys.argv[1:]
    retry = KazooRetry(max_tries=-1, delay=0.1, max_delay=0.1)
    client = KazooClient(hosts, timeout=float(timeout), connection_retry=retry, command_retry=retry)
    client.add_listener(lambda state: say("state", state))
    client.start(timeout=60)
    lines = {}
    for command in sys.stdin:
        verb, *words = command.split()
        if verb == "exit":
            client.stop()
            say("bye")
            os._exit(0)
        path, *words = words
        if verb in ("contenders", "holders", "queue"):
            # A thread that waits for the lock must not keep the line from being looked at.
            try:
                say(verb, path, *look(client, verb, path, words))
            except Exception as error:  # pylint: disable=broad-except
                say("error", path, repr(error))
            continue
        if path not in lines:
            lines[path] = Line(client, identifier, path)
        lines[path].commands.put([verb, *words])
    # The test is gone without a word. So is this: its session is left to expire.
    os._exit(1)


main()
