/* region/memory.c: brood/memory.h over the heap: the checks and the sentences. */
#include "error/error.h"
#include "region/heap.h"
#include "region/region.h"

#include <brood/memory.h>
#include <errno.h>
#include <string.h>

static void *no_memory(size_t size)
{
    error_set(ENOMEM, "no memory for %zu bytes in the region of %zu", size, (size_t)region->size);
    return NULL;
}

void *brood_alloc(size_t size)
{
    if (region_enter() < 0)
        return NULL;
    void *block = heap_take(size, true);
    return block ? block : no_memory(size);
}

void *brood_alloc_array(size_t count, size_t size)
{
    size_t bytes;
    if (region_enter() < 0)
        return NULL;
    if (__builtin_mul_overflow(count, size, &bytes)) {
        error_set(ENOMEM, "%zu elements of %zu bytes are more than there can be", count, size);
        return NULL;
    }
    return brood_alloc(bytes);
}

void *brood_alloc_aligned(size_t size, size_t alignment)
{
    if (region_enter() < 0)
        return NULL;
    if (alignment == 0 || (alignment & (alignment - 1)) != 0) {
        error_set(EINVAL, "brood_alloc_aligned: %zu is no power of two", alignment);
        return NULL;
    }
    void *block = heap_take_aligned(size, alignment);
    return block ? block : no_memory(size);
}

/* A pointer that no block starts at. */
static int refuse(const char *call, const void *block)
{
    return error_set(EINVAL, "%s: no block that is handed out begins at %p", call, block);
}

void *brood_realloc(void *block, size_t size)
{
    if (!block)
        return brood_alloc(size);
    if (region_enter() < 0)
        return NULL;
    int failed = heap_resize(&block, size);
    if (failed == -ENOMEM)
        return no_memory(size);
    if (failed < 0)
        refuse("brood_realloc", block);
    return failed < 0 ? NULL : block;
}

size_t brood_block_size(const void *block)
{
    if (region_enter() < 0)
        return 0;
    size_t size = heap_size(block);
    if (size == 0)
        refuse("brood_block_size", block);
    return size;
}

char *brood_strdup(const char *text)
{
    if (region_enter() < 0)
        return NULL;
    if (!text) {
        error_set(EINVAL, "brood_strdup: text is NULL");
        return NULL;
    }
    size_t size = strlen(text) + 1;
    char *copy = heap_take_copy(size, text, size);
    return copy ? copy : no_memory(size);
}

static void give(const char *call, void *block, void **place)
{
    if (block && heap_give(block, place) < 0)
        refuse(call, block);
}

void brood_free(void *block)
{
    if (region_enter() == 0)
        give("brood_free", block, NULL);
}

/* A place is a pointer in the region. */
static bool place_is_good(const char *call, void *place)
{
    if (region_holds(place, sizeof(void *)) && (uintptr_t)place % sizeof(void *) == 0)
        return true;
    error_set(EINVAL, "%s: %p is no place for a pointer in the region", call, place);
    return false;
}

void *brood_alloc_into(void *place, size_t size)
{
    if (region_enter() < 0 || !place_is_good("brood_alloc_into", place))
        return NULL;
    void *block = heap_take_into(place, size);
    return block ? block : no_memory(size);
}

void brood_free_from(void *place)
{
    if (region_enter() == 0 && place_is_good("brood_free_from", place))
        give("brood_free_from", *(void **)place, place);
}

int brood_contains(const void *address)
{
    return region_contains(address);
}

int brood_heap_label(void *block, const char *label)
{
    if (region_enter() < 0)
        return -EINVAL;
    if (!label)
        return error_set(EINVAL, "brood_heap_label: label is NULL");
    if (heap_size(block) == 0)
        return refuse("brood_heap_label", block);
    heap_label(block, label);
    return 0;
}
