/* symbol.c: names from the program's own symbol table, which knows static functions, unlike dladdr(3). */
#include "symbol.h"

#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static const ElfW(Ehdr) * program(void)
{
    static const ElfW(Ehdr) * mapped;
    struct stat status;
    int fd = mapped ? -1 : open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return mapped;
    if (fstat(fd, &status) == 0) {
        void *map = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (map != MAP_FAILED && memcmp(map, ELFMAG, SELFMAG) == 0)
            mapped = map;
    }
    close(fd);
    return mapped;
}

static int first_base(struct dl_phdr_info *info, size_t size, void *base)
{
    (void)size;
    *(uintptr_t *)base = info->dlpi_addr;
    return 1; /* the program comes first */
}

static const char *own_name(uintptr_t offset, uintptr_t *from)
{
    const ElfW(Ehdr) *file = program();
    if (!file)
        return NULL;
    const char *bytes = (const char *)file;
    const ElfW(Shdr) *sections = (const ElfW(Shdr) *)(const void *)(bytes + file->e_shoff);
    for (size_t i = 0; i < file->e_shnum; i++) {
        if (sections[i].sh_type != SHT_SYMTAB)
            continue;
        const ElfW(Sym) *symbols = (const ElfW(Sym) *)(const void *)(bytes + sections[i].sh_offset);
        const char *names = bytes + sections[sections[i].sh_link].sh_offset;
        for (size_t s = 0; s < sections[i].sh_size / sizeof *symbols; s++)
            if ((symbols[s].st_info & 0xf) == STT_FUNC && offset >= symbols[s].st_value &&
                offset < symbols[s].st_value + symbols[s].st_size) {
                *from = symbols[s].st_value;
                return names + symbols[s].st_name;
            }
    }
    return NULL;
}

const char *symbol_name(uintptr_t address, char *text, size_t size)
{
    uintptr_t base = 0, from = 0;
    dl_iterate_phdr(first_base, &base);
    const char *name = own_name(address - base, &from);
    Dl_info info;
    if (name) {
        snprintf(text, size, "%s+%#zx", name, (size_t)(address - base - from));
    } else if (dladdr((void *)address, &info) && info.dli_fname) {
        const char *slash = strrchr(info.dli_fname, '/');
        snprintf(text, size, "%s+%#zx", slash ? slash + 1 : info.dli_fname,
                 (size_t)(address - (uintptr_t)info.dli_fbase));
    } else {
        snprintf(text, size, "%#zx", (size_t)address);
    }
    return text;
}
