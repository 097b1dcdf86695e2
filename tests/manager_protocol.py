"""manager_protocol.py PROGRAM PAGE SEAL: a manager's server (PROGRAM: tests/interop/manager.c) called by Python.

Nothing here knows brood but by PAGE, docs/protocol.md: the client is the one that stands there, and each operation of
its table is tried. Then come bytes that no client of brood's would send. SEAL is there if keys can be used.
"""
import errno
import os
import random
import re
import select
import socket
import struct
import subprocess
import sys
import threading
import time
import traceback

import cbor2

PROGRAM, PAGE, SEAL = sys.argv[1:4]
KEY = b"open sesame"
CASE_S = 60
page = open(PAGE, encoding="utf-8").read()
exec(re.search(r"^```py\n(.*?)^```$", page, re.M | re.S).group(1))  # Manager
named = {name for row in re.findall(r"^\| (`.*?) \|", page, re.M) for name in re.findall(r"`([a-z_.]+)`", row)}
passed = failed = 0


class Server:
    def __init__(self, key=None):
        self.address = "\0brood-protocol-%d-%s" % (os.getpid(), "open" if key is None else "closed")
        self.process = subprocess.Popen([PROGRAM, "unix:@" + self.address[1:], key.decode() if key else "-"],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "unix:@" + self.address[1:] + "\n"

    def amounts(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().split()

    def until(self, *amounts):
        end = time.monotonic() + 10
        while self.amounts() != list(amounts):
            assert time.monotonic() < end, self.amounts()

    def end(self):
        self.process.stdin.close()
        assert self.process.wait(CASE_S) == 0


class Raw:
    """A line without a client: frames, or bytes that are none."""

    def __init__(self, server, greet=True):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(CASE_S)
        self.socket.connect(server.address)
        if greet:
            assert self.ask([0, "hello", 1])[1] == 0

    def send(self, content):
        self.socket.sendall(struct.pack("!i", len(content)) + content)

    def exactly(self, size):
        got = b""
        while len(got) < size:
            more = self.socket.recv(size - len(got))
            if not more:
                raise EOFError
            got += more
        return got

    def receive(self):
        return cbor2.loads(self.exactly(struct.unpack("!i", self.exactly(4))[0]))

    def ask(self, request):
        self.send(request if isinstance(request, bytes) else cbor2.dumps(request))
        return self.receive()

    def is_closed(self):
        try:
            return self.socket.recv(1) == b""
        except ConnectionError:
            return True


def fails(code, call, *arguments):
    try:
        call(*arguments)
    except OSError as error:
        assert error.errno == code and error.args[1], error
    else:
        raise AssertionError("it was done")


class Fails:
    def __init__(self, code):
        self.code = code


# Each: an operation, its arguments but for the object, and its result and value, or how it fails.
DICT = [
    ("set", "a", 1, 0, None), ("get", "a", 0, 1), ("get", "b", Fails(errno.ENOENT)), ("contains", "a", 1, None),
    ("contains", "b", 0, None), ("setdefault", "b", 2, 1, 2), ("setdefault", "b", 3, 0, 2), ("add", "b", 40, 0, 42),
    ("add", "z", 1, Fails(errno.ENOENT)), ("compare", "b", 42, 43, 0, None),
    ("compare", "b", 42, 44, Fails(errno.EAGAIN)), ("swap", "b", 5, 0, 43), ("swap", "c", 6, 1, None),
    ("update", {"d": [1, 2], "e": b"\0"}, 0, None), ("update", 5, Fails(errno.EINVAL)), ("length", 0, 5),
    ("keys", 0, ["a", "b", "c", "d", "e"]), ("values", 0, [1, 5, 6, [1, 2], b"\0"]),
    ("items", 0, {"a": 1, "b": 5, "c": 6, "d": [1, 2], "e": b"\0"}), ("delete", "e", 0, None),
    ("delete", "e", Fails(errno.ENOENT)), ("pop", "d", 0, [1, 2]), ("set", [1], 1, Fails(errno.EINVAL)),
    ("set", 2**64 - 1, -2**63, 0, None), ("get", 2**64 - 1, 0, -2**63), ("set", 1.0, 0.5, 0, None),
    ("get", 1, Fails(errno.ENOENT)), ("get", 1.0, 0, 0.5), ("set", True, None, 0, None), ("get", True, 0, None),
    ("set", "", "\u20ac", 0, None), ("get", "", 0, "\u20ac"), ("clear", 0, None), ("length", 0, 0),
    ("run", "repeat", 1.5, 0, 1.5), ("run", "repeat", Fails(errno.EINVAL)),
]
LIST = [
    ("append", 3, 0, None), ("extend", [1, 2], 0, None), ("extend", 1, Fails(errno.EINVAL)),
    ("insert", 0, 9, 0, None), ("append_if", 4, 7, 0, None), ("append_if", 4, 7, Fails(errno.EAGAIN)),
    ("items", 0, [9, 3, 1, 2, 7]), ("get", -1, 0, 7), ("get", 5, Fails(errno.ERANGE)),
    ("get", "x", Fails(errno.EINVAL)), ("set", 0, 8, 0, None), ("swap", 0, 9, 0, 8), ("compare", 0, 9, 5, 0, None),
    ("compare", 0, 9, 6, Fails(errno.EAGAIN)), ("add", 0, 1, 0, 6), ("index", 1, 0, 2),
    ("index", 55, Fails(errno.ENOENT)), ("count", 1, 0, 1), ("length", 0, 5), ("slice", 1, 3, 0, [3, 1]),
    ("set_slice", 1, 3, [4, 4, 4], 0, None), ("reverse", 0, None), ("items", 0, [7, 2, 4, 4, 4, 6]),
    ("sort", False, 0, None), ("sort", True, 0, None), ("items", 0, [7, 6, 4, 4, 4, 2]), ("pop", 0, 0, 7),
    ("delete", -1, 0, None), ("remove", 6, 0, None), ("remove", 6, Fails(errno.ENOENT)), ("items", 0, [4, 4, 4]),
    ("append", "x", 0, None), ("sort", False, Fails(errno.EINVAL)), ("run", "lengthen", 3, 0, 5), ("clear", 0, None),
    ("length", 0, 0),
]
NAMESPACE = [
    ("set", "x", [1], 0, None), ("get", "x", 0, [1]), ("get", "y", Fails(errno.ENOENT)), ("set", "n", 1, 0, None),
    ("add", "n", 0.5, 0, 1.5), ("items", 0, {"x": [1], "n": 1.5}), ("delete", "x", 0, None),
    ("delete", "x", Fails(errno.ENOENT)), ("run", "repeat", "x", 0, "x"), ("run", "none", 1, Fails(errno.ENOENT)),
]

SET = [
    ("add", "a", 0, None), ("add", "a", 1, None), ("add", [], Fails(errno.EINVAL)), ("contains", "a", 1, None),
    ("contains", "b", 0, None), ("update", [1, 2], 0, None), ("length", 0, 3), ("items", 0, ["a", 1, 2]),
    ("keep", [1, "a"], 0, None), ("subtract", ["a"], 0, None), ("items", 0, [1]), ("remove", 2, Fails(errno.ENOENT)),
    ("remove", 1, 0, None), ("pop", Fails(errno.ENOENT)), ("add", 5, 0, None), ("pop", 0, 5), ("clear", 0, None),
    ("run", "repeat", [1, {2: 3}], 0, [1, {2: 3}]),
]
VALUE = [
    ("get", 0, 5), ("add", 2, 0, 7), ("set", [1], 0, None), ("add", 1, Fails(errno.EINVAL)), ("swap", "x", 0, [1]),
    ("compare", "y", 1, Fails(errno.EAGAIN)), ("compare", "x", 1, 0, None), ("get", 0, 1),
    ("run", "lengthen", 1, Fails(errno.EINVAL)),
]
ARRAY = [
    ("length", 0, 3), ("get", 3, Fails(errno.ERANGE)), ("set", 0, "x", 0, None), ("swap", 0, 1, 0, "x"),
    ("compare", 0, 1, 2, 0, None), ("add", 0, 5, 0, 7), ("slice", 0, 2, 0, [7, 0]),
    ("set_slice", 0, 2, [1, 2], 0, None), ("set_slice", 0, 2, [1], Fails(errno.EINVAL)), ("items", 0, [1, 2, 0]),
    ("run", "repeat", None, 0, None),
]
OBJECT = [
    ("call", "add", 5, 0, 15), ("call", "add", "x", Fails(errno.ERANGE)), ("call", "take", 1, Fails(errno.ENOENT)),
    ("call", "fail", 1, Fails(errno.EIO)), ("call", 1, 1, Fails(errno.EINVAL)),
]
LOCK = [
    ("acquire", False, 0, None), ("acquire", True, Fails(errno.EDEADLK)), ("release", 0, None),
    ("release", Fails(errno.EPERM)), ("holder", 0, 0), ("acquire", True, 0, None), ("release", 0, None),
]
RLOCK = [("acquire", True, 0, None), ("acquire", True, 0, None), ("release", 0, None), ("release", 0, None)]
CONDITION = [
    ("wait", True, Fails(errno.EPERM)), ("acquire", True, 0, None), ("notify", 1, 0, None),
    ("wait", False, Fails(errno.ETIMEDOUT)), ("release", 0, None),
]
EVENT = [("wait", False, Fails(errno.ETIMEDOUT)), ("set", 0, None), ("wait", True, 0, None), ("clear", 0, None)]
SEMAPHORE = [
    ("units", 0, 1), ("acquire", True, 0, None), ("acquire", False, Fails(errno.ETIMEDOUT)), ("release", 0, None),
]
BARRIER = [
    ("wait", False, Fails(errno.ETIMEDOUT)), ("waiting", 0, 0), ("abort", 0, None), ("wait", True, Fails(errno.EPIPE)),
    ("reset", 0, None),
]
QUEUE = [
    ("get", False, Fails(errno.ETIMEDOUT)), ("put", "a", True, 0, None), ("put", "b", False, Fails(errno.ETIMEDOUT)),
    ("count", 0, 1), ("capacity", 0, 1), ("get", True, 0, "a"),
]
PLAIN = QUEUE + [("done", Fails(errno.EINVAL)), ("shutdown", 0, None), ("get", True, Fails(errno.EPIPE))]
JOINABLE = QUEUE + [
    ("join", False, Fails(errno.ETIMEDOUT)), ("done", 0, None), ("done", Fails(errno.EPERM)), ("join", True, 0, None),
]
EACH = (
    ("dict", DICT), ("list", LIST), ("namespace", NAMESPACE), ("set", SET), ("value", VALUE, 5),
    ("array", ARRAY, [0, 0, 0]), ("lock", LOCK), ("rlock", RLOCK), ("condition", CONDITION), ("event", EVENT),
    ("semaphore", SEMAPHORE, 1), ("bounded_semaphore", SEMAPHORE, 1), ("barrier", BARRIER, 2), ("queue", PLAIN, 1),
    ("joinable_queue", JOINABLE, 1), ("object", OBJECT, ["total", 10]),
)
ALIKE = {"rlock": "lock", "bounded_semaphore": "semaphore", "joinable_queue": "queue"}


def try_all(shop, opens, steps, *made_of):
    number = shop.call(opens, None, *made_of)[1]
    kind = ALIKE.get(opens, opens)
    tried.add(opens)
    for operation, *rest in steps:
        name = kind + "." + operation
        tried.add(name)
        if isinstance(rest[-1], Fails):
            fails(rest[-1].code, shop.call, name, number, *rest[:-1])
        else:
            got = shop.call(name, number, *rest[:-2])
            assert got == (rest[-2], rest[-1]) and type(got[1]) is type(rest[-1]), (name, rest, got)
    if opens in ("dict", "list", "namespace", "set"):
        copy = shop.call("copy", number)[1]
        assert copy != number
        shop.call("close", copy)
        fails(errno.EINVAL, shop.call, "close", copy)
    shop.call("close", number)
    fails(errno.EINVAL, shop.call, "close", number)
    fails(errno.EINVAL, shop.call, kind + "." + steps[0][0], number, *steps[0][1:-2])


def batches(server):
    shop = Manager(server.address)
    prices, lock = shop.call("dict", None)[1], shop.call("lock", None)[1]
    deep = ["deep"]
    for _ in range(63):
        deep = [deep]
    wrong = [["dict.get", prices], ["dict.get", "x", 1], ["dict.get", 2**40, 1], ["list.length", prices], ["stat"],
             ["stat", prices], ["lock.acquire", lock, False], ["close", prices], ["dict.get"], 5, [], [prices],
             ["sesame", prices], ["dict.set", prices, [1], 2]]
    answers = shop.call("batch", ["dict.set", prices, "apple", 3], *wrong, ["dict.get", prices, "apple"],
                        ["dict.swap", prices, "deep", deep], ["dict.get", prices, "deep"])[1]
    assert answers[0] == [0, None] and answers[-3:] == [[0, 3], [1, None], [0, deep]]
    assert [answer[0] for answer in answers[1:-3]] == [
        "EINVAL", "EINVAL", "EINVAL", "EINVAL", "EBADMSG", "ENOTSUP", "ENOTSUP", "ENOTSUP", "EBADMSG", "EBADMSG",
        "EBADMSG", "EBADMSG", "ENOTSUP", "EINVAL"], answers
    assert all(isinstance(answer[1], str) for answer in answers[1:-3])
    assert shop.call("batch") == (0, [])
    fails(errno.EMSGSIZE, shop.call, "dict.set", prices, 1, [deep])
    fails(errno.EMSGSIZE, shop.call, "batch", ["dict.clear", prices], ["dict.set", prices, 1, [deep]])
    assert shop.call("dict.length", prices) == (0, 2)
    fails(errno.EINVAL, shop.call, "batch", *([0] * 65536))
    shop.line.close()
    server.until("1", "0")


tried = {"batch", "hello", "cancel", "took", "lost", "stat", "forget", "copy", "close"}


def every_operation(server):
    shop = Manager(server.address)
    assert shop.about["version"] == 1 and shop.about["manager"] == "shop" and len(shop.about["session"]) == 16
    assert shop.about["max_message"] == 1000000
    greetings = shop.call("list", "greetings")[1]
    assert shop.call("list.items", greetings) == (0, ["hello from C"])
    fails(errno.EINVAL, shop.call, "dict", "greetings")
    fails(errno.EINVAL, shop.call, "dict.length", greetings)
    for each in EACH:
        try_all(shop, *each)
    dictionary, inner = shop.call("dict", None)[1], shop.call("list", None)[1]
    reference = cbor2.CBORTag(39, inner)
    assert shop.call("dict.set", dictionary, "inner", reference) == (0, None)
    fails(errno.ELOOP, shop.call, "list.append", inner, [cbor2.CBORTag(39, dictionary)])
    assert shop.call("close", inner)[0] == 0 and shop.call("dict.pop", dictionary, "inner") == (0, reference)
    assert shop.call("type", reference) == (0, "list") and shop.call("open", reference) == (0, inner)
    fails(errno.EINVAL, shop.call, "open", reference, "dict")
    assert shop.call("open", reference, "list") == (0, inner) and shop.call("list.length", inner) == (0, 0)
    shop.call("close", inner), shop.call("close", inner)
    fails(errno.EINVAL, shop.call, "open", reference)
    fails(errno.EINVAL, shop.call, "dict.set", dictionary, "inner", reference)
    shop.call("close", dictionary)
    tried.update(("open", "type"))
    assert tried == named, tried ^ named
    stat = shop.call("stat")[1]
    assert stat["objects"] == 1 and stat["handles"] == 1 and stat["clients"] == 3 and stat["calls"] > 50
    assert stat["memory"] > 0
    shop.call("dict", "mine")
    shop.call("forget", "mine")
    fails(errno.ENOENT, shop.call, "forget", "mine")
    assert server.amounts() == ["2", "2"]
    shop.line.close()
    server.until("1", "0")


def sessions(server):
    one, stranger = Manager(server.address), Manager(server.address)
    other = Manager(server.address, session=one.about["session"])
    assert other.about["session"] == one.about["session"] != stranger.about["session"]
    number = one.call("dict", None)[1]
    one.line.close()
    assert other.call("dict.length", number) == (0, 0)
    fails(errno.EINVAL, stranger.call, "close", number)
    other.line.close()
    server.until("1", "0")
    fails(errno.EINVAL, Manager, server.address, None, b"0123456789abcdef")
    fails(errno.EINVAL, Manager, server.address, None, b"short")
    assert stranger.call("stat")[0] == 0


def keys(server):
    if not os.path.exists(SEAL):
        return
    closed = Server(KEY)
    shop = Manager(closed.address, KEY)
    assert shop.call("list", "greetings")[0] == 0
    try:
        Manager(closed.address, b"open barley")
        raise AssertionError("it was let in")
    except Exception as error:
        assert type(error).__name__ == "AuthenticationError", error
    shop.line.close()
    closed.end()


def many_ahead(server):
    line = Raw(server)
    number = line.ask([1, "list", None])[2]
    frames = b""
    for i in range(5000):
        content = cbor2.dumps([i, "list.append", number, i])
        frames += struct.pack("!i", len(content)) + content
    line.socket.setblocking(False)
    got = 0
    while got < 5000:
        readable, writable, _ = select.select([line.socket], [line.socket] if frames else [], [], CASE_S)
        if writable:
            frames = frames[line.socket.send(frames[:50000]):]
        if readable:
            line.socket.settimeout(CASE_S)
            assert line.receive() == [got, 0, None]
            line.socket.setblocking(False)
            got += 1
    line.socket.settimeout(CASE_S)
    assert line.ask([7, "list.items", number]) == [7, 0, list(range(5000))]


def until_one_waits(line):
    end = time.monotonic() + CASE_S
    while line.ask([3, "stat"])[2]["waiting"] != 1:
        assert time.monotonic() < end


def waiting(server):
    one, other = Raw(server), Raw(server)
    lock = one.ask([1, "lock", "l"])[2]
    assert other.ask([1, "lock", "l"])[1] == 0
    there = other.ask([2, "lock", "l"])[2]
    assert one.ask([2, "lock.acquire", lock, True]) == [2, 0, None]
    other.send(cbor2.dumps([3, "lock.acquire", there, True]))
    assert not select.select([other.socket], [], [], .05)[0]
    other.send(cbor2.dumps([3, "cancel"]))
    answer = other.receive()
    assert answer[:2] == [3, "ETIMEDOUT"] and answer[2]
    other.send(cbor2.dumps([4, "lock.acquire", there, True]))
    other.send(cbor2.dumps([5, "stat"]))  # waits behind it
    until_one_waits(one)
    assert one.ask([4, "lock.release", lock])[1] == 0
    assert other.receive() == [4, 0, None] and other.receive()[0] == 5
    one.send(cbor2.dumps([5, "lock.acquire", lock, True]))
    other.socket.close()  # with the lock
    assert one.receive() == [5, 1, None]
    assert one.ask([6, "forget", "l"])[1] == 0


def until_count(line, queue, count):
    end = time.monotonic() + CASE_S
    while line.ask([6, "queue.count", queue])[2] != count:
        assert time.monotonic() < end


def not_taken(server):
    """What an answer gave is given back, unless it is known to have arrived."""
    one, other = Raw(server), Raw(server)
    queue = one.ask([1, "queue", "q", 0])[2]
    there = other.ask([1, "queue", "q", 0])[2]
    for i in range(4):
        assert one.ask([2, "queue.put", queue, i, True])[1] == 0
    assert other.ask([2, "queue.get", there, True]) == [2, 0, 0]
    assert other.ask([3, "queue.get", there, True]) == [3, 0, 1]  # 0 is taken by that
    other.send(cbor2.dumps([3, "lost"]))
    until_count(one, queue, 3)
    assert other.ask([4, "queue.get", there, True]) == [4, 0, 1]
    other.send(cbor2.dumps([4, "took"]))
    assert other.ask([5, "queue.get", there, True]) == [5, 0, 2]
    other.socket.close()
    until_count(one, queue, 2)
    assert one.ask([7, "queue.get", queue, True]) == [7, 1, 2]  # the other may have had it
    assert one.ask([8, "queue.get", queue, True]) == [8, 0, 3]
    assert one.ask([9, "forget", "q"])[1] == 0


def unsure(server):
    """What was sent, and of which nothing was heard before the end, may have been had."""
    for opens, *made_of in (("lock",), ("rlock",), ("condition",), ("semaphore", 1), ("bounded_semaphore", 1)):
        one, other = Raw(server), Raw(server)
        numbers = [line.ask([1, opens, "n", *made_of])[2] for line in (one, other)]
        name = ALIKE.get(opens, opens) + ".acquire"
        assert other.ask([2, name, numbers[1], True]) == [2, 0, None]
        other.socket.close()
        assert one.ask([2, name, numbers[0], True]) == [2, 1, None], opens
        assert one.ask([3, "forget", "n"])[1] == 0


def not_sent(server):
    """What has not been sent has not been had."""
    one, other = Raw(server), Raw(server)
    queue, there = [line.ask([1, "queue", "q", 0])[2] for line in (one, other)]
    assert one.ask([2, "queue.put", queue, b"x" * 900000, True])[1] == 0
    other.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    other.send(cbor2.dumps([3, "queue.get", there, True]))
    until_count(one, queue, 0)
    other.socket.close()
    assert one.ask([7, "queue.get", queue, True])[:2] == [7, 0]
    assert one.ask([8, "forget", "q"])[1] == 0


def gone_while_waiting(server):
    one, other, third = Raw(server), Raw(server), Raw(server)
    numbers = [line.ask([1, "lock", "l"])[2] for line in (one, other, third)]
    assert one.ask([2, "lock.acquire", numbers[0], True])[1] == 0
    other.send(cbor2.dumps([2, "lock.acquire", numbers[1], True]))
    until_one_waits(one)
    third.send(cbor2.dumps([2, "lock.acquire", numbers[2], True]))
    other.socket.close()
    assert one.ask([4, "lock.release", numbers[0]])[1] == 0
    assert third.receive() == [2, 0, None]
    assert one.ask([6, "forget", "l"])[1] == 0


def gone_from_barrier(server):
    """Of one from outside the family nobody knows whether he died."""
    one, other = Raw(server), Raw(server)
    numbers = [line.ask([1, "barrier", "b", 2])[2] for line in (one, other)]
    other.send(cbor2.dumps([2, "barrier.wait", numbers[1], True]))
    until_one_waits(one)
    other.socket.close()
    while one.ask([3, "stat"])[2]["waiting"] != 0:
        pass
    assert one.ask([4, "barrier.wait", numbers[0], True])[:2] == [4, "EPIPE"]
    assert one.ask([5, "forget", "b"])[1] == 0


def gone_with_much_ahead(server):
    """Though the server reads no further: what it holds, and what it waits for, is given back."""
    one, other = Raw(server), Raw(server)
    numbers = [[line.ask([i, "lock", name])[2] for i, name in enumerate("lm")] for line in (one, other)]
    assert one.ask([2, "lock.acquire", numbers[0][0], True])[1] == 0
    assert other.ask([3, "lock.acquire", numbers[1][1], True])[1] == 0
    other.send(cbor2.dumps([4, "lock.acquire", numbers[1][0], True]))
    until_one_waits(one)
    content = cbor2.dumps([5, "stat"])
    other.socket.sendall((struct.pack("!i", len(content)) + content) * 7000)  # 77 KiB
    assert one.ask([5, "stat"])[2]["waiting"] == 1
    other.socket.close()
    assert one.ask([6, "lock.acquire", numbers[0][1], True])[0] == 6
    assert one.ask([7, "lock.release", numbers[0][0]])[1] == 0
    for name in "lm":
        assert one.ask([8, "forget", name])[1] == 0


def waits_at_lent(server):
    """What is only lent to who waits there stays as long as he waits."""
    line, other = Raw(server), Raw(server)
    shop, queue = line.ask([1, "dict", None])[2], line.ask([2, "queue", None, 0])[2]
    assert line.ask([3, "dict.set", shop, "q", cbor2.CBORTag(39, queue)])[1] == 0
    assert line.ask([4, "close", queue])[1] == 0
    assert line.ask([5, "dict.pop", shop, "q"])[1] == 0
    line.send(cbor2.dumps([6, "queue.get", queue, True]))
    until_one_waits(other)
    line.send(cbor2.dumps([6, "cancel"]))
    assert line.receive()[:2] == [6, "ETIMEDOUT"]
    assert line.ask([7, "stat"])[1] == 0
    assert line.ask([8, "queue.count", queue])[1] == "EINVAL"


def cancelled_without_end(server):
    """Whoever says nothing else holds nobody up; and what has another number is not what waits."""
    one, other = Raw(server), Raw(server)
    numbers = [line.ask([1, "lock", "l"])[2] for line in (one, other)]
    assert one.ask([2, "lock.acquire", numbers[0], True])[1] == 0
    other.send(cbor2.dumps([2, "lock.acquire", numbers[1], True]))
    content, over = cbor2.dumps([3, "cancel"]), threading.Event()

    def cancel():
        while not over.is_set():
            other.socket.sendall((struct.pack("!i", len(content)) + content) * 1000)

    sender = threading.Thread(target=cancel)
    sender.start()
    try:
        for i in range(20):
            while one.ask([i, "stat"])[2]["waiting"] != 1:
                pass
    finally:
        over.set()
        sender.join()
    other.send(cbor2.dumps([2, "cancel"]))
    assert other.receive()[:2] == [2, "ETIMEDOUT"]
    assert one.ask([6, "forget", "l"])[1] == 0


def said_and_done(server):
    """Who has nothing more to say still gets the answers."""
    line = Raw(server)
    line.send(cbor2.dumps([1, "stat"]))
    line.send(cbor2.dumps([2, "stat"]))
    line.socket.shutdown(socket.SHUT_WR)
    assert line.receive()[0] == 1 and line.receive()[0] == 2 and line.is_closed()


def bad_requests(server):
    line = Raw(server)
    number = line.ask([1, "list", None])[2]
    deep = b"\x81" * 70 + b"\x00"
    for request, reply_to, code in (
            (b"", None, "EBADMSG"), (b"\xff", None, "EBADMSG"), (b"\x00", None, "EBADMSG"), (b"\x80", None, "EBADMSG"),
            ([5], 5, "EBADMSG"), (["x", "stat"], None, "EBADMSG"), ([5, 6], 5, "EBADMSG"), ({1: 2}, None, "EBADMSG"),
            (cbor2.dumps([5, "stat"]) + b"\x00", 5, "EBADMSG"), (b"\x9f\x05\x64stat\xff", None, "EBADMSG"),
            (b"\x9a\xff\xff\xff\xff\x05", None, "EBADMSG"), (b"\x9b" + b"\xff" * 8, None, "EBADMSG"),
            (b"\x83\x05\x64stat\x7a\xff\xff\xff\xff", 5, "EBADMSG"), (b"\x83\x05\x64stat\xc1\x00", 5, "EBADMSG"),
            (b"\x83\x05\x64stat" + deep, 5, "EMSGSIZE"), (b"\x83\x05\x64dict\x62\xff\xff", 5, "EINVAL"),
            (b"\x83\x05\x64dict\xa1\x80\x00", 5, "EINVAL"), ([5, "dict", 1], 5, "EINVAL"), ([5, "dict"], 5, "EINVAL"),
            ([5, "sesame"], 5, "ENOTSUP"), ([5, "x" * 10000], 5, "ENOTSUP"), ([5, ""], 5, "ENOTSUP"),
            ([5, "listen", "unix:@x", {}], 5, "ENOTSUP"), ([5, "hello", 1], 5, "EINVAL"),
            ([5, "list.get"], 5, "EINVAL"), ([5, "list.get", "x", 0], 5, "EINVAL"),
            ([5, "list.get", 0, 0], 5, "EINVAL"),
            ([5, "list.get", -1, 0], 5, "EINVAL"), ([5, "list.get", 2**64 - 1, 0], 5, "EINVAL"),
            ([5, "list.get", number + 1, 0], 5, "EINVAL"), ([5, "list.get", number], 5, "EINVAL"),
            ([5, "list.get", number, 0, 0], 5, "EINVAL"), ([5, "list.get", number] + [0] * 70000, 5, "EINVAL"),
            ([5, "list.sort", number, 1], 5, "EINVAL"), ([5, "close", number, 7], 5, "EINVAL"),
            ([5, "close", "x"], 5, "EINVAL"), ([5, "close"], 5, "EINVAL"), ([5, "copy", []], 5, "EINVAL"),
            ([5, "forget", None], 5, "EINVAL"), ([5, "stat", 1], 5, None)):
        answer = line.ask(request)
        assert answer[0] == reply_to and len(answer) == 3, (request[:40], answer)
        if code:
            assert answer[1] == code and isinstance(answer[2], str) and answer[2], (request[:40], answer)
    line.send(cbor2.dumps([5, "cancel"]))
    assert line.ask([-3, "list.length", number]) == [-3, 0, 0]


def bad_greetings(server):
    for request, code in (([5, "stat"], "EPROTO"), ([5, "hello", 2], "EPROTO"), ([5, "hello"], "EINVAL"),
                          ([5, "hello", "1"], "EINVAL"), ([5, "hello", 1, 2], "EINVAL"),
                          ([5, "hello", 1, None, 3], "EINVAL"), ([5, "hello", 1, b"x"], "EINVAL")):
        line = Raw(server, greet=False)
        answer = line.ask(request)
        assert answer[:2] == [5, code] and answer[2], (request, answer)
        assert line.is_closed()


def bad_frames(server):
    for content, code in ((struct.pack("!i", 1000001), "EMSGSIZE"), (struct.pack("!i", 0x7fffffff), "EMSGSIZE"),
                          (struct.pack("!iQ", -1, 2**63 - 1), "EMSGSIZE"), (struct.pack("!i", -2), "EPROTO"),
                          (struct.pack("!iQ", -1, 2**64 - 1), "EPROTO"), (b"GET / HTTP/1.1\r\n\r\n", "EMSGSIZE")):
        line = Raw(server)
        line.socket.sendall(content)
        answer = line.receive()
        assert answer[:2] == [None, code] and answer[2], (content, answer)
        assert line.is_closed()
    for content in (b"", b"\0", b"\0\0\0\x10", struct.pack("!i", 900000) + b"x" * 1000):
        line = Raw(server)
        line.socket.sendall(content)
        line.socket.close()


def slow_readers(server):
    """One that takes no answers is not served on, and holds nobody up."""
    slow, other = Raw(server), Raw(server)
    number = slow.ask([1, "list", None])[2]
    assert slow.ask([2, "list.append", number, b"x" * 900000])[1] == 0
    for i in range(40):
        slow.send(cbor2.dumps([i, "list.get", number, 0]))
    assert other.ask([3, "list", None])[1] == 0
    for i in range(40):
        answer = slow.receive()
        assert answer[0] == i and len(answer[2]) == 900000


def noise(server):
    """Bytes by chance, and requests of which some are changed."""
    chance = random.Random(5)
    shop = Manager(server.address)
    noise, others = shop.call("dict", "noise")[1], shop.call("list", None)[1]
    good = [cbor2.dumps(request) for request in (
        [1, "dict", "noise"], [2, "dict.set", noise, "key", {"a": [1, 2.5, None, b"x", "y"]}], [3, "stat"],
        [4, "list.append", others, [[[]]]], [5, "copy", noise], [6, "dict.items", noise],
        [7, "list.append", others, [cbor2.CBORTag(39, noise), 1]], [8, "open", cbor2.CBORTag(39, others), "list"],
        [9, "dict.set", noise, "key", cbor2.CBORTag(39, others)], [10, "list.items", others])]
    for _ in range(30):
        line = Raw(server)
        for _ in range(40):
            content = bytearray(chance.choice(good))
            for _ in range(chance.randrange(4)):
                content[chance.randrange(len(content))] = chance.randrange(256)
            if b"cancel" in content:
                continue
            answer = line.ask(bytes(content[:chance.randrange(len(content) + 1)] if chance.random() < .3 else content))
            assert len(answer) == 3 and (isinstance(answer[1], str) or answer[1] >= 0)
        line.socket.sendall(chance.randbytes(100))
        line.socket.close()


CASES = (every_operation, batches, sessions, keys, waiting, not_taken, unsure, not_sent, gone_while_waiting,
         waits_at_lent, gone_from_barrier, gone_with_much_ahead, cancelled_without_end, many_ahead, said_and_done,
         bad_requests, bad_greetings, bad_frames, slow_readers, noise)
for case in CASES:
    server = Server()
    witness = Manager(server.address)  # whatever the others do, it is served
    greetings = witness.call("list", "greetings")[1]
    witness.call("close", greetings)
    try:
        case(server)
        assert witness.call("stat")[0] == 0
        witness.line.close()
        server.end()
        print("ok", case.__name__)
        passed += 1
    except Exception as error:
        traceback.print_exc()
        server.process.kill()
        server.process.wait()
        print("FAILED %s: %r" % (case.__name__, error))
        failed += 1
print("%d passed, %d failed" % (passed, failed))
sys.exit(failed > 0)
