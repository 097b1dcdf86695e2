/* process_module.c: which functions a child can be told to run, by each start method: those of the program, of a
 * library that it began with, of one loaded later; and what becomes of it when that library's file is another one by
 * then, or gone, or when the function is in no module at all.
 */
#include "harness.h"
#include "plugin/square.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define CASES_MOST 60
#define LIBRARY_MOST ((size_t)8 << 20)

/* A case's name ends with its start method. */
static brood_process_options by_method(void)
{
    int method = brood_start_find(strrchr(harness_command(NULL)[1], '_') + 1);
    NEED(method > 0);
    return (brood_process_options){ .start = (brood_start)method };
}

static bool is_copied(void)
{
    return by_method().start == BROOD_FORK;
}

static brood_end end_by(brood_target *target, const brood_process_options *options)
{
    brood_end end = { .how = BROOD_RUNNING };
    brood_process *process = CHECK_POINTER(brood_process_start(target, NULL, 0, options));
    if (process == NULL)
        return end;
    CHECK_RESULT(brood_process_join(process, &end, BROOD_FOREVER), 0);
    CHECK_RESULT(brood_process_close(process), 0);
    return end;
}

static brood_end end_of(brood_target *target)
{
    brood_process_options options = by_method();
    return end_by(target, &options);
}

/* It could not be run: a library's fault. */
static void check_not_run(const brood_end *end, int code, const char *library)
{
    CHECK_EQ(end->how, BROOD_FAILED);
    CHECK_EQ(end->code, code);
    CHECK_HAS(end->why, library);
    CHECK(strchr(end->why, '\n') == NULL);
}

/* ---- libraries' files ---- */

struct place {
    char folder[4096];
    char path[4200];
};

static const char *original(void)
{
    static char path[4200];
    snprintf(path, sizeof path, "%s/plugin/square.so", program_folder());
    return path;
}

/* Where the build-id of a library is in its file: a note of type 3, by "GNU". NULL: it has none. */
static unsigned char *find_build_id(unsigned char *bytes, size_t size)
{
    const uint32_t type = 3, name_size = 4;
    for (size_t i = 12; i + 20 < size; i++) {
        if (memcmp(&bytes[i], "GNU", 4) == 0 && memcmp(&bytes[i - 4], &type, 4) == 0 &&
            memcmp(&bytes[i - 12], &name_size, 4) == 0)
            return &bytes[i + 4];
    }
    return NULL;
}

/* Whether libraries are told apart by a build-id; else it is by their files. */
static bool has_build_id;

/* Puts a copy of the plugin at `path`, at once, as installers do. */
static void install(const char *path, bool other_build)
{
    char aside[4300];
    unsigned char *bytes = malloc(LIBRARY_MOST);
    int in = open(original(), O_RDONLY | O_CLOEXEC);
    if (in < 0)
        harness_skip("no plugin: %s", strerror(errno));
    ssize_t size = bytes != NULL ? read(in, bytes, LIBRARY_MOST) : -1;
    close(in);
    NEED(size > 0 && (size_t)size < LIBRARY_MOST);
    unsigned char *id = find_build_id(bytes, (size_t)size);
    has_build_id = id != NULL;
    if (other_build && id != NULL)
        id[0] ^= 0xff;
    snprintf(aside, sizeof aside, "%s.new", path);
    int out = open(aside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
    NEED(out >= 0 && write(out, bytes, (size_t)size) == size && close(out) == 0 && rename(aside, path) == 0);
    free(bytes);
}

static void make_place(struct place *place)
{
    NEED(make_folder(place->folder, sizeof place->folder) == 0);
    snprintf(place->path, sizeof place->path, "%s/square.so", place->folder);
    install(place->path, false);
}

static void clear_place(const struct place *place)
{
    unlink(place->path);
    CHECK(rmdir(place->folder) == 0);
}

static const struct square_plugin *plugin_of(void *library)
{
    const struct square_plugin *plugin = dlsym(library, "square_plugin");
    NEED(plugin != NULL);
    return plugin;
}

static brood_target *load(const char *path)
{
    void *library = dlopen(path, RTLD_NOW);
    NEED(library != NULL);
    return plugin_of(library)->target;
}

/* ---- found ---- */

static int hidden_function(void *arg)
{
    (void)arg;
    return 17;
}

int open_function(void *arg);

int open_function(void *arg)
{
    (void)arg;
    return 18;
}

static void of_program(void)
{
    CHECK_EQ(end_of(hidden_function).code, 17);
    CHECK_EQ(end_of(open_function).code, 18);
}

static void of_late_library(void)
{
    struct place place;
    make_place(&place);
    brood_target *target = load(place.path);
    CHECK_EQ(end_of(target).code, 42);
    CHECK_EQ(end_of(target).code, 42);
    CHECK_EQ(end_of(hidden_function).code, 17);
    clear_place(&place);
}

/* The path is made one that holds elsewhere, too. */
static void of_relative_path(void)
{
    struct place place;
    make_place(&place);
    brood_process_options options = by_method();
    options.directory = "/";
    NEED(chdir(place.folder) == 0);
    brood_target *target = load("./square.so");
    CHECK_EQ(end_by(target, &options).code, 42);
    NEED(chdir("/") == 0);
    clear_place(&place);
}

static void of_link(void)
{
    struct place place;
    char link[4300];
    make_place(&place);
    snprintf(link, sizeof link, "%s/link.so", place.folder);
    NEED(symlink("square.so", link) == 0);
    brood_target *target = load(link);
    CHECK_EQ(end_of(target).code, 42);
    NEED(unlink(link) == 0);
    clear_place(&place);
}

static int load_and_start(void *arg)
{
    return end_of(load(arg)).code;
}

/* A child of the same program may load it, too, and start others by it. */
static void of_late_library_in_child(void)
{
    struct place place;
    make_place(&place);
    brood_process_options options = by_method();
    brood_process *process = brood_process_start(load_and_start, place.path, strlen(place.path) + 1, &options);
    brood_end end;
    NEED(process != NULL);
    CHECK_RESULT(brood_process_join(process, &end, BROOD_FOREVER), 0);
    CHECK_EQ(end.code, 42);
    CHECK_RESULT(brood_process_close(process), 0);
    clear_place(&place);
}

/* The same build in another file: a build-id tells, and without one the file does. */
static void same_build(void)
{
    struct place place;
    make_place(&place);
    brood_target *target = load(place.path);
    CHECK_EQ(end_of(target).code, 42);
    install(place.path, false);
    brood_end end = end_of(target);
    if (is_copied() || has_build_id)
        CHECK_EQ(end.code, 42);
    else
        check_not_run(&end, -ESTALE, "square.so");
    clear_place(&place);
}

/* ---- not found ---- */

static void other_build(void)
{
    struct place place;
    make_place(&place);
    brood_target *target = load(place.path);
    install(place.path, true);
    brood_end end = end_of(target);
    if (is_copied()) {
        CHECK_EQ(end.code, 42);
    } else {
        check_not_run(&end, -ESTALE, "square.so");
        CHECK_HAS(end.why, "build");
    }
    CHECK_EQ(end_of(hidden_function).code, 17);
    install(place.path, false); /* the old one is back */
    if (is_copied() || has_build_id)
        CHECK_EQ(end_of(target).code, 42);
    clear_place(&place);
}

static void file_removed(void)
{
    struct place place;
    make_place(&place);
    brood_target *target = load(place.path);
    brood_process_options options = by_method();
    NEED(unlink(place.path) == 0);
    if (is_copied()) {
        CHECK_EQ(end_of(target).code, 42);
    } else {
        CHECK_NULL(brood_process_start(target, NULL, 0, &options), ENOENT);
        CHECK_HAS(brood_error(), "square.so");
    }
    CHECK_EQ(end_of(hidden_function).code, 17);
    clear_place(&place);
}

static void not_loadable(void)
{
    struct place place;
    make_place(&place);
    brood_target *target = load(place.path);
    NEED(unlink(place.path) == 0);
    FILE *file = fopen(place.path, "we");
    NEED(file != NULL && fputs("no library\n", file) >= 0 && fclose(file) == 0);
    brood_end end = end_of(target);
    if (is_copied())
        CHECK_EQ(end.code, 42);
    else
        check_not_run(&end, -ENOENT, "square.so");
    clear_place(&place);
}

/* ---- libraries that the program began with ---- */

/* The case's first process executes the program again, with the plugin loaded at its start. */
static brood_target *begin_with_library(struct place *place)
{
    if (harness_sanitized())
        harness_skip("a sanitizer wants to be the first library");
    if (harness_part() == NULL) {
        make_place(place);
        setenv("LD_PRELOAD", place->path, 1);
        harness_exec(NULL, place->folder);
        _exit(97);
    }
    snprintf(place->path, sizeof place->path, "%s", getenv("LD_PRELOAD"));
    snprintf(place->folder, sizeof place->folder, "%s", place->path);
    *strrchr(place->folder, '/') = '\0';
    return plugin_of(RTLD_DEFAULT)->target;
}

static void of_first_library(void)
{
    struct place place;
    brood_target *target = begin_with_library(&place);
    CHECK_EQ(end_of(target).code, 42);
    clear_place(&place);
    unsetenv("LD_PRELOAD"); /* now a child begins without it, but the server's */
    brood_end end = end_of(target);
    if (by_method().start == BROOD_SPAWN)
        check_not_run(&end, -ENOENT, "square.so");
    else
        CHECK_EQ(end.code, 42);
}

static void first_library_replaced(void)
{
    struct place place;
    brood_target *target = begin_with_library(&place);
    CHECK_EQ(end_of(target).code, 42);
    install(place.path, true);
    brood_end end = end_of(target);
    if (by_method().start == BROOD_SPAWN)
        check_not_run(&end, -ESTALE, "square.so");
    else
        CHECK_EQ(end.code, 42);
    CHECK_RESULT(brood_fini(), 0);
    end = end_of(target); /* a new server begins with the new one */
    if (is_copied())
        CHECK_EQ(end.code, 42);
    else
        check_not_run(&end, -ESTALE, "square.so");
    clear_place(&place);
}

/* ---- in no module ---- */

static brood_target *as_target(const void *place)
{
    brood_target *target;
    memcpy(&target, &place, sizeof target);
    return target;
}

static void check_in_no_module(const void *place)
{
    brood_process_options options = by_method();
    CHECK_NULL(brood_process_start(as_target(place), NULL, 0, &options), EINVAL);
    CHECK_HAS(brood_error(), "module");
}

/* A function that a compiler made at run time: a copied child has it, others cannot find it. */
static void generated_code(void)
{
#ifdef __x86_64__
    static const unsigned char code[] = { 0xb8, 0x2a, 0, 0, 0, 0xc3 }; /* mov $42, %eax; ret */
#elif defined __aarch64__
    static const unsigned char code[] = { 0x40, 0x05, 0x80, 0x52, 0xc0, 0x03, 0x5f, 0xd6 }; /* mov w0, #42; ret */
#else
    static const unsigned char code[] = { 0 };
    if (is_copied())
        harness_skip("no code for this machine");
#endif
    unsigned char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    NEED(page != MAP_FAILED);
    memcpy(page, code, sizeof code);
    __builtin___clear_cache((char *)page, (char *)page + sizeof code);
    NEED(mprotect(page, 4096, PROT_READ | PROT_EXEC) == 0);
    if (is_copied())
        CHECK_EQ(end_of(as_target(page)).code, 42);
    else
        check_in_no_module(page);
    munmap(page, 4096);
    if (!is_copied())
        check_in_no_module(page);
    CHECK_RESULT(brood_process_children(NULL, 0), 0);
}

static void no_function(void)
{
    static int data[16];
    int here = 0;
    if (is_copied()) { /* it tries */
        brood_process_options options = { .start = BROOD_FORK, .max_core = -1 };
        CHECK_EQ(end_by(as_target(data), &options).signal, SIGSEGV);
        return;
    }
    check_in_no_module(data);
    check_in_no_module(&here);
    check_in_no_module("text");
    unsigned long vdso = getauxval(AT_SYSINFO_EHDR);
    if (vdso != 0)
        check_in_no_module((const void *)(uintptr_t)vdso); /* the kernel's, at a place of each process' own */
    void *region = CHECK_POINTER(brood_alloc(16));
    check_in_no_module(region);
    brood_free(region);
}

/* Each case once for each start method. */
static const struct test_case *for_each_method(const struct test_case *cases)
{
    static struct test_case all[CASES_MOST];
    static char names[CASES_MOST][64];
    int count = 0;
    for (; cases->name != NULL; cases++) {
        for (int i = 1; brood_start_name((brood_start)i) != NULL; i++, count++) {
            NEED(count < CASES_MOST - 1);
            snprintf(names[count], sizeof names[count], "%s_%s", cases->name, brood_start_name((brood_start)i));
            all[count] = *cases;
            all[count].name = names[count];
        }
    }
    return all;
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { .name = "of_program", .run = of_program },
        { .name = "of_late_library", .run = of_late_library },
        { .name = "of_relative_path", .run = of_relative_path },
        { .name = "of_link", .run = of_link },
        { .name = "of_late_library_in_child", .run = of_late_library_in_child },
        { .name = "same_build", .run = same_build },
        { .name = "other_build", .run = other_build },
        { .name = "file_removed", .run = file_removed },
        { .name = "not_loadable", .run = not_loadable },
        { .name = "of_first_library", .run = of_first_library },
        { .name = "first_library_replaced", .run = first_library_replaced },
        { .name = "generated_code", .run = generated_code },
        { .name = "no_function", .run = no_function },
        { .name = NULL },
    };
    return harness_main(argc, argv, for_each_method(cases));
}
