"""Takes locks with kazoo on behalf of a test that speaks to it over standard input and output.

Arguments: hosts, session timeout in seconds, the identifier that others in line can read.

It understands the language of `peer.rs`: `lock`, `read`, `write`, `permits`, `lead`, `try-` of the first four,
`release`, `queue`, `count`, `cycle`, `many`, `crowd` and `exit`. `contenders PATH` and `holders PATH PERMITS` are answered with the
identifiers of those in a lock's line and of those who have a semaphore's permits.

A lock also heeds contenders of other makes if their names are told beforehand: `heed PATH PATTERN...`
is answered `heeding PATH`.
"""

import os
import queue
import sys
import threading
import time

from kazoo.client import KazooClient
from kazoo.retry import KazooRetry

SAYING = threading.Lock()


def say(*words):
    """One whole line at a time, from whichever thread."""
    with SAYING:
        print(*words, flush=True)


class Permits:
    """Several permits of a semaphore, which kazoo takes one after the other."""

    def __init__(self, client, path, identifier, take, permits):
        self.semaphores = [client.Semaphore(path, identifier, permits) for _ in range(take)]

    def acquire(self, blocking):
        for at, semaphore in enumerate(self.semaphores):
            if not semaphore.acquire(blocking=blocking):
                for held in self.semaphores[:at]:
                    held.release()
                return False
        return True

    def release(self):
        for semaphore in self.semaphores:
            semaphore.release()


class Leading:
    """An election, whose leader is so for as long as a function runs."""

    def __init__(self, election):
        self.election = election
        self.leads = threading.Event()
        self.resigns = threading.Event()
        self.thread = threading.Thread(target=election.run, args=(self.lead,), daemon=True)

    def lead(self):
        self.leads.set()
        self.resigns.wait()

    def acquire(self, blocking):
        if not blocking:
            raise ValueError("kazoo does not try to lead")
        self.thread.start()
        self.leads.wait()
        return True

    def release(self):
        self.resigns.set()
        self.thread.join()


class Line:
    """What this process has to do with one path: one thing after the other, on a thread."""

    def __init__(self, client, identifier, path):
        self.client = client
        self.identifier = identifier
        self.path = path
        self.patterns = []
        self.held = []
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
        if verb == "release":
            self.held.pop(0).release()
            return "free", self.path
        if verb == "count":
            return self.count(*words)
        if verb == "cycle":
            return self.cycle(*words)
        if verb == "many":
            return self.many(*words)
        if verb == "crowd":
            return self.crowd(*words)
        recipe = verb.removeprefix("try-")
        contender = self.contender(recipe, *words)
        if not contender.acquire(blocking=verb == recipe):
            return "busy", self.path
        self.held.append(contender)
        return "held", self.path

    def contender(self, recipe, *words):
        if recipe == "read":
            return self.client.ReadLock(self.path, self.identifier, self.patterns)
        if recipe == "write":
            return self.client.WriteLock(self.path, self.identifier, self.patterns)
        if recipe == "permits":
            return Permits(self.client, self.path, self.identifier, *map(int, words))
        if recipe == "lock":
            return self.client.Lock(self.path, self.identifier, self.patterns)
        if recipe == "lead":
            return Leading(self.client.Election(self.path, self.identifier))
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


    def cycle(self, times):
        took = []
        lock = self.contender("lock")
        for _ in range(int(times)):
            began = time.monotonic_ns()
            with lock:
                pass
            took.append(time.monotonic_ns() - began)
        return "cycled", self.path, sorted(took)[len(took) // 2]

    def many(self, tasks, times):
        self.together([f"{self.path}/{task}" for task in range(int(tasks))], times)
        return "many", self.path

    def crowd(self, tasks, times):
        self.together([self.path] * int(tasks), times)
        return "crowd", self.path

    def together(self, paths, times):
        """A thread and a lock for each."""

        def work(lock):
            for _ in range(int(times)):
                with lock:
                    pass

        locks = [self.client.Lock(path, self.identifier) for path in paths]
        threads = [threading.Thread(target=work, args=(lock,), daemon=True) for lock in locks]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


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
