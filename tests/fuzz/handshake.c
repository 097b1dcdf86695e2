/* fuzz/handshake.c: bytes from outside, as a stranger may send them, through the parsers of frames and handshakes.
 *
 * An input's first byte says which side we are, whether MD5 is allowed, and how the rest is cut into pieces; the rest
 * is what the other end sends. The MACs are not cryptographic ones here, or no input would ever get past the first
 * proof: a sum over key and message, which a fuzzer finds. What must hold: nothing is read beyond what was asked for,
 * nothing is asked for that is not the handshake's, what is sent is whole frames, and nobody is let in without a right
 * MAC.
 *
 * With libFuzzer (clang) it is fuzz_handshake. Without, it runs the files that it is given once: a test by every
 * compiler.
 */
#include "exchange/handshake.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MUST(condition) ((condition) ? (void)0 : fail(#condition, __LINE__))

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static bool proved; /* a right MAC has been seen */

static _Noreturn void fail(const char *what, int line)
{
    fprintf(stderr, "handshake.c:%d: does not hold: %s\n", line, what);
    abort();
}

static int sum(const char *digest, const void *key, size_t key_size, const void *message, size_t size,
               unsigned char mac[SEAL_MAC_MOST])
{
    const unsigned char *keys = key, *bytes = message;
    size_t length = strstr(digest, "384") ? 48 : strcmp(digest, "md5") == 0 ? 16 : 32;
    unsigned char total = 0;
    for (size_t i = 0; i < size; i++)
        total = (unsigned char)(total + (bytes[i] ^ keys[i % key_size]));
    memset(mac, (total & 3) + 'a', length); /* one of four: within a fuzzer's reach */
    return (int)length;
}

static bool same(const void *a, const void *b, size_t size)
{
    bool equal = memcmp(a, b, size) == 0;
    proved |= equal;
    return equal;
}

static const struct seal sums = { .version = SEAL_VERSION, .hmac = sum, .same = same };

/* Frames, all of them whole and short. */
static void check_sent(const struct handshake *shake)
{
    size_t at = shake->sent;
    MUST(shake->ready <= sizeof shake->out);
    while (at < shake->ready) {
        uint64_t size = 0;
        size_t want;
        int header = frame_read(shake->out + at, shake->ready - at, &size, &want);
        MUST(header == FRAME_SHORT && size > 0 && size <= HANDSHAKE_MOST);
        at += (size_t)header + (size_t)size;
    }
    MUST(at == shake->ready);
}

static void check_frame(const unsigned char *data, size_t size)
{
    uint64_t length = 0;
    size_t want;
    unsigned char again[FRAME_HEADER];
    int header = frame_read(data, size, &length, &want);
    MUST(want == FRAME_SHORT || want == FRAME_HEADER);
    if (header > 0) {
        MUST((size_t)header == want && (size_t)header <= size && length <= FRAME_MOST);
        MUST(frame_read(again, frame_write(again, length), &length, &want) == (int)want);
    } else {
        MUST(header == -EPROTO || (header == 0 && size < want));
    }
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    static const unsigned char random[HANDSHAKE_RANDOM] = "0123456789012345678901234567890123456789";
    if (size < 1)
        return 0;
    check_frame(data, size);
    struct handshake *shake = malloc(sizeof *shake); /* its end is watched by the sanitizer */
    MUST(shake != NULL);
    bool weak = data[0] & 1, listens = data[0] & 2;
    size_t piece = (data[0] >> 2) + 1;
    proved = false;
    handshake_begin(shake, &sums, "key", 3, weak, listens, random);
    size_t at = 1;
    int result = 0;
    for (;;) {
        unsigned char *where;
        check_sent(shake);
        shake->sent = shake->ready;
        size_t wants = handshake_wants(shake, &where);
        if (wants == 0 || at == size)
            break;
        MUST(wants <= FRAME_HEADER + HANDSHAKE_MOST);
        MUST(where >= shake->in && where + wants <= shake->in + sizeof shake->in);
        size_t part = wants < piece ? wants : piece;
        part = part < size - at ? part : size - at;
        memcpy(where, data + at, part);
        at += part;
        result = handshake_took(shake, part);
        if (result < 0) {
            MUST(result == -EPROTO || result == -EACCES || result == -ENOTSUP);
            MUST(shake->why && handshake_wants(shake, &where) == 0 && !handshake_done(shake));
            check_sent(shake);
            break;
        }
    }
    if (result == 0 && handshake_done(shake))
        MUST(proved);
    free(shake);
    return 0;
}

#ifdef FUZZ_BY_HAND
int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        unsigned char data[4096];
        FILE *file = fopen(argv[i], "rbe");
        if (!file)
            return perror(argv[i]), 1;
        size_t size = fread(data, 1, sizeof data, file);
        fclose(file);
        LLVMFuzzerTestOneInput(data, size);
    }
    printf("%d inputs\n", argc - 1);
    return 0;
}
#endif
