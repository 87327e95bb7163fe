"""Takes locks with redis-py on behalf of a program that speaks to it over standard input and output.

Arguments: host, port. It understands the language of `redis/peer.rs`: `cycle`, `contend` and `exit`.
"""

import sys
import threading
import time

import redis

TERM_S = 30


def lock(client, name):
    """As the documentation has it: a term, and all else as it is."""
    return client.lock(name, timeout=TERM_S)


def micros(began, ended):
    return f"{(ended - began) / 1000:.1f}"


def cycle(client, name, times):
    took = []
    for _ in range(int(times)):
        began = time.perf_counter_ns()
        with lock(client, name):
            pass
        took.append(micros(began, time.perf_counter_ns()))
    return took


def contend(client, name, threads, length_ms):
    waits = [[] for _ in range(int(threads))]
    began = time.perf_counter_ns()
    until = began + int(length_ms) * 1_000_000

    def work(mine):
        while time.perf_counter_ns() < until:
            asked = time.perf_counter_ns()
            with lock(client, name):
                mine.append(micros(asked, time.perf_counter_ns()))

    workers = [threading.Thread(target=work, args=(mine,)) for mine in waits]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    took = micros(began, time.perf_counter_ns())
    return [took] + [wait for mine in waits for wait in mine]


def main(host, port):
    client = redis.Redis(host=host, port=int(port))
    client.ping()
    print("ready", flush=True)
    for line in sys.stdin:
        verb, *words = line.split()
        if verb == "exit":
            print("bye", flush=True)
            return
        try:
            done, work = {"cycle": ("cycled", cycle), "contend": ("contended", contend)}[verb]
            print(done, words[0], *work(client, *words), flush=True)
        except Exception as error:  # pylint: disable=broad-except
            print("error", words[0], repr(error), flush=True)


main(*sys.argv[1:])
