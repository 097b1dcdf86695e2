/* manager_snapshot.c: managers that are saved, and begin with what was saved.
 */
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { KILLS = 15, LARGE = 1000000, TORN_STEP = 7, FILE_MOST = 4096, DEEP = 64 };

/* Where the case saves. */
static char folder[PATH_MAX - 32], path[PATH_MAX - 16], fresh[PATH_MAX];

static void begin(void)
{
    NEED(make_folder(folder, sizeof folder) == 0);
    snprintf(path, sizeof path, "%s/saved", folder);
    snprintf(fresh, sizeof fresh, "%s.new", path);
}

static void end(void)
{
    unlink(path);
    unlink(fresh);
    CHECK_EQ(rmdir(folder), 0);
}

static brood_manager *load(void)
{
    brood_manager *manager = CHECK_POINTER(brood_manager_start(&(brood_manager_options){ .load = path }));
    NEED(manager != NULL);
    return manager;
}

static brood_manager *start(void)
{
    brood_manager *manager = CHECK_POINTER(brood_manager_start(NULL));
    NEED(manager != NULL);
    return manager;
}

/* With an int, under that name. */
static brood_manager *start_with(int number)
{
    brood_manager *manager = start();
    brood_managed_value *value = CHECK_POINTER(brood_manager_value(manager, "number", number));
    CHECK_RESULT(brood_managed_value_close(value), 0);
    return manager;
}

static void save_number(int number)
{
    brood_manager *manager = start_with(number);
    CHECK_RESULT(brood_manager_save(manager, path), 0);
    CHECK_RESULT(brood_manager_destroy(manager), 0);
}

/* What is saved has that number, and nothing is left beside it. */
static void check_number(int number)
{
    brood_manager *manager = load();
    brood_managed_value *value = CHECK_POINTER(brood_manager_value(manager, "number", 0));
    brood_any found;
    CHECK_RESULT(brood_managed_value_get(value, &found), 0);
    CHECK_EQ(found.integer, number);
    CHECK_RESULT(brood_manager_destroy(manager), 0);
    CHECK(access(fresh, F_OK) < 0);
}

static size_t read_file(unsigned char *bytes)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t size = read(fd, bytes, FILE_MOST);
    NEED(fd >= 0 && size > 0 && size < FILE_MOST);
    close(fd);
    return (size_t)size;
}

static void write_file(const void *bytes, size_t size)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    NEED(fd >= 0 && write(fd, bytes, size) == (ssize_t)size);
    close(fd);
}

static void refused(const char *why)
{
    CHECK_NULL(brood_manager_start(&(brood_manager_options){ .load = path }), EBADMSG);
    CHECK_HAS(brood_error(), why);
    CHECK_EQ(count_children(), 0);
}

/* ---- there and back ---- */

static void fill(brood_manager *manager)
{
    const brood_any pairs[] = { brood_any_string("a"),      brood_any_int(-1),         brood_any_int(2),
                                brood_any_double(0.5),      brood_any_bytes("b\0", 2), brood_any_nil(),
                                brood_any_uint(UINT64_MAX), brood_any_bool(true) };
    const brood_any map = brood_any_map(pairs, 4), list = brood_any_list(pairs, 6);
    brood_dict *dict = CHECK_POINTER(brood_manager_dict(manager, "dict"));
    CHECK_RESULT(brood_dict_update(dict, map), 0);
    CHECK_RESULT(brood_dict_set(dict, "inner", map), 0);
    brood_list *items = CHECK_POINTER(brood_manager_list(manager, "list"));
    CHECK_RESULT(brood_list_extend(items, list), 0);
    CHECK_RESULT(brood_list_append(items, list), 0);
    brood_set *set = CHECK_POINTER(brood_manager_set(manager, "set"));
    CHECK_RESULT(brood_set_update(set, list), 0);
    brood_namespace *names = CHECK_POINTER(brood_manager_namespace(manager, "names"));
    CHECK_RESULT(brood_namespace_set(names, "field", list), 0);
    CHECK_POINTER(brood_manager_value(manager, "value", map));
    CHECK_POINTER(brood_manager_array(manager, "array", list));
    CHECK_POINTER(brood_manager_dict(manager, ""));
    brood_dict *nameless = CHECK_POINTER(brood_manager_dict(manager, NULL));
    CHECK_RESULT(brood_dict_set(nameless, "not", "kept"), 0);
    CHECK_POINTER(brood_manager_lock(manager, "lock"));
}

static void same(brood_any *one, brood_any *other)
{
    CHECK_EQ(brood_any_equal(one, other), 1);
    brood_any_clear(one);
    brood_any_clear(other);
}

static void compare(brood_manager *one, brood_manager *other)
{
    brood_any left, right;
    CHECK_RESULT(brood_dict_items(brood_manager_dict(one, "dict"), &left), 0);
    CHECK_RESULT(brood_dict_items(brood_manager_dict(other, "dict"), &right), 0);
    CHECK_EQ(right.size, 5);
    same(&left, &right);
    CHECK_RESULT(brood_list_items(brood_manager_list(one, "list"), &left), 0);
    CHECK_RESULT(brood_list_items(brood_manager_list(other, "list"), &right), 0);
    CHECK_EQ(right.size, 7);
    same(&left, &right);
    CHECK_RESULT(brood_set_items(brood_manager_set(one, "set"), &left), 0);
    CHECK_RESULT(brood_set_items(brood_manager_set(other, "set"), &right), 0);
    CHECK_EQ(right.size, 6);
    same(&left, &right);
    CHECK_RESULT(brood_namespace_items(brood_manager_namespace(one, "names"), &left), 0);
    CHECK_RESULT(brood_namespace_items(brood_manager_namespace(other, "names"), &right), 0);
    CHECK_EQ(right.size, 1);
    same(&left, &right);
    CHECK_RESULT(brood_managed_value_get(brood_manager_value(one, "value", 0), &left), 0);
    CHECK_RESULT(brood_managed_value_get(brood_manager_value(other, "value", 0), &right), 0);
    CHECK_EQ(right.kind, BROOD_MAP);
    same(&left, &right);
    const brood_any none = brood_any_list(NULL, 0);
    CHECK_RESULT(brood_managed_array_items(brood_manager_array(one, "array", none), &left), 0);
    CHECK_RESULT(brood_managed_array_items(brood_manager_array(other, "array", none), &right), 0);
    CHECK_EQ(right.size, 6);
    same(&left, &right);
}

static void there_and_back(void)
{
    begin();
    brood_manager *manager = start();
    fill(manager);
    CHECK_RESULT(brood_manager_save(manager, path), 0);
    CHECK(access(fresh, F_OK) < 0);
    for (brood_start method = BROOD_FORK; brood_start_name(method); method++) {
        const brood_manager_options options = { .start = method, .load = path };
        brood_manager *other = CHECK_POINTER(brood_manager_start(&options));
        NEED(other != NULL);
        brood_manager_stats stats;
        CHECK_RESULT(brood_manager_stat(other, &stats), 0);
        CHECK_EQ(stats.objects, 7);
        CHECK_EQ(stats.handles, 0);
        compare(manager, other);
        CHECK_RESULT(brood_manager_destroy(other), 0);
    }
    CHECK_RESULT(brood_manager_destroy(manager), 0);
    end();
}

static void empty(void)
{
    begin();
    brood_manager *manager = start();
    CHECK_RESULT(brood_manager_save(manager, path), 0);
    CHECK_RESULT(brood_manager_destroy(manager), 0);
    manager = load();
    brood_manager_stats stats;
    CHECK_RESULT(brood_manager_stat(manager, &stats), 0);
    CHECK_EQ(stats.objects, 0);
    CHECK_RESULT(brood_manager_destroy(manager), 0);
    end();
}

/* What can be in an object can be saved with it. */
static void deep_and_large(void)
{
    static char text[LARGE + 1];
    brood_any deep[DEEP], found;
    deep[0] = brood_any_list(NULL, 0);
    for (int i = 1; i < DEEP; i++)
        deep[i] = brood_any_list(&deep[i - 1], 1);
    memset(text, 't', LARGE);
    begin();
    brood_manager *manager = start();
    brood_list *list = CHECK_POINTER(brood_manager_list(manager, "list"));
    CHECK_RESULT(brood_list_append(list, deep[DEEP - 1]), 0);
    CHECK_RESULT(brood_list_append(list, text), 0);
    CHECK_RESULT(brood_manager_save(manager, path), 0);
    CHECK_RESULT(brood_manager_destroy(manager), 0);
    manager = load();
    list = CHECK_POINTER(brood_manager_list(manager, "list"));
    CHECK_RESULT(brood_list_get(list, 0, &found), 0);
    CHECK_EQ(brood_any_equal(&found, &deep[DEEP - 1]), 1);
    brood_any_clear(&found);
    CHECK_RESULT(brood_list_get(list, 1, &found), 0);
    CHECK_EQ(found.size, LARGE);
    brood_any_clear(&found);
    CHECK_RESULT(brood_manager_destroy(manager), 0);
    end();
}

/* ---- files that are none ---- */

static void torn(void)
{
    unsigned char bytes[FILE_MOST];
    begin();
    brood_manager *manager = start();
    fill(manager);
    CHECK_RESULT(brood_manager_save(manager, path), 0);
    CHECK_RESULT(brood_manager_destroy(manager), 0);
    size_t size = read_file(bytes);
    for (size_t cut = 0; cut < size; cut += TORN_STEP) {
        write_file(bytes, cut);
        refused("torn");
    }
    write_file(bytes, size - 1);
    refused("torn");
    bytes[size] = 0;
    write_file(bytes, size + 1);
    refused("torn");
    CHECK_RESULT(brood_heap_check(), 0);
    end();
}

static void changed(void)
{
    unsigned char bytes[FILE_MOST];
    begin();
    save_number(5);
    size_t size = read_file(bytes);
    for (size_t i = 0; i < size; i++) {
        bytes[i] ^= 0x10;
        write_file(bytes, size);
        refused("no file of brood_manager_save");
        bytes[i] ^= 0x10;
    }
    write_file(bytes, size);
    check_number(5);
    end();
}

static uint32_t crc(const unsigned char *bytes, size_t size)
{
    uint32_t sum = UINT32_MAX;
    for (size_t i = 0; i < size; i++) {
        sum ^= bytes[i];
        for (int bit = 0; bit < 8; bit++)
            sum = sum >> 1 ^ (sum & 1 ? 0xedb88320u : 0);
    }
    return ~sum;
}

/* With the right frame and checksum; `size` without a text's end. */
static void write_framed(const char *content, size_t size)
{
    unsigned char bytes[FILE_MOST];
    static const char head[] = "\x84\x6d"
                               "brood manager"
                               "\x01";
    memcpy(bytes, head, sizeof head - 1);
    memcpy(bytes + sizeof head - 1, content, size);
    size += sizeof head - 1;
    uint32_t sum = crc(bytes, size);
    const unsigned char tail[] = { 0x44, (unsigned char)(sum >> 24), (unsigned char)(sum >> 16),
                                   (unsigned char)(sum >> 8), (unsigned char)sum };
    memcpy(bytes + size, tail, sizeof tail);
    write_file(bytes, size + sizeof tail);
}

#define WRITE_FRAMED(content) write_framed(content, sizeof(content) - 1)

/* What has the right checksum is not trusted either. */
static void foreign(void)
{
    begin();
    WRITE_FRAMED("\x81\x83\x66number\x65value\x05");
    check_number(5);
    WRITE_FRAMED("\x05"); /* no list */
    refused("no objects");
    WRITE_FRAMED("\x81\x05");
    refused("no objects");
    WRITE_FRAMED("\x82\x83\x61n\x65value\x05"); /* of two only one */
    refused("no objects");
    WRITE_FRAMED("\x80\x80"); /* two lists */
    refused("no objects");
    WRITE_FRAMED("\x81\x82\x61n\x65value"); /* no content */
    refused("no objects");
    WRITE_FRAMED("\x81\x83\x01\x65value\x05"); /* a name that is none */
    refused("no objects");
    WRITE_FRAMED("\x81\x83\x61\xff\x65value\x05");
    refused("no objects");
    WRITE_FRAMED("\x81\x83\x61n\x64lock\x05"); /* types that are not kept, or are none */
    refused("no objects");
    WRITE_FRAMED("\x81\x83\x61n\x68"
                 "dict.set\xa0");
    refused("no objects");
    WRITE_FRAMED("\x81\x83\x61n\x67nothing\x05");
    refused("no objects");
    WRITE_FRAMED("\x81\x83\x61n\x64"
                 "dict\x80"); /* contents of another type */
    refused("only by a map");
    WRITE_FRAMED("\x81\x83\x61n\x64list\xa0");
    refused("no list");
    WRITE_FRAMED("\x81\x83\x61n\x65"
                 "array\x05");
    refused("no list");
    WRITE_FRAMED("\x81\x83\x61n\x63set\x81\x80");
    refused("cannot be in a set");
    WRITE_FRAMED("\x81\x83\x61n\x64"
                 "dict\xa1\x80\x05"); /* a key that is none */
    refused("no objects");
    WRITE_FRAMED("\x82\x83\x61n\x65value\x05\x83\x61n\x65value\x06");
    refused("two objects of one name");
    end();
}

/* A list of two dictionaries, which have one value for both, and one of them a lock besides; all but the list without a
 * name. */
static void fill_with_references(brood_manager *manager)
{
    brood_list *list = CHECK_POINTER(brood_manager_list(manager, "list"));
    brood_managed_value *value = CHECK_POINTER(brood_manager_value(manager, NULL, 7));
    brood_managed_lock *lock = CHECK_POINTER(brood_manager_lock(manager, NULL));
    for (int i = 0; i < 2; i++) {
        brood_dict *dict = CHECK_POINTER(brood_manager_dict(manager, NULL));
        const brood_any in_a_list[] = { brood_any_int(i), brood_any_reference(value) };
        CHECK_RESULT(brood_dict_set(dict, "value", brood_any_list(in_a_list, 2)), 0);
        if (i == 1)
            CHECK_RESULT(brood_dict_set(dict, "lock", lock), 0);
        CHECK_RESULT(brood_list_append(list, dict), 0);
        CHECK_RESULT(brood_dict_close(dict), 0);
    }
    CHECK_RESULT(brood_managed_value_close(value), 0);
    CHECK_RESULT(brood_managed_lock_close(lock), 0);
    CHECK_RESULT(brood_list_close(list), 0);
}

/* What has no name, but is referred to, is kept; one that two refer to is one again. */
static void references(void)
{
    begin();
    brood_manager *manager = start();
    fill_with_references(manager);
    CHECK_RESULT(brood_manager_save(manager, path), 0);
    CHECK_RESULT(brood_manager_destroy(manager), 0);
    for (int again = 0; again < 2; again++) {
        manager = load();
        brood_list *list = CHECK_POINTER(brood_manager_list(manager, "list"));
        brood_manager_stats stats;
        CHECK_RESULT(brood_manager_stat(manager, &stats), 0);
        CHECK_EQ(stats.objects, 4);
        brood_any all, pair, lock;
        brood_dict *dicts[2];
        CHECK_RESULT(brood_list_items(list, &all), 0);
        NEED(all.size == 2);
        for (int i = 0; i < 2; i++)
            dicts[i] = CHECK_POINTER(brood_reference_dict(manager, &all.items[i]));
        brood_any_clear(&all);
        CHECK_RESULT(brood_dict_get(dicts[0], "value", &pair), 0);
        brood_managed_value *value = CHECK_POINTER(brood_reference_value(manager, &pair.items[1]));
        CHECK_RESULT(brood_managed_value_set(value, 8), 0);
        CHECK_RESULT(brood_managed_value_close(value), 0);
        brood_any_clear(&pair);
        CHECK_RESULT(brood_dict_get(dicts[1], "value", &pair), 0);
        CHECK_EQ(pair.items[0].integer, 1);
        value = CHECK_POINTER(brood_reference_value(manager, &pair.items[1]));
        brood_any_clear(&pair);
        CHECK_RESULT(brood_managed_value_get(value, &pair), 0);
        CHECK_EQ(pair.integer, 8);
        CHECK_RESULT(brood_managed_value_close(value), 0);
        CHECK_RESULT(brood_dict_get(dicts[1], "lock", &lock), 0);
        CHECK_EQ(lock.kind, BROOD_NIL);
        CHECK_RESULT(brood_dict_close(dicts[0]), 0);
        CHECK_RESULT(brood_dict_close(dicts[1]), 0);
        CHECK_RESULT(brood_manager_save(manager, path), 0);
        CHECK_RESULT(brood_manager_forget(manager, "list"), 0);
        CHECK_RESULT(brood_list_close(list), 0);
        CHECK_RESULT(brood_manager_stat(manager, &stats), 0);
        CHECK_EQ(stats.objects, 0);
        CHECK_RESULT(brood_manager_destroy(manager), 0);
    }
    end();
}

static void foreign_references(void)
{
    brood_manager_stats stats;
    begin();
    WRITE_FRAMED("\x82\x83\x66number\x65value\xd8\x27\x01\x83\xf6\x65value\x05"); /* to one without a name */
    brood_manager *manager = load();
    CHECK_RESULT(brood_manager_stat(manager, &stats), 0);
    CHECK_EQ(stats.objects, 2);
    CHECK_RESULT(brood_manager_destroy(manager), 0);
    WRITE_FRAMED("\x82\x83\x66number\x65value\x05\x83\xf6\x65value\x05"); /* one that nothing refers to */
    manager = load();
    CHECK_RESULT(brood_manager_stat(manager, &stats), 0);
    CHECK_EQ(stats.objects, 1);
    CHECK_RESULT(brood_manager_destroy(manager), 0);
    WRITE_FRAMED("\x81\x83\x61n\x65value\xd8\x27\x01"); /* to none */
    refused("no objects");
    WRITE_FRAMED("\x81\x83\x61n\x65value\xd8\x27\x1b\xff\xff\xff\xff\xff\xff\xff\xff");
    refused("no objects");
    WRITE_FRAMED("\x81\x83\x61n\x65value\xd8\x27\x00"); /* to itself */
    refused("would refer to itself");
    WRITE_FRAMED("\x82\x83\x61n\x64list\x81\xd8\x27\x01\x83\xf6\x64list\x82\x01\x81\xd8\x27\x00");
    refused("would refer to itself");
    WRITE_FRAMED("\x81\x83\x61n\x63set\x81\xd8\x27\x00");
    refused("would refer to itself");
    WRITE_FRAMED("\x81\x83\x61n\x65value\xd8\x26\x00"); /* another tag */
    refused("no objects");
    end();
}

static void no_file(void)
{
    begin();
    CHECK_NULL(brood_manager_start(&(brood_manager_options){ .load = path }), ENOENT);
    CHECK_HAS(brood_error(), path);
    CHECK_NULL(brood_manager_start(&(brood_manager_options){ .load = folder }), EISDIR);
    CHECK_NULL(brood_manager_start(&(brood_manager_options){ .load = "/dev/null" }), EBADMSG);
    CHECK_EQ(mkfifo(path, 0600), 0);
    refused("torn");
    CHECK_EQ(count_children(), 0);
    end();
}

static void beyond_limits(void)
{
    begin();
    brood_manager *manager = start();
    fill(manager);
    CHECK_RESULT(brood_manager_save(manager, path), 0);
    CHECK_RESULT(brood_manager_destroy(manager), 0);
    CHECK_NULL(brood_manager_start(&(brood_manager_options){ .load = path, .max_objects = 6 }), ENOSPC);
    CHECK_HAS(brood_error(), "6 objects");
    CHECK_NULL(brood_manager_start(&(brood_manager_options){ .load = path, .max_memory = 2000 }), ENOMEM);
    CHECK_HAS(brood_error(), "2000");
    WRITE_FRAMED("\x81\x83\x61n\x65value\x81\x80");
    CHECK_NULL(brood_manager_start(&(brood_manager_options){ .load = path, .max_depth = 1 }), EMSGSIZE);
    CHECK_HAS(brood_error(), "1 deep");
    WRITE_FRAMED("\x81\x83\x61n\x64list\x81\x80");
    manager = CHECK_POINTER(brood_manager_start(&(brood_manager_options){ .load = path, .max_depth = 1 }));
    CHECK_RESULT(brood_manager_destroy(manager), 0);
    CHECK_EQ(count_children(), 0);
    end();
}

/* ---- saving that fails ---- */

static void full_disk(void)
{
    begin();
    save_number(1);
    brood_manager *manager = start_with(2);
    struct rlimit before;
    CHECK_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
    CHECK_EQ(setrlimit(RLIMIT_FSIZE, &(struct rlimit){ 30, before.rlim_max }), 0);
    CHECK_RESULT(brood_manager_save(manager, path), -EFBIG);
    CHECK_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
    CHECK_HAS(brood_error(), path);
    check_number(1);
    CHECK_RESULT(brood_manager_save(manager, path), 0);
    check_number(2);
    CHECK_RESULT(brood_manager_destroy(manager), 0);
    end();
}

static int save_without_disk(void *arg)
{
    if (refuse_call(SYS_fsync, ENOSPC) < 0)
        return 77;
    CHECK_RESULT(brood_manager_save(arg, path), -ENOSPC);
    return 0;
}

static int save_without_writing(void *arg)
{
    if (refuse_call(SYS_pwrite64, EIO) < 0)
        return 77;
    CHECK_RESULT(brood_manager_save(arg, path), -EIO);
    return 0;
}

static void disk_that_fails(void)
{
    begin();
    save_number(1);
    brood_manager *manager = start_with(2);
    int status = wait_child(fork_child(save_without_disk, manager));
    CHECK(status == 0 || status == 77 << 8);
    check_number(1);
    status = wait_child(fork_child(save_without_writing, manager));
    CHECK(status == 0 || status == 77 << 8);
    check_number(1);
    CHECK_RESULT(brood_manager_destroy(manager), 0);
    end();
}

static void wrong_paths(void)
{
    char longest[PATH_MAX + 1];
    begin();
    brood_manager *manager = start_with(1);
    CHECK_RESULT(brood_manager_save(manager, NULL), -EINVAL);
    CHECK_RESULT(brood_manager_save(NULL, path), -EINVAL);
    snprintf(longest, sizeof longest, "%s/none/saved", folder);
    CHECK_RESULT(brood_manager_save(manager, longest), -ENOENT);
    CHECK_RESULT(brood_manager_save(manager, folder), -EISDIR);
    memset(longest, 'l', PATH_MAX);
    longest[PATH_MAX] = 0;
    CHECK_RESULT(brood_manager_save(manager, longest), -ENAMETOOLONG);
    CHECK_EQ(symlink("elsewhere", fresh), 0);
    CHECK_RESULT(brood_manager_save(manager, path), -EINVAL);
    unlink(fresh);
    int fd = open(fresh, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    CHECK_EQ(flock(fd, LOCK_EX), 0);
    CHECK_RESULT(brood_manager_save(manager, path), -EBUSY);
    CHECK_EQ(flock(fd, LOCK_UN), 0);
    close(fd);
    CHECK_RESULT(brood_manager_save(manager, path), 0); /* what was left by somebody is overwritten */
    check_number(1);
    CHECK_RESULT(brood_manager_shutdown(manager), 0);
    CHECK_RESULT(brood_manager_save(manager, path), -EPIPE);
    CHECK_RESULT(brood_manager_destroy(manager), 0);
    check_number(1);
    end();
}

static void of_another_family(void)
{
    char address[64];
    snprintf(address, sizeof address, "unix:@brood-saved-%d", (int)getpid());
    begin();
    brood_manager *manager = start();
    CHECK_RESULT(brood_manager_listen(manager, address, NULL), 0);
    brood_manager *other = CHECK_POINTER(brood_manager_connect(address, NULL));
    CHECK_RESULT(brood_manager_save(other, path), -ECHILD);
    CHECK_RESULT(brood_manager_destroy(other), 0);
    CHECK_RESULT(brood_manager_destroy(manager), 0);
    end();
}

/* ---- killed ---- */

static _Atomic int *saves;

static int save_for_ever(void *arg)
{
    brood_manager *manager = arg;
    brood_list *list = CHECK_POINTER(brood_manager_list(manager, "list"));
    for (int i = 1; i < INT_MAX; i++) {
        const brood_any two[] = { brood_any_int(i), brood_any_int(i) };
        CHECK_RESULT(brood_list_set_slice(list, 0, 2, brood_any_list(two, 2)), 0);
        CHECK_RESULT(brood_manager_save(manager, path), 0);
        atomic_fetch_add(saves, 1);
    }
    return 0;
}

/* The file is there, whole and as it was at one moment, and whoever saves next is not held up. */
static void killed_while_it_saves(void)
{
    static char text[LARGE + 1];
    uint32_t random = 4711;
    begin();
    saves = harness_page();
    memset(text, 't', LARGE);
    brood_manager *manager = start();
    brood_list *list = CHECK_POINTER(brood_manager_list(manager, "list"));
    const brood_any items[] = { brood_any_int(0), brood_any_int(0), brood_any_string(text) };
    CHECK_RESULT(brood_list_extend(list, brood_any_list(items, 3)), 0);
    CHECK_RESULT(brood_manager_save(manager, path), 0);
    for (int i = 0; i < harness_times(KILLS); i++) {
        int before = atomic_load(saves);
        pid_t child = fork_child(save_for_ever, manager);
        CHECK(wait_word(saves, before + 1, 10000));
        pass_us(random_next(&random) % 20000);
        kill_child(child);
        brood_manager *other = load();
        brood_list *saved = CHECK_POINTER(brood_manager_list(other, "list"));
        brood_any one, two;
        CHECK_RESULT(brood_list_get(saved, 0, &one), 0);
        CHECK_RESULT(brood_list_get(saved, 1, &two), 0);
        CHECK(one.integer > 0 && one.integer == two.integer);
        CHECK_RESULT(brood_list_length(saved), 3);
        CHECK_RESULT(brood_manager_destroy(other), 0);
    }
    CHECK_RESULT(brood_manager_save(manager, path), 0);
    CHECK(access(fresh, F_OK) < 0);
    CHECK_RESULT(brood_manager_destroy(manager), 0);
    end();
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { .name = "there_and_back", .run = there_and_back },
        { .name = "empty", .run = empty },
        { .name = "deep_and_large", .run = deep_and_large },
        { .name = "torn", .run = torn },
        { .name = "changed", .run = changed },
        { .name = "foreign", .run = foreign },
        { .name = "references", .run = references },
        { .name = "foreign_references", .run = foreign_references },
        { .name = "no_file", .run = no_file },
        { .name = "beyond_limits", .run = beyond_limits },
        { .name = "full_disk", .run = full_disk },
        { .name = "disk_that_fails", .run = disk_that_fails },
        { .name = "wrong_paths", .run = wrong_paths },
        { .name = "of_another_family", .run = of_another_family },
        { .name = "killed_while_it_saves", .run = killed_while_it_saves, .deadline_s = 60 },
        { .name = NULL },
    };
    return harness_main(argc, argv, cases);
}
