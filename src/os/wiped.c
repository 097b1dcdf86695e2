/* os/wiped.c: one private anonymous page, MADV_WIPEONFORK (Linux 4.14). */
#include "os/wiped.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>

static struct wiped before_init;
struct wiped *wiped = &before_init;

/* LeakSanitizer's, where the program has it. */
extern void __lsan_ignore_object(const void *object) __attribute__((weak));

void *wiped_allocate(size_t size)
{
    void *object = calloc(1, size);
    if (object && __lsan_ignore_object)
        __lsan_ignore_object(object);
    return object;
}

int wiped_create(void)
{
    void *page = mmap(NULL, sizeof *wiped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED)
        return -ENOMEM;
    if (madvise(page, sizeof *wiped, MADV_WIPEONFORK) < 0) {
        int failed = errno == ENOMEM ? -ENOMEM : -ENOSYS; /* too old, or a filter: EINVAL, EPERM, ... */
        munmap(page, sizeof *wiped);
        return failed;
    }
    wiped = page;
    return 0;
}
