/* interop/peer.c: one end of a connection whose other end is Python's: interop/peer.py starts it.
 *
 *   peer listen ADDRESS KEY DIGESTS   prints where it listens, accepts one, and sends all it receives back
 *   peer call ADDRESS KEY DIGESTS     connects, and does the same
 *   peer pass ADDRESS                 connects; sends its standard output along, then receives one and writes to it
 *
 * KEY "-": none. DIGESTS "weak" or "strong". The last line is "done", or the errno's name and brood's sentence.
 */
#include <brood.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define WAIT_MS 20000

/* Those that peer.py asks for; glibc's strerrorname_np is not musl's. */
static const char *name_of(int code)
{
    return code == EACCES ? "EACCES" : code == ENOTSUP ? "ENOTSUP" : strerror(code);
}

static int fail(void)
{
    int code = errno;
    printf("%s %s\n", name_of(code), brood_error());
    return 1;
}

static int echo(brood_connection *end)
{
    brood_block message;
    int result;
    while ((result = brood_connection_recv_block(end, &message, WAIT_MS)) == 0) {
        result = brood_connection_send(end, message.data, message.size, WAIT_MS);
        brood_free(message.data);
        if (result < 0)
            return fail();
    }
    if (result != -EPIPE)
        return fail();
    puts("done");
    return brood_connection_close(end) < 0;
}

static int listen_at(const char *address, const char *key, bool weak)
{
    brood_listener_options options = { .weak_digests = weak && key, .key = key, .key_size = key ? strlen(key) : 0 };
    brood_listener *listener = brood_listener_create(address, &options);
    if (!listener)
        return fail();
    printf("%s\n", brood_listener_address(listener));
    fflush(stdout);
    for (int waited = 0; waited < WAIT_MS; waited += 100) {
        brood_listener_stats stats;
        brood_connection *end = brood_listener_accept(listener, 100);
        if (end) {
            brood_listener_destroy(listener);
            return echo(end);
        }
        if (errno != ETIMEDOUT || brood_listener_stat(listener, &stats) < 0)
            return fail();
        if (stats.refused + stats.garbled + stats.late + stats.gone > 0) {
            printf("refused %d garbled %d late %d gone %d\n", (int)stats.refused, (int)stats.garbled, (int)stats.late,
                   (int)stats.gone);
            return brood_listener_destroy(listener) < 0;
        }
    }
    return fail();
}

static brood_connection *call(const char *address, const char *key, bool weak)
{
    return brood_connection_open(address, &(brood_connection_options){ .weak_digests = weak && key,
                                                                       .key = key,
                                                                       .key_size = key ? strlen(key) : 0,
                                                                       .connect_ms = WAIT_MS });
}

static int pass(brood_connection *end)
{
    int fd;
    if (brood_connection_send_fd(end, STDOUT_FILENO, WAIT_MS) < 0 || (fd = brood_connection_recv_fd(end, WAIT_MS)) < 0)
        return fail();
    if (write(fd, "from brood", 10) != 10 || close(fd) < 0)
        return fail();
    puts("done");
    return brood_connection_close(end) < 0;
}

int main(int argc, char **argv)
{
    if (brood_init(NULL) < 0 || argc < 3)
        return fail();
    const char *key = argc > 3 && strcmp(argv[3], "-") != 0 ? argv[3] : NULL;
    bool weak = argc > 4 && strcmp(argv[4], "weak") == 0;
    if (strcmp(argv[1], "listen") == 0)
        return listen_at(argv[2], key, weak);
    brood_connection *end = call(argv[2], key, weak);
    if (!end)
        return fail();
    return strcmp(argv[1], "pass") == 0 ? pass(end) : echo(end);
}
