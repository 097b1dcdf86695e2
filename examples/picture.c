/* picture FILE.png [WIDTH HEIGHT]: draws the Mandelbrot set on all processors, tile by tile as they are done, with a
 * progress bar, and writes it as a PNG.
 */
#include <brood.h>
#include <errno.h>
#include <png.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TILE 64     /* pixels a side */
#define DEEPEST 500 /* steps until a point counts as one of the set */
#define SIDE_MOST 20000

struct tile {
    int left, top, width, height; /* of the picture */
};

struct pixels {
    uint8_t grey[TILE][TILE];
};

static int draw(const void *in, void *out)
{
    const struct tile *tile = in;
    struct pixels *pixels = out;
    double scale = 3.0 / (tile->width > tile->height ? tile->width : tile->height);
    for (int y = 0; y < TILE; y++) {
        for (int x = 0; x < TILE; x++) {
            double real = (tile->left + x - tile->width * 0.65) * scale, imaginary, a = 0, b = 0;
            int steps = 0;
            imaginary = (tile->top + y - tile->height * 0.5) * scale;
            for (; steps < DEEPEST && a * a + b * b < 4; steps++) {
                double next = a * a - b * b + real;
                b = 2 * a * b + imaginary;
                a = next;
            }
            pixels->grey[y][x] = steps == DEEPEST ? 0 : (uint8_t)(255 - steps * 7 % 256);
        }
    }
    return 0;
}

static size_t tiles_of(int pixels)
{
    return ((size_t)pixels + TILE - 1) / TILE;
}

/* The tile of that index. */
static struct tile tile_at(size_t index, int width, int height)
{
    size_t across = tiles_of(width);
    return (struct tile){ (int)(index % across) * TILE, (int)(index / across) * TILE, width, height };
}

struct reader {
    size_t next, count;
    int width, height;
};

static int next_tile(void *context, void *in)
{
    struct reader *reader = context;
    if (reader->next == reader->count)
        return 1;
    *(struct tile *)in = tile_at(reader->next++, reader->width, reader->height);
    return 0;
}

static void paste(uint8_t *picture, const struct tile *tile, const struct pixels *pixels)
{
    int columns = tile->width - tile->left < TILE ? tile->width - tile->left : TILE;
    for (int y = 0; y < TILE && tile->top + y < tile->height; y++)
        memcpy(picture + (size_t)(tile->top + y) * (size_t)tile->width + (size_t)tile->left, pixels->grey[y],
               (size_t)columns);
}

/* -1, and a sentence: not all tiles were drawn. */
static int draw_all(brood_pool *pool, uint8_t *picture, int width, int height)
{
    struct reader reader = { .count = tiles_of(width) * tiles_of(height), .width = width, .height = height };
    brood_result *tiles = brood_pool_imap(pool, draw, next_tile, &reader, sizeof(struct tile), sizeof(struct pixels),
                                          &(brood_task_options){ .unordered = true,
                                                                 .retries = 3,
                                                                 .progress = brood_progress_bar,
                                                                 .context = "tiles",
                                                                 .expect = reader.count });
    struct pixels pixels;
    brood_end end;
    int told;
    if (!tiles)
        return -1;
    while ((told = brood_result_next(tiles, &pixels, &end, BROOD_FOREVER)) == 0) {
        struct tile tile = tile_at(end.index, width, height);
        paste(picture, &tile, &pixels);
    }
    brood_result_destroy(tiles);
    return told == -EPIPE ? 0 : -1;
}

static int fail(const char *why)
{
    fprintf(stderr, "picture: %s\n", why);
    return 1;
}

static int side(const char *text)
{
    char *end;
    long pixels = strtol(text, &end, 10);
    return *end || pixels < 1 || pixels > SIDE_MOST ? 0 : (int)pixels;
}

int main(int argc, char **argv)
{
    if (brood_init(NULL) < 0)
        return fail(brood_error());
    int width = argc == 4 ? side(argv[2]) : 1200, height = argc == 4 ? side(argv[3]) : 800;
    if ((argc != 2 && argc != 4) || width == 0 || height == 0)
        return fail("usage: picture FILE.png [WIDTH HEIGHT]");

    uint8_t *picture = calloc((size_t)width, (size_t)height);
    brood_pool *pool = picture ? brood_pool_create(0, &(brood_pool_options){ .name = "picture" }) : NULL;
    if (!pool || draw_all(pool, picture, width, height) < 0) {
        fail(picture ? brood_error() : "no memory for the picture");
        free(picture);
        return 1;
    }
    brood_pool_destroy(pool);

    png_image image = { .version = PNG_IMAGE_VERSION,
                        .width = (png_uint_32)width,
                        .height = (png_uint_32)height,
                        .format = PNG_FORMAT_GRAY };
    bool written = png_image_write_to_file(&image, argv[1], 0, picture, 0, NULL);
    free(picture);
    return written ? 0 : fail(image.message);
}
