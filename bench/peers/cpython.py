"""CPython's own multiprocessing on the figures of the speed lab; a peer as bench/peer.h wants it."""

import multiprocessing
import sys
import time


def nothing():
    pass


def square(number):
    return number * number


def start_and_join(method, count):
    """Microseconds for one process, from its start to its end being known."""
    context = multiprocessing.get_context(method)
    for i in range(count + 1):  # the first, untimed, starts what the method needs besides
        if i == 1:
            began = time.perf_counter()
        process = context.Process(target=nothing)
        process.start()
        process.join()
        process.close()
    return (time.perf_counter() - began) / count * 1e6


def lock_uncontended(count=200000):
    lock = multiprocessing.get_context("fork").Lock()
    began = time.perf_counter()
    for _ in range(count):
        lock.acquire()
        lock.release()
    return (time.perf_counter() - began) / count * 1e9


def value_lock(count=200000):
    value = multiprocessing.get_context("fork").Value("i", 0)
    began = time.perf_counter()
    for _ in range(count):
        with value.get_lock():
            value.value += 1
    took = time.perf_counter() - began
    assert value.value == count
    return took / count * 1e9


def array_slice(count=2000, size=1024):
    array = multiprocessing.get_context("fork").Array("i", size)
    numbers = list(range(size))
    began = time.perf_counter()
    for _ in range(count):
        array[:] = numbers
    return (time.perf_counter() - began) / count * 1e9


def contend(gate, value, times, party, count):
    gate.wait()
    times[party] = time.perf_counter()
    for _ in range(count):
        with value.get_lock():
            value.value += 1
    times[2 + party] = time.perf_counter()


def lock_contended_2(count=100000):
    """Nanoseconds an increment of a shared Value by two processes, over the increments of both."""
    context = multiprocessing.get_context("fork")
    gate = context.Barrier(2)
    value = context.Value("l", 0)
    times = context.Array("d", 4)
    parties = [context.Process(target=contend, args=(gate, value, times, i, count)) for i in range(2)]
    for party in parties:
        party.start()
    for party in parties:
        party.join()
    assert value.value == 2 * count
    return (max(times[2:]) - min(times[:2])) / (2 * count) * 1e9


def pool_map(count, chunk):
    with multiprocessing.get_context("fork").Pool(2) as pool:
        pool.map(square, range(1000))
        began = time.perf_counter()
        squares = pool.map(square, range(count), chunk)
        took = time.perf_counter() - began
    assert len(squares) == count and squares[-1] == (count - 1) ** 2
    return took / count * 1e9


def put_all(queue, count, size):
    message = bytes(size)
    for _ in range(count):
        queue.put(message)


def queue_stream(count, size):
    """Messages a second, one process puts, another gets."""
    context = multiprocessing.get_context("fork")
    queue = context.Queue(10000 if size < 1000 else 16)
    process = context.Process(target=put_all, args=(queue, count, size))
    began = time.perf_counter()
    process.start()
    for _ in range(count):
        queue.get()
    took = time.perf_counter() - began
    process.join()
    return count / took


def get_all(queue, count):
    for _ in range(count):
        queue.get()


def queue_grid(putters, getters, size):
    """Messages a second of one cell of the speed lab's grid. One getter is this process."""
    context = multiprocessing.get_context("fork")
    count = max(128, min(16000, (64 << 20) // size) // 64 * 64)
    queue = context.Queue(10000 if size <= 1024 else 16)
    processes = [context.Process(target=put_all, args=(queue, count // putters, size)) for _ in range(putters)]
    processes += [context.Process(target=get_all, args=(queue, count // getters)) for _ in range(getters - 1)]
    began = time.perf_counter()
    for process in processes:
        process.start()
    get_all(queue, count // getters)
    for process in processes:
        process.join()
    return count / (time.perf_counter() - began)


def send_back(there, back, count):
    for _ in range(count):
        back.put(there.get())


def queue_pingpong(count=3000):
    context = multiprocessing.get_context("fork")
    there, back = context.SimpleQueue(), context.SimpleQueue()
    process = context.Process(target=send_back, args=(there, back, count))
    process.start()
    message = bytes(64)
    began = time.perf_counter()
    for _ in range(count):
        there.put(message)
        back.get()
    took = time.perf_counter() - began
    process.join()
    return took / count * 1e6


def pipe_send_back(end, count):
    for _ in range(count):
        end.send_bytes(end.recv_bytes())


def pipe_pingpong(count=10000):
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    process = context.Process(target=pipe_send_back, args=(theirs, count))
    process.start()
    message = bytes(64)
    began = time.perf_counter()
    for _ in range(count):
        ours.send_bytes(message)
        ours.recv_bytes()
    took = time.perf_counter() - began
    process.join()
    return took / count * 1e6


def pool_apply(count):
    with multiprocessing.get_context("fork").Pool(2) as pool:
        pool.apply(square, (2,))
        began = time.perf_counter()
        for i in range(count):
            assert pool.apply(square, (i,)) == i * i
        return (time.perf_counter() - began) / count * 1e6


def pool_apply_async(count):
    with multiprocessing.get_context("fork").Pool(2) as pool:
        pool.apply(square, (2,))
        began = time.perf_counter()
        results = [pool.apply_async(square, (i,)) for i in range(count)]
        assert [result.get() for result in results][-1] == (count - 1) ** 2
        return (time.perf_counter() - began) / count * 1e6


def pool_open():
    began = time.perf_counter()
    for _ in range(10):
        with multiprocessing.get_context("fork").Pool(4) as pool:
            assert pool.apply(square, (3,)) == 9
            pool.close()
            pool.join()
    return (time.perf_counter() - began) / 10 * 1e3


def manager(call, count=5000):
    with multiprocessing.get_context("fork").Manager() as server:
        entries, items = server.dict(count=0), server.list()
        began = time.perf_counter()
        for i in range(count):
            call(entries, items)
        return (time.perf_counter() - began) / count * 1e6


FIGURES = {
    "manager_get": lambda: manager(lambda entries, items: entries["count"]),
    "manager_set": lambda: manager(lambda entries, items: entries.__setitem__("count", 1)),
    "manager_append": lambda: manager(lambda entries, items: items.append(1)),
    "process_fork": lambda: start_and_join("fork", 100),
    "process_spawn": lambda: start_and_join("spawn", 10),
    "lock_uncontended": lock_uncontended,
    "lock_contended_2": lock_contended_2,
    "value_lock": value_lock,
    "value_lock_contended_2": lock_contended_2,
    "array_slice": array_slice,
    "queue_1p1c_64": lambda: queue_stream(50000, 64),
    "queue_1p1c_64k": lambda: queue_stream(3000, 65536),
    "queue_pingpong_64": queue_pingpong,
    "pipe_pingpong_64": pipe_pingpong,
    "pool_map_auto": lambda: pool_map(1000000, None),
    "pool_map_chunk1": lambda: pool_map(30000, 1),
    "pool_apply": lambda: pool_apply(2000),
    "pool_apply_async": lambda: pool_apply_async(20000),
    "pool_open_4": pool_open,
}


if __name__ == "__main__":
    if sys.argv[1:] == ["--list"]:
        print("\n".join([*FIGURES, "queue_grid"]))
    elif len(sys.argv) == 2 and sys.argv[1].startswith("queue_grid/"):
        print("%.3f" % queue_grid(*map(int, sys.argv[1].split("/")[1:])))
    elif len(sys.argv) == 2 and sys.argv[1] in FIGURES:
        print("%.3f" % FIGURES[sys.argv[1]]())
    else:
        sys.exit("usage: cpython.py --list | FIGURE")
