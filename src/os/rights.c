/* os/rights.c: getresuid(2), getresgid(2), getgroups(2), capget(2). */
#include "os/rights.h"

#include "os/wiped.h"

#include <linux/capability.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

struct rights {
    uid_t users[3];
    gid_t groups[3];
    uint32_t permitted[_LINUX_CAPABILITY_U32S_3];
    int more_count;
    gid_t more[]; /* in the kernel's order, which is by number */
};

static void ask_capabilities(uint32_t *permitted)
{
    struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3] = { 0 };
    syscall(SYS_capget, &header, sets);
    for (int i = 0; i < _LINUX_CAPABILITY_U32S_3; i++)
        permitted[i] = sets[i].permitted;
}

struct rights *rights_now(void)
{
    for (;;) {
        int count = getgroups(0, NULL);
        size_t room = count > 0 ? (size_t)count : 0;
        struct rights *rights = wiped_allocate(sizeof *rights + room * sizeof *rights->more);
        if (!rights)
            return NULL;
        getresuid(&rights->users[0], &rights->users[1], &rights->users[2]);
        getresgid(&rights->groups[0], &rights->groups[1], &rights->groups[2]);
        ask_capabilities(rights->permitted);
        rights->more_count = count > 0 ? getgroups(count, rights->more) : 0;
        if (rights->more_count >= 0)
            return rights;
        free(rights); /* another thread gave this one more groups meanwhile */
    }
}

bool rights_equal(const struct rights *one, const struct rights *other)
{
    return one->more_count == other->more_count &&
           memcmp(one, other, sizeof *one + (size_t)one->more_count * sizeof *one->more) == 0;
}
