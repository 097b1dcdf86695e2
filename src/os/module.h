/* os/module.h: a function named by its module and its place in it.
 *
 * Processes of one program have its modules (the program itself and its libraries) at different addresses, so a
 * function travels as the module and an offset. The program needs no further proof: a spawned child executes the same
 * inode. A library may have been replaced meanwhile: it is known by its build-id, or, where it was linked without one,
 * by the file it was loaded from (path, device, inode, time of change). One that was loaded after the program had
 * started (dlopen) travels with its path, and is loaded where it is looked for.
 *
 * Any thread may call; not from a signal handler.
 */
#ifndef OS_MODULE_H
#define OS_MODULE_H

#include <stddef.h>
#include <stdint.h>

#define MODULE_PATH_MAX 1024
#define MODULE_ID_MAX 20 /* bytes of a build-id that are looked at */

enum { MODULE_PROGRAM = 1, MODULE_LIBRARY };

/* Plain bytes: it may be copied to another process. All of it is set, zeroes where it does not apply. */
struct module_function {
    char path[MODULE_PATH_MAX]; /* of a library: as the loader names it, the end of it, if it is longer; absolute, whole
                                 * and without links, if it is a late one */
    unsigned char build_id[MODULE_ID_MAX];
    uint32_t build_id_size;           /* 0: it has none */
    uint64_t device, inode, mtime_ns; /* of a library without build-id, when the program started, or, of a late one,
                                        * now; inode 0: unknown */
    uint64_t offset;                  /* from where the module is loaded */
    uint32_t kind;                    /* MODULE_PROGRAM or MODULE_LIBRARY */
    uint32_t late;                    /* 1: of a library that was loaded after the program had started */
};

/* Names the function at `address`.
 * -EINVAL: no module's code lies there (generated code, a nested function, the kernel's vdso).
 * -ENOENT, -EACCES, ...: it is named, but its library is a late one, and no file is where it was loaded from.
 * -ENAMETOOLONG: likewise, and the path does not fit. */
int module_name(uintptr_t address, struct module_function *name);

/* Finds the function in this process; loads its library, if that is a late one which is not here yet.
 * -ENOENT: no such library is loaded, or it cannot be.  -ESTALE: one of that path is, but another build of it, or none
 * that can be told from another. A few words of `why`, cut to `size` bytes, say more. */
int module_find(const struct module_function *name, uintptr_t *address, char *why, size_t size);

/* Writes "function at +0x1234 of libfoo.so" ("... of the program"), cut to `size` bytes. */
void module_describe(const struct module_function *name, char *text, size_t size);

#endif
