/* memory_place.c: brood_alloc_into and brood_free_from: the block and the pointer to it change as one, or not at all.
 */
#include "harness.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct places {
    char *pointer[4];
};

static size_t blocks_now(void)
{
    brood_heap_stats stats = { 0 };
    CHECK_RESULT(brood_heap_stat(&stats), 0);
    return stats.blocks;
}

static void into_and_from(void)
{
    struct places *places = CHECK_POINTER(brood_alloc(sizeof *places));
    size_t before = blocks_now();
    static const size_t size[] = { 0, 1, 16, 17, 1000, 4096, 32 << 10, (32 << 10) + 1, 1 << 20 };
    for (size_t i = 0; i < sizeof size / sizeof *size; i++) {
        for (int round = 0; round < 3; round++) {
            char *block = CHECK_POINTER(brood_alloc_into(&places->pointer[1], size[i]));
            CHECK(block == places->pointer[1]);
            CHECK(brood_contains(block));
            CHECK_EQ((uintptr_t)block % 16, 0);
            for (size_t byte = 0; byte < size[i]; byte++)
                NEED(block[byte] == 0);
            memset(block, 0x55, size[i]);
            CHECK_EQ((long long)blocks_now(), (long long)before + 1);
            CHECK_ERRNO(brood_free_from(&places->pointer[1]), 0);
            CHECK(places->pointer[1] == NULL);
            CHECK_EQ((long long)blocks_now(), (long long)before);
        }
    }
    CHECK(places->pointer[0] == NULL && places->pointer[2] == NULL);
    CHECK_RESULT(brood_heap_check(), 0);
    brood_free(places);
}

/* Either call goes with either kind of block. */
static void mixed_with_plain(void)
{
    struct places *places = CHECK_POINTER(brood_alloc(sizeof *places));
    size_t before = blocks_now();
    places->pointer[0] = CHECK_POINTER(brood_alloc(100));
    CHECK_ERRNO(brood_free_from(&places->pointer[0]), 0);
    CHECK(places->pointer[0] == NULL);
    CHECK_POINTER(brood_alloc_into(&places->pointer[0], 100));
    CHECK_ERRNO(brood_free(places->pointer[0]), 0);
    CHECK(places->pointer[0] != NULL);
    CHECK_ERRNO(brood_free_from(&places->pointer[0]), EINVAL);
    CHECK(places->pointer[0] != NULL);
    CHECK_EQ((long long)blocks_now(), (long long)before);
    brood_free(places);
}

static void old_pointer_stays_a_block(void)
{
    struct places *places = CHECK_POINTER(brood_alloc(sizeof *places));
    size_t before = blocks_now();
    char *old = CHECK_POINTER(brood_alloc_into(&places->pointer[0], 40));
    memset(old, 7, 40);
    char *new = CHECK_POINTER(brood_alloc_into(&places->pointer[0], 40));
    CHECK(new != old);
    CHECK(places->pointer[0] == new);
    CHECK_EQ((long long)blocks_now(), (long long)before + 2);
    for (int i = 0; i < 40; i++)
        CHECK_EQ(old[i], 7);
    CHECK_ERRNO(brood_free(old), 0);
    CHECK_ERRNO(brood_free_from(&places->pointer[0]), 0);
    CHECK_ERRNO(brood_free_from(&places->pointer[0]), 0); /* a NULL there is fine */
    CHECK_EQ((long long)blocks_now(), (long long)before);
    brood_free(places);
}

static void wrong_places(void)
{
    struct places *places = CHECK_POINTER(brood_alloc(sizeof *places));
    size_t before = blocks_now();
    char *here = NULL;
    static char *there;
    for (size_t offset = 1; offset < sizeof(char *); offset++) {
        CHECK_NULL(brood_alloc_into((char *)places + offset, 8), EINVAL);
        CHECK_ERRNO(brood_free_from((char *)places + offset), EINVAL);
    }
    CHECK_NULL(brood_alloc_into(&here, 8), EINVAL);
    CHECK_NULL(brood_alloc_into(&there, 8), EINVAL);
    CHECK_NULL(brood_alloc_into(NULL, 8), EINVAL);
    CHECK_ERRNO(brood_free_from(&here), EINVAL);
    CHECK_ERRNO(brood_free_from(&there), EINVAL);
    CHECK_ERRNO(brood_free_from(NULL), EINVAL);
    CHECK(here == NULL && there == NULL);
    for (size_t i = 0; i < 4; i++)
        CHECK(places->pointer[i] == NULL);
    CHECK_EQ((long long)blocks_now(), (long long)before);
    CHECK_RESULT(brood_heap_check(), 0);
    brood_free(places);
}

static void wrong_pointers(void)
{
    struct places *places = CHECK_POINTER(brood_alloc(sizeof *places));
    char *heap = malloc(64);
    char *block = CHECK_POINTER(brood_alloc(64));
    char *wrong[] = { heap, block + 16, block + 1, (char *)places + 8, (char *)16 };
    size_t before = blocks_now();
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        places->pointer[2] = wrong[i];
        CHECK_ERRNO(brood_free_from(&places->pointer[2]), EINVAL);
        CHECK(places->pointer[2] == wrong[i]);
    }
    CHECK_EQ((long long)blocks_now(), (long long)before);
    CHECK_RESULT(brood_heap_check(), 0);
    places->pointer[2] = NULL;
    brood_free(block);
    brood_free(places);
    free(heap);
}

static void no_room(void)
{
    NEED(brood_init(&(brood_init_options){ .limit = 4 << 20 }) == 0);
    struct places *places = CHECK_POINTER(brood_alloc(sizeof *places));
    places->pointer[3] = (char *)places;
    CHECK_NULL(brood_alloc_into(&places->pointer[3], SIZE_MAX), ENOMEM);
    CHECK_NULL(brood_alloc_into(&places->pointer[3], 8 << 20), ENOMEM);
    CHECK(places->pointer[3] == (char *)places);
    static const size_t size[] = { 100 << 10, 1000, 16 };
    for (size_t i = 0; i < 3; i++) {
        while (brood_alloc(size[i]) != NULL)
            ;
    }
    CHECK_NULL(brood_alloc_into(&places->pointer[3], 16), ENOMEM);
    CHECK(places->pointer[3] == (char *)places);
    CHECK_RESULT(brood_heap_check(), 0);
}

/* A list whose links are the places: it can be taken apart from its head, each node holding the next one's place. */
static void list_of_places(void)
{
    struct node {
        struct node *next;
        int value;
    };
    struct node **head = CHECK_POINTER(brood_alloc(sizeof *head));
    size_t before = blocks_now();
    struct node **tail = head;
    for (int i = 0; i < 1000; i++) {
        struct node *node = CHECK_POINTER(brood_alloc_into(tail, sizeof *node));
        node->value = i;
        tail = &node->next;
    }
    int i = 0;
    for (struct node *node = *head; node != NULL; node = node->next)
        CHECK_EQ(node->value, i++);
    CHECK_EQ(i, 1000);
    while (*head != NULL) {
        struct node *second = (*head)->next;
        brood_free_from(head);
        *head = second;
    }
    CHECK_EQ((long long)blocks_now(), (long long)before);
    brood_free(head);
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { .name = "into_and_from", .run = into_and_from },
        { .name = "mixed_with_plain", .run = mixed_with_plain },
        { .name = "old_pointer_stays_a_block", .run = old_pointer_stays_a_block },
        { .name = "wrong_places", .run = wrong_places },
        { .name = "wrong_pointers", .run = wrong_pointers },
        { .name = "no_room", .run = no_room, .no_init = true },
        { .name = "list_of_places", .run = list_of_places },
        { .name = NULL },
    };
    return harness_main(argc, argv, cases);
}
