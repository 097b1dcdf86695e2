/* A child answers over a pipe until the other end is closed: prints Hello, World! */
#include <brood.h>
#include <stdio.h>

static int answer(void *arg)
{
    brood_connection *end = arg;
    char name[32], text[64];
    size_t size;
    while (brood_connection_recv(end, name, sizeof name, &size, BROOD_FOREVER) == 0) {
        int length = snprintf(text, sizeof text, "Hello, %.*s!", (int)size, name);
        if (brood_connection_send(end, text, (size_t)length, BROOD_FOREVER) < 0)
            return 1;
    }
    return 0; /* EPIPE: the other end was closed, or its process is gone */
}

int main(void)
{
    brood_connection *ends[2];
    brood_block text;
    if (brood_init(NULL) < 0 || brood_pipe_create(ends, NULL) < 0)
        return fprintf(stderr, "%s\n", brood_error()), 1;
    brood_process *child = brood_process_start(answer, ends[1], 0, NULL);
    if (brood_pipe_give(ends[1], child) < 0 || /* now its death would be noticed here, however early it came */
        brood_connection_send(ends[0], "World", 5, BROOD_FOREVER) < 0 ||
        brood_connection_recv_block(ends[0], &text, BROOD_FOREVER) < 0)
        return fprintf(stderr, "%s\n", brood_error()), 1;
    printf("%.*s\n", (int)text.size, (char *)text.data);
    brood_free(text.data);
    brood_connection_close(ends[0]);
    brood_connection_close(ends[1]); /* handed on: its maker closes it all the same */
    return brood_process_join(child, NULL, BROOD_FOREVER) < 0;
}
