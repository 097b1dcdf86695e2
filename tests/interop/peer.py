"""interop/peer.py PEER: the other end of interop/peer.c, by this Python's own multiprocessing.connection.

Python 3.12 changed how a key is proved. So that one Python tests both ways, each is also written out here, from the
description of the protocol in multiprocessing/connection.py: `legacy` is that of up to 3.11, `modern` that of 3.12.
"""
import hmac
import os
import signal
import socket
import subprocess
import sys
import tempfile
from multiprocessing import AuthenticationError, connection, reduction

PEER = sys.argv[1]
KEY = b"correct horse"
SIZES = (0, 1, 3, 100, 16384, 16385, 65536, 1000003)
CASE_S = 20
MODERN = sys.version_info >= (3, 12)
passed = failed = 0


class Legacy:
    name = "legacy"
    weak = True

    def deliver(self, conn, key):
        message = os.urandom(20)
        conn.send_bytes(b"#CHALLENGE#" + message)
        ok = conn.recv_bytes(256) == hmac.new(key, message, "md5").digest()
        conn.send_bytes(b"#WELCOME#" if ok else b"#FAILURE#")
        if not ok:
            raise AuthenticationError("digest received was wrong")

    def answer(self, conn, key):
        message = conn.recv_bytes(256)
        assert message.startswith(b"#CHALLENGE#")
        conn.send_bytes(hmac.new(key, message[11:], "md5").digest())
        if conn.recv_bytes(256) != b"#WELCOME#":
            raise AuthenticationError("digest sent was rejected")


class Modern:
    """It asks for `digest` in its challenge, and signs what it is asked to."""

    def __init__(self, digest):
        self.digest = digest
        self.name = "modern " + digest
        self.weak = digest == "md5"

    def deliver(self, conn, key):
        message = b"{%s}%s" % (self.digest.encode(), os.urandom(40))
        conn.send_bytes(b"#CHALLENGE#" + message)
        reply = conn.recv_bytes(256)
        name, _, mac = reply.partition(b"}")
        ok = name == b"{" + self.digest.encode() and hmac.compare_digest(
            mac, hmac.new(key, message, self.digest).digest())
        conn.send_bytes(b"#WELCOME#" if ok else b"#FAILURE#")
        if not ok:
            raise AuthenticationError("digest received was wrong")

    def answer(self, conn, key):
        message = conn.recv_bytes(256)
        assert message.startswith(b"#CHALLENGE#{sha256}") and len(message) == 59
        name = self.digest.encode()  # any of those that are allowed may be chosen
        conn.send_bytes(b"{%s}%s" % (name, hmac.new(key, message[11:], self.digest).digest()))
        if conn.recv_bytes(256) != b"#WELCOME#":
            raise AuthenticationError("digest sent was rejected")


class Stock:
    name = "stock"
    weak = not MODERN

    def deliver(self, conn, key):
        connection.deliver_challenge(conn, key)

    def answer(self, conn, key):
        connection.answer_challenge(conn, key)


peers = []


def late(number, frame):
    raise TimeoutError("not done in %d s" % CASE_S)


def case(name, run, *args):
    global passed, failed
    signal.alarm(CASE_S)
    try:
        run(*args)
        passed += 1
    except Exception as error:  # whatever it is, it is this case's failure
        print("FAILED %s: %s: %s" % (name, type(error).__name__, error), flush=True)
        failed += 1
    finally:
        signal.alarm(0)
    while peers:
        peer = peers.pop()
        peer.kill()
        peer.wait()
        peer.stdout.close()


def start(*args):
    peer = subprocess.Popen((PEER,) + args, stdout=subprocess.PIPE, text=True)
    peers.append(peer)
    return peer


def last_line(peer):
    output, _ = peer.communicate(timeout=30)
    return output.strip().split("\n")[-1]


def text_of(address):
    if isinstance(address, tuple):
        return ("tcp:[%s]:%d" if ":" in address[0] else "tcp:%s:%d") % address[:2]
    if isinstance(address, bytes):
        address = address.decode()
    return "unix:" + address.replace("\0", "@")


def address_of(text):
    if text.startswith("unix:"):
        return text[5:].replace("@", "\0", 1) if text[5] == "@" else text[5:]
    host, _, port = text[4:].rpartition(":")
    return host.strip("[]"), int(port)


def talk(conn):
    for size in SIZES:
        message = os.urandom(size)
        conn.send_bytes(message)
        assert conn.recv_bytes() == message, size
    for i in range(100):  # many at once, then their echoes
        conn.send_bytes(b"%d" % i)
    for i in range(100):
        assert conn.poll(20) and conn.recv_bytes() == b"%d" % i
    conn.send({"pickled": [1, 2, 3]})  # to brood these are bytes like others
    assert conn.recv() == {"pickled": [1, 2, 3]}
    conn.close()


def family_of(text):
    return "AF_UNIX" if text.startswith("unix:") else "AF_INET6" if "[" in text else "AF_INET"


def connect(text, key, dialect):
    address = address_of(text)
    if family_of(text) == "AF_INET6":  # Client takes every pair for an IPv4 address
        bare = socket.create_connection(address)
        conn = connection.Connection(bare.detach())
    elif dialect.name == "stock":
        return connection.Client(address, family_of(text), authkey=key)
    else:
        conn = connection.Client(address, family_of(text))
    if key:
        dialect.answer(conn, key)
        dialect.deliver(conn, key)
    return conn


def accept(listener, key, dialect):
    conn = listener.accept()
    if key and dialect.name != "stock":
        dialect.deliver(conn, key)
        dialect.answer(conn, key)
    return conn


def brood_listens(place, key, dialect):
    peer = start("listen", place, key.decode() if key else "-", "weak" if dialect.weak else "strong")
    talk(connect(peer.stdout.readline().strip(), key, dialect))
    assert last_line(peer) == "done"


def listen(place, key, dialect):
    address = address_of(place)
    return connection.Listener(address, family_of(place), authkey=key if dialect.name == "stock" else None)


def python_listens(place, key, dialect):
    with listen(place, key, dialect) as listener:
        peer = start("call", text_of(listener.address), key.decode() if key else "-",
                     "weak" if dialect.weak else "strong")
        talk(accept(listener, key, dialect))
        assert last_line(peer) == "done"


def refused(run, *args):
    """The connection ends before a message: AuthenticationError, or, if the other end says no more, its end."""
    try:
        run(*args)
    except (AuthenticationError, EOFError, ConnectionResetError, BrokenPipeError):
        return
    raise AssertionError("it was let in")


def brood_refuses(place, dialect, key, digests):
    peer = start("listen", place, KEY.decode(), digests)
    text = peer.stdout.readline().strip()
    refused(connect, text, key, dialect)
    line = last_line(peer)
    assert line.startswith("refused 1 ") or line.endswith("gone 1"), line


def brood_is_refused(place, dialect, key, digests, code):
    with listen(place, key, dialect) as listener:
        peer = start("call", text_of(listener.address), KEY.decode(), digests)
        refused(accept, listener, key, dialect)
        line = last_line(peer)
        assert line.split()[0] in code, line


def descriptors(place):
    with connection.Listener(address_of(place), "AF_UNIX") as listener:
        peer = start("pass", place)
        conn = listener.accept()
        theirs = reduction.recv_handle(conn)
        os.write(theirs, b"from Python\n")
        os.close(theirs)
        reader, writer = os.pipe()
        reduction.send_handle(conn, writer, peer.pid)
        os.close(writer)
        with os.fdopen(reader, "rb") as file:
            assert file.read() == b"from brood"
        output, _ = peer.communicate(timeout=30)
        assert output == "from Python\ndone\n", output
        conn.close()


def main():
    signal.signal(signal.SIGALRM, late)
    with tempfile.TemporaryDirectory() as folder:
        path, abstract, tcp = "unix:%s/s" % folder, "unix:@brood-interop-%d" % os.getpid(), "tcp:127.0.0.1:0"
        stock, legacy = Stock(), Legacy()
        every = [stock, legacy] + [Modern(d) for d in ("sha256", "sha384", "sha3_256", "sha3_384", "md5")]
        places = [path, abstract, tcp]
        try:
            connection.Listener(("::1", 0), "AF_INET6").close()
            places.append("tcp:[::1]:0")
        except OSError:
            pass  # this system has no IPv6
        for place in places:
            for key in (None, KEY):
                case("%s, brood listens" % place, brood_listens, place, key, stock)
                case("%s, Python listens" % place, python_listens, place, key, stock)
        for dialect in every:
            case("%s, brood listens" % dialect.name, brood_listens, tcp, KEY, dialect)
            case("%s, Python listens" % dialect.name, python_listens, tcp, KEY, dialect)
            case("%s, wrong key, brood listens" % dialect.name, brood_refuses, tcp, dialect, b"wrong", "weak")
            case("%s, wrong key, Python listens" % dialect.name, brood_is_refused, tcp, dialect, b"wrong", "weak",
                 ("EACCES",))
            if dialect.weak:
                case("%s, MD5 refused, brood listens" % dialect.name, brood_refuses, tcp, dialect, KEY, "strong")
                case("%s, MD5 refused, Python listens" % dialect.name, brood_is_refused, tcp, dialect, KEY, "strong",
                     ("ENOTSUP", "EOPNOTSUPP"))
        case("descriptors", descriptors, path)
    print("%d passed, %d failed" % (passed, failed))
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
