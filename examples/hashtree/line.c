/* line.c: sha256sum's format and safe names.
 *
 * sha256sum(1) begins a line with a backslash when its name contains a backslash, newline or carriage return, and
 * writes these as \\, \n and \r; all other bytes stand for themselves, so that `sha256sum --check` finds the file
 * again.
 */
#include "line.h"

#include <limits.h>
#include <string.h>
#include <wchar.h>
#include <wctype.h>

#define DIGEST_BYTES 32

void line_print(FILE *file, const unsigned char *digest, const char *path)
{
    static const char figures[] = "0123456789abcdef";
    char hex[2 * DIGEST_BYTES + 2];
    for (int i = 0; i < DIGEST_BYTES; i++) {
        hex[2 * i] = figures[digest[i] >> 4];
        hex[2 * i + 1] = figures[digest[i] & 15];
    }
    hex[2 * DIGEST_BYTES] = hex[2 * DIGEST_BYTES + 1] = ' ';
    size_t plain = strcspn(path, "\\\n\r");
    if (path[plain])
        fputc('\\', file);
    fwrite(hex, 1, sizeof hex, file);
    for (; path[plain]; path += plain + 1, plain = strcspn(path, "\\\n\r")) {
        fwrite(path, 1, plain, file);
        fputs(path[plain] == '\n' ? "\\n" : path[plain] == '\r' ? "\\r" : "\\\\", file);
    }
    fwrite(path, 1, plain, file);
    fputc('\n', file);
}

void line_quote(char *text, size_t size, const char *path)
{
    static const char special[] = "\\\n\r\t", letters[] = "\\nrt";
    size_t length = strlen(path), used = 0;
    mbstate_t state;
    memset(&state, 0, sizeof state);
    while (length > 0) {
        wchar_t character;
        size_t bytes = mbrtowc(&character, path, length, &state);
        char piece[MB_LEN_MAX + 1];
        if (bytes <= length && *path != '\\' && iswprint((wint_t)character)) {
            memcpy(piece, path, bytes);
            piece[bytes] = '\0';
        } else {
            const char *found = strchr(special, *path);
            bytes = 1;
            memset(&state, 0, sizeof state);
            if (found)
                snprintf(piece, sizeof piece, "\\%c", letters[found - special]);
            else
                snprintf(piece, sizeof piece, "\\%03o", (unsigned)(unsigned char)*path);
        }
        size_t more = strlen(piece);
        if (used + more + sizeof "..." > size) {
            memcpy(text + used, "...", 3);
            used += 3;
            break;
        }
        memcpy(text + used, piece, more);
        used += more;
        path += bytes;
        length -= bytes;
    }
    text[used] = '\0';
}
