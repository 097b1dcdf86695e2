/* os/module.c: a function named by its module and its place in it.
 *
 * The loader's own list (dl_iterate_phdr) says what is loaded where, in static programs too. Which libraries the
 * program was started with is remembered when this code is loaded itself, before main: a fresh process will have the
 * same. The files of libraries without a build-id are looked at then, too: later their paths may name other files, or,
 * after a chdir, none.
 */
#include "os/module.h"

#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <link.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>

#define STARTED_MAX 256

typedef ElfW(Phdr) elf_header;

/* A module that was there at the start. The loader never unloads those, so the address is enough to know it again. */
struct started {
    uintptr_t headers;
    uint64_t device, inode, mtime_ns;
};

static struct started started_modules[STARTED_MAX]; /* written by the constructor only */
static size_t started_count;                        /* above STARTED_MAX: some were not noted */

static bool is_program(const struct dl_phdr_info *module)
{
    return (uintptr_t)module->dlpi_phdr == getauxval(AT_PHDR);
}

static bool segment_contains(const struct dl_phdr_info *module, const elf_header *header, uintptr_t address)
{
    uintptr_t start = module->dlpi_addr + header->p_vaddr;
    return header->p_type == PT_LOAD && address >= start && address - start < header->p_memsz;
}

/* The loaded segment of the module that has all of `flags` and contains the address; NULL: none. */
static const elf_header *segment_find(const struct dl_phdr_info *module, uintptr_t address, ElfW(Word) flags)
{
    for (size_t i = 0; i < module->dlpi_phnum; i++) {
        const elf_header *header = &module->dlpi_phdr[i];
        if ((header->p_flags & flags) == flags && segment_contains(module, header, address))
            return header;
    }
    return NULL;
}

/* The build-id among the notes of one segment: how many bytes; 0: none there. */
static uint32_t notes_read(const unsigned char *notes, size_t size, size_t align, unsigned char *id)
{
    while (size >= sizeof(ElfW(Nhdr))) {
        ElfW(Nhdr) note;
        memcpy(&note, notes, sizeof note);
        size_t name = sizeof note, value = (name + note.n_namesz + align - 1) / align * align;
        size_t next = (value + note.n_descsz + align - 1) / align * align;
        if (value > size || note.n_descsz > size - value)
            return 0;
        if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 && memcmp(notes + name, "GNU", 4) == 0) {
            uint32_t length = note.n_descsz < MODULE_ID_MAX ? note.n_descsz : MODULE_ID_MAX;
            memcpy(id, notes + value, length);
            return length;
        }
        if (next >= size)
            return 0;
        notes += next;
        size -= next;
    }
    return 0;
}

static uint32_t build_id_read(const struct dl_phdr_info *module, unsigned char *id)
{
    for (size_t i = 0; i < module->dlpi_phnum; i++) {
        const elf_header *header = &module->dlpi_phdr[i];
        uintptr_t start = module->dlpi_addr + header->p_vaddr;
        if (header->p_type != PT_NOTE || header->p_memsz == 0 || !segment_find(module, start, PF_R) ||
            !segment_find(module, start + header->p_memsz - 1, PF_R))
            continue;
        uint32_t size = notes_read((const unsigned char *)start, header->p_memsz, header->p_align == 8 ? 8 : 4, id);
        if (size > 0)
            return size;
    }
    return 0;
}

/* What of a path fits a struct module_function. */
static const char *path_end(const char *path)
{
    size_t length = strlen(path);
    return length < MODULE_PATH_MAX ? path : path + length - (MODULE_PATH_MAX - 1);
}

static void file_note(const struct stat *file, uint64_t *device, uint64_t *inode, uint64_t *mtime_ns)
{
    *device = file->st_dev;
    *inode = file->st_ino;
    *mtime_ns = (uint64_t)file->st_mtim.tv_sec * 1000000000 + (uint64_t)file->st_mtim.tv_nsec;
}

static int started_note(struct dl_phdr_info *module, size_t size, void *context)
{
    (void)size;
    (void)context;
    unsigned char id[MODULE_ID_MAX];
    struct stat file;
    if (started_count++ >= STARTED_MAX)
        return 0;
    struct started *started = &started_modules[started_count - 1];
    started->headers = (uintptr_t)module->dlpi_phdr;
    if (!is_program(module) && build_id_read(module, id) == 0 && stat(module->dlpi_name, &file) == 0) {
        file_note(&file, &started->device, &started->inode, &started->mtime_ns);
    }
    return 0;
}

/* Early: before constructors of the program that may load more. */
__attribute__((constructor(101))) static void started_remember(void)
{
    dl_iterate_phdr(started_note, NULL);
}

static const struct started *started_find(const struct dl_phdr_info *module)
{
    size_t count = started_count < STARTED_MAX ? started_count : STARTED_MAX;
    for (size_t i = 0; i < count; i++)
        if (started_modules[i].headers == (uintptr_t)module->dlpi_phdr)
            return &started_modules[i];
    return NULL;
}

/* Another process is to load it: by a path that means the same file there, as far as a path can. 0 or -errno. */
static int name_late(const char *loaded, struct module_function *name)
{
    char path[PATH_MAX];
    struct stat file;
    name->late = 1;
    if (!realpath(loaded, path) || stat(path, &file) < 0)
        return -errno;
    if (strlen(path) >= sizeof name->path)
        return -ENAMETOOLONG;
    memcpy(name->path, path, strlen(path) + 1);
    file_note(&file, &name->device, &name->inode, &name->mtime_ns);
    return 0;
}

struct naming {
    uintptr_t address;
    struct module_function *name;
    int result;
};

/* dl_iterate_phdr ends with the first module for which this is not 0. */
static int name_in(struct dl_phdr_info *module, size_t size, void *context)
{
    (void)size;
    struct naming *naming = context;
    struct module_function *name = naming->name;
    uintptr_t vdso = getauxval(AT_SYSINFO_EHDR);
    if (!segment_find(module, naming->address, PF_X))
        return 0;
    if (vdso != 0 && segment_find(module, vdso, 0))
        return 1;
    name->offset = naming->address - module->dlpi_addr;
    name->build_id_size = build_id_read(module, name->build_id);
    naming->result = 0;
    if (is_program(module)) {
        name->kind = MODULE_PROGRAM;
        return 1;
    }
    name->kind = MODULE_LIBRARY;
    const char *path = path_end(module->dlpi_name);
    memcpy(name->path, path, strlen(path) + 1);
    const struct started *started = started_find(module);
    if (started) {
        name->device = started->device;
        name->inode = started->inode;
        name->mtime_ns = started->mtime_ns;
    } else if (started_count <= STARTED_MAX) {
        naming->result = name_late(module->dlpi_name, name);
    }
    return 1;
}

int module_name(uintptr_t address, struct module_function *name)
{
    struct naming naming = { .address = address, .name = name, .result = -EINVAL };
    memset(name, 0, sizeof *name);
    dl_iterate_phdr(name_in, &naming);
    return naming.result;
}

struct finding {
    const struct module_function *name;
    uintptr_t address;
    int result;
};

/* Whether the module, which has no build-id, is of the same file. Of a late one only its path can be asked, so it must
 * not have been replaced since. */
static bool same_file(const struct dl_phdr_info *module, const struct module_function *name)
{
    const struct started *started = started_find(module);
    struct started now = { 0 };
    struct stat file;
    if (!started && name->late && stat(module->dlpi_name, &file) == 0) {
        file_note(&file, &now.device, &now.inode, &now.mtime_ns);
        started = &now;
    }
    return started && started->inode != 0 && started->device == name->device && started->inode == name->inode &&
           started->mtime_ns == name->mtime_ns;
}

/* Whether the module was loaded from the path; of a late one that has no links in it, which the loader's may have. */
static bool has_path(const struct dl_phdr_info *module, const struct module_function *name)
{
    char path[PATH_MAX];
    if (strcmp(path_end(module->dlpi_name), name->path) == 0)
        return true;
    return name->late && module->dlpi_name[0] && realpath(module->dlpi_name, path) && strcmp(path, name->path) == 0;
}

static int find_in(struct dl_phdr_info *module, size_t size, void *context)
{
    (void)size;
    struct finding *finding = context;
    const struct module_function *name = finding->name;
    unsigned char id[MODULE_ID_MAX];
    bool program = is_program(module);
    if (program != (name->kind == MODULE_PROGRAM))
        return 0;
    uint32_t id_size = build_id_read(module, id);
    bool same_path = program || has_path(module, name);
    bool same_id = id_size == name->build_id_size && memcmp(id, name->build_id, id_size) == 0;
    bool same = id_size > 0 ? same_id : same_id && (program || (same_path && same_file(module, name)));
    uintptr_t address = module->dlpi_addr + (uintptr_t)name->offset;
    if (same && segment_find(module, address, PF_X)) {
        finding->address = address;
        finding->result = 0;
        return same_path; /* copies of one library share its build-id: the one of that path is meant, if there is one */
    }
    if (same_path && finding->result != 0)
        finding->result = -ESTALE;
    return 0;
}

/* Not in a static program, which could not load anything: nor does it get the linker's warning of that. */
extern __typeof__(dlopen) dlopen __attribute__((weak));
extern __typeof__(dlerror) dlerror __attribute__((weak));

/* 0, or -ENOENT with a few words. */
static int load(const char *path, char *why, size_t size)
{
    if (!dlopen || !dlerror) {
        snprintf(why, size, "this program is static and loads no libraries");
        return -ENOENT;
    }
    if (dlopen(path, RTLD_NOW | RTLD_LOCAL)) /* for the process' life */
        return 0;
    const char *said = dlerror();
    snprintf(why, size, "%s", said ? said : "it cannot be loaded");
    return -ENOENT;
}

int module_find(const struct module_function *name, uintptr_t *address, char *why, size_t size)
{
    struct finding finding = { .name = name, .result = -ENOENT };
    dl_iterate_phdr(find_in, &finding);
    if (finding.result == -ENOENT && name->late) {
        if (load(name->path, why, size) < 0)
            return -ENOENT;
        dl_iterate_phdr(find_in, &finding);
    }
    if (finding.result == 0)
        *address = finding.address;
    else
        snprintf(why, size, finding.result == -ESTALE ? "another build of it is there" : "it is not loaded there");
    return finding.result;
}

void module_describe(const struct module_function *name, char *text, size_t size)
{
    const char *slash = strrchr(name->path, '/');
    const char *module = name->kind == MODULE_PROGRAM ? "the program" : slash ? slash + 1 : name->path;
    snprintf(text, size, "function at +0x%" PRIx64 " of %s", name->offset, module);
}
