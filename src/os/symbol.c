/* os/symbol.c */
#include "os/symbol.h"

#include "os/program.h"

#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* A mapped file. Nothing in it is believed: every place is held against its size. */
struct image {
    const char *bytes;
    size_t size;
};

static const void *part(const struct image *image, uint64_t at, uint64_t size)
{
    bool inside = at <= image->size && size <= image->size - at && at % sizeof(ElfW(Addr)) == 0;
    return inside ? image->bytes + at : NULL;
}

static bool is_it(const ElfW(Sym) * symbol, uint64_t offset)
{
    return (symbol->st_info & 0xf) == STT_FUNC && symbol->st_shndx != SHN_UNDEF && symbol->st_value == offset;
}

/* Looks through one table. */
static bool look(const struct image *image, const ElfW(Shdr) * table, const ElfW(Shdr) * texts, uint64_t offset,
                 char *name)
{
    const ElfW(Sym) *symbols = part(image, table->sh_offset, table->sh_size);
    if (!symbols || texts->sh_offset > image->size || texts->sh_size > image->size - texts->sh_offset)
        return false;
    for (size_t i = 0; i < table->sh_size / sizeof *symbols; i++) {
        if (!is_it(&symbols[i], offset) || symbols[i].st_name >= texts->sh_size)
            continue;
        const char *text = image->bytes + texts->sh_offset + symbols[i].st_name;
        size_t most = texts->sh_size - symbols[i].st_name, length = strnlen(text, most);
        snprintf(name, SYMBOL_SIZE, "%.*s", (int)(length < SYMBOL_SIZE ? length : SYMBOL_SIZE - 1), text);
        return true;
    }
    return false;
}

static void look_everywhere(const struct image *image, uint64_t offset, char *name)
{
    const ElfW(Ehdr) *head = part(image, 0, sizeof *head);
    if (!head || memcmp(head->e_ident, ELFMAG, SELFMAG) != 0 || head->e_shentsize != sizeof(ElfW(Shdr)))
        return;
    const ElfW(Shdr) *sections = part(image, head->e_shoff, head->e_shnum * sizeof *sections);
    for (size_t i = 0; sections && i < head->e_shnum; i++) {
        bool is_table = sections[i].sh_type == SHT_SYMTAB || sections[i].sh_type == SHT_DYNSYM;
        if (is_table && sections[i].sh_link < head->e_shnum &&
            look(image, &sections[i], &sections[sections[i].sh_link], offset, name))
            return;
    }
}

void symbol_read(int fd, uint64_t offset, char name[static SYMBOL_SIZE])
{
    struct stat file;
    name[0] = 0;
    if (fstat(fd, &file) < 0 || !S_ISREG(file.st_mode) || file.st_size <= 0)
        return;
    void *bytes = mmap(NULL, (size_t)file.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (bytes == MAP_FAILED)
        return;
    look_everywhere(&(struct image){ bytes, (size_t)file.st_size }, offset, name);
    munmap(bytes, (size_t)file.st_size);
}

void symbol_find(const struct module_function *function, char name[static SYMBOL_SIZE])
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", program_fd());
    int fd = open(function->kind == MODULE_PROGRAM ? path : function->path, O_RDONLY | O_CLOEXEC);
    name[0] = 0;
    if (fd < 0)
        return;
    symbol_read(fd, function->offset, name);
    close(fd);
}
