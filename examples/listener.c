/* Answers whoever connects and has the key: listener ADDRESS KEY [CLIENTS]. Try it with examples/client, or with
 * Python:
 *
 *   from multiprocessing.connection import Client
 *   with Client(("127.0.0.1", 4711), authkey=b"secret") as c: c.send_bytes(b"Python"); print(c.recv_bytes())
 */
#include <brood.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void answer(brood_connection *end)
{
    char name[64], text[128];
    size_t size;
    int result;
    while ((result = brood_connection_recv(end, name, sizeof name, &size, 10000)) == 0) {
        int length = snprintf(text, sizeof text, "Hello, %.*s!", (int)size, name);
        if ((result = brood_connection_send(end, text, (size_t)length, 1000)) < 0)
            break;
    }
    if (result != -EPIPE) /* the end that a client has who closes */
        fprintf(stderr, "%s\n", brood_error());
    brood_connection_close(end);
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return fprintf(stderr, "usage: listener ADDRESS KEY [CLIENTS]\n"), 2;
    brood_init(NULL);
    brood_listener_options options = { .key = argv[2], .key_size = strlen(argv[2]) };
    options.weak_digests = true; /* Python up to 3.11 has no better than MD5: leave this out if no such one calls */
    brood_listener *listener = brood_listener_create(argv[1], &options);
    if (!listener)
        return fprintf(stderr, "%s\n", brood_error()), 1;
    printf("%s\n", brood_listener_address(listener));
    fflush(stdout);
    for (long clients = argc > 3 ? strtol(argv[3], NULL, 10) : -1; clients != 0; clients--) {
        brood_connection *end = brood_listener_accept(listener, BROOD_FOREVER);
        if (!end)
            return fprintf(stderr, "%s\n", brood_error()), 1;
        answer(end);
    }
    return brood_listener_destroy(listener) < 0;
}
