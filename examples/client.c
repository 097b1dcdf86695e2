/* Asks examples/listener, on this machine or another: client ADDRESS KEY NAME... */
#include <brood.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
    if (argc < 4)
        return fprintf(stderr, "usage: client ADDRESS KEY NAME...\n"), 2;
    brood_init(NULL);
    brood_connection_options options = { .key = argv[2], .key_size = strlen(argv[2]) };
    brood_connection *end = brood_connection_open(argv[1], &options);
    if (!end)
        return fprintf(stderr, "%s\n", brood_error()), 1;
    for (int i = 3; i < argc; i++) {
        brood_block text;
        if (brood_connection_send(end, argv[i], strlen(argv[i]), 1000) < 0 ||
            brood_connection_recv_block(end, &text, 1000) < 0)
            return fprintf(stderr, "%s\n", brood_error()), 1;
        printf("%.*s\n", (int)text.size, (char *)text.data);
        brood_free(text.data);
    }
    return brood_connection_close(end) < 0;
}
