/* bench/peers/boost.cpp: Boost.Interprocess on the figures of the speed lab; a peer as bench/peer.h wants it.
 *
 * Its mutex is not robust: a holder that dies keeps it for ever. Its segment has a name, which is taken away as soon as
 * the segment is mapped, so that nothing stays behind.
 */
#include <boost/interprocess/ipc/message_queue.hpp>
#include <boost/interprocess/managed_shared_memory.hpp>
#include <boost/interprocess/sync/interprocess_mutex.hpp>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <new>
#include <sched.h>
#include <string>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

namespace ipc = boost::interprocess;

namespace
{

constexpr long pairs = 4000000;
constexpr long contended_pairs = 1000000; /* of each of the two */
constexpr int alloc_turns = 31250;
constexpr int blocks = 64;
constexpr long small_messages = 1000000;
constexpr long large_messages = 10000;
constexpr long turns = 50000;

double now_ns()
{
    return std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

struct contest {
    alignas(64) ipc::interprocess_mutex mutex;
    alignas(64) volatile long count = 0;
    alignas(64) std::atomic<int> ready{ 0 };
    double began[2] = {};
    double ended[2] = {};
};

class segment
{
  public:
    segment() : name_("speedlab-" + std::to_string(getpid())), memory_(ipc::create_only, name_.c_str(), 16 << 20)
    {
        ipc::shared_memory_object::remove(name_.c_str());
    }
    ipc::managed_shared_memory &memory()
    {
        return memory_;
    }

  private:
    std::string name_;
    ipc::managed_shared_memory memory_;
};

void count(contest &c, long n)
{
    for (long i = 0; i < n; i++) {
        c.mutex.lock();
        c.count = c.count + 1;
        c.mutex.unlock();
    }
}

contest &make_contest(segment &s)
{
    return *new (s.memory().allocate_aligned(sizeof(contest), 64)) contest;
}

double lock_uncontended()
{
    segment s;
    contest &c = make_contest(s);
    double began = now_ns();
    count(c, pairs);
    return (now_ns() - began) / pairs;
}

[[noreturn]] void contend(contest &c)
{
    int party = c.ready++;
    while (c.ready < 2)
        sched_yield();
    c.began[party] = now_ns();
    count(c, contended_pairs);
    c.ended[party] = now_ns();
    _exit(0);
}

double lock_contended()
{
    segment s;
    contest &c = make_contest(s);
    pid_t party[2];
    for (pid_t &pid : party) {
        pid = fork();
        if (pid == 0)
            contend(c);
        if (pid < 0)
            return -1;
    }
    for (pid_t pid : party)
        waitpid(pid, nullptr, 0);
    if (c.count != 2 * contended_pairs)
        return -1;
    double began = c.began[0] < c.began[1] ? c.began[0] : c.began[1];
    double ended = c.ended[0] > c.ended[1] ? c.ended[0] : c.ended[1];
    return (ended - began) / (2 * contended_pairs);
}

double alloc_free()
{
    segment s;
    void *block[blocks];
    double began = now_ns();
    for (int turn = 0; turn < alloc_turns; turn++) {
        for (int i = 0; i < blocks; i++)
            block[i] = s.memory().allocate(48 + i * 8);
        for (void *b : block)
            s.memory().deallocate(b);
    }
    return (now_ns() - began) / (static_cast<double>(alloc_turns) * blocks);
}

/* Without a name as soon as it is there. */
class queue
{
  public:
    queue(const char *which, std::size_t depth, std::size_t size)
        : name_("speedlab-" + std::to_string(getpid()) + which), queue_(ipc::create_only, name_.c_str(), depth, size),
          bytes_(size)
    {
        ipc::message_queue::remove(name_.c_str());
    }
    void send()
    {
        queue_.send(bytes_.data(), bytes_.size(), 0);
    }
    void receive()
    {
        std::size_t got;
        unsigned priority;
        queue_.receive(bytes_.data(), bytes_.size(), got, priority);
    }

  private:
    std::string name_;
    ipc::message_queue queue_;
    std::vector<char> bytes_;
};

template <typename Body> bool start(Body body)
{
    pid_t pid = fork();
    if (pid == 0) {
        body();
        _exit(0);
    }
    return pid > 0;
}

/* Messages a second; `count` of all. One getter is this process. */
double stream(std::size_t depth, std::size_t size, int putters, int getters, long count)
{
    queue q("s", depth, size);
    auto put = [&] {
        for (long i = 0; i < count / putters; i++)
            q.send();
    };
    auto get = [&] {
        for (long i = 0; i < count / getters; i++)
            q.receive();
    };
    double began = now_ns();
    bool started = true;
    for (int i = 0; i < putters; i++)
        started = started && start(put);
    for (int i = 1; i < getters; i++)
        started = started && start(get);
    if (!started)
        return -1;
    get();
    while (wait(nullptr) > 0)
        continue;
    return count * 1e9 / (now_ns() - began);
}

/* One cell of the speed lab's grid: "queue_grid/PUTTERS/GETTERS/BYTES". */
double queue_grid(const char *cell)
{
    int putters = 0, getters = 0;
    std::size_t size = 0;
    if (std::sscanf(cell, "queue_grid/%d/%d/%zu", &putters, &getters, &size) != 3 || putters < 1 || getters < 1)
        return -1;
    long most = (256L << 20) / static_cast<long>(size), count = most < 400000 ? most : 400000;
    return stream(size <= 1024 ? 10000 : 16, size, putters, getters, count < 128 ? 128 : count / 64 * 64);
}

double queue_1p1c_64()
{
    return stream(10000, 64, 1, 1, small_messages);
}

double queue_2p2c_64()
{
    return stream(10000, 64, 2, 2, small_messages);
}

double queue_1p1c_64k()
{
    return stream(16, 65536, 1, 1, large_messages);
}

double queue_pingpong_64()
{
    queue there("t", 100, 64), back("b", 100, 64);
    if (!start([&] {
            for (long i = 0; i < turns; i++) {
                there.receive();
                back.send();
            }
        }))
        return -1;
    double began = now_ns();
    for (long i = 0; i < turns; i++) {
        there.send();
        back.receive();
    }
    double each = (now_ns() - began) / turns / 1000;
    wait(nullptr);
    return each;
}

struct figure {
    const char *name;
    double (*measure)();
};

constexpr figure figures[] = {
    { "lock_uncontended", lock_uncontended },
    { "lock_contended_2", lock_contended },
    { "alloc_free", alloc_free },
    { "queue_1p1c_64", queue_1p1c_64 },
    { "queue_2p2c_64", queue_2p2c_64 },
    { "queue_1p1c_64k", queue_1p1c_64k },
    { "queue_pingpong_64", queue_pingpong_64 },
};

} // namespace

int main(int argc, char **argv)
{
    for (const figure &f : figures) {
        if (argc == 2 && std::strcmp(argv[1], "--list") == 0)
            std::puts(f.name);
        else if (argc == 2 && std::strcmp(argv[1], f.name) == 0)
            return std::printf("%.3f\n", f.measure()) < 0;
    }
    if (argc == 2 && std::strncmp(argv[1], "queue_grid/", 11) == 0)
        return std::printf("%.3f\n", queue_grid(argv[1])) < 0;
    if (argc != 2 || std::strcmp(argv[1], "--list") != 0)
        return 1;
    std::puts("queue_grid");
    return 0;
}
