/* manager/words.c */
#include "manager/words.h"

#include "manager/dictionary.h"
#include "manager/manager.h"
#include "manager/sequence.h"

#include <errno.h>
#include <string.h>

static const struct operation operations[] = {
    { "hello", 0, LINE_HELLO },
    { "cancel", 0, LINE_CANCEL },
    { "stat", 0, MANAGER_STAT },
    { "dict", 0, MANAGER_DICT },
    { "list", 0, MANAGER_LIST },
    { "namespace", 0, MANAGER_NAMESPACE },
    { "forget", 0, MANAGER_FORGET },
    { "copy", 0, MANAGER_COPY },
    { "close", 0, MANAGER_CLOSE },
    { "dict.set", MANAGER_DICT, DICT_SET },
    { "dict.get", MANAGER_DICT, DICT_GET },
    { "dict.delete", MANAGER_DICT, DICT_DELETE },
    { "dict.pop", MANAGER_DICT, DICT_POP },
    { "dict.setdefault", MANAGER_DICT, DICT_SETDEFAULT },
    { "dict.add", MANAGER_DICT, DICT_ADD },
    { "dict.compare", MANAGER_DICT, DICT_COMPARE },
    { "dict.swap", MANAGER_DICT, DICT_SWAP },
    { "dict.update", MANAGER_DICT, DICT_UPDATE },
    { "dict.contains", MANAGER_DICT, DICT_CONTAINS },
    { "dict.length", MANAGER_DICT, DICT_LENGTH },
    { "dict.keys", MANAGER_DICT, DICT_KEYS },
    { "dict.values", MANAGER_DICT, DICT_VALUES },
    { "dict.items", MANAGER_DICT, DICT_ITEMS },
    { "dict.clear", MANAGER_DICT, DICT_CLEAR },
    { "list.append", MANAGER_LIST, LIST_APPEND },
    { "list.extend", MANAGER_LIST, LIST_EXTEND },
    { "list.insert", MANAGER_LIST, LIST_INSERT },
    { "list.append_if", MANAGER_LIST, LIST_APPEND_IF },
    { "list.get", MANAGER_LIST, LIST_GET },
    { "list.set", MANAGER_LIST, LIST_SET },
    { "list.swap", MANAGER_LIST, LIST_SWAP },
    { "list.compare", MANAGER_LIST, LIST_COMPARE },
    { "list.add", MANAGER_LIST, LIST_ADD },
    { "list.pop", MANAGER_LIST, LIST_POP },
    { "list.delete", MANAGER_LIST, LIST_DELETE },
    { "list.remove", MANAGER_LIST, LIST_REMOVE },
    { "list.index", MANAGER_LIST, LIST_INDEX },
    { "list.count", MANAGER_LIST, LIST_COUNT },
    { "list.length", MANAGER_LIST, LIST_LENGTH },
    { "list.slice", MANAGER_LIST, LIST_SLICE },
    { "list.set_slice", MANAGER_LIST, LIST_SET_SLICE },
    { "list.items", MANAGER_LIST, LIST_ITEMS },
    { "list.reverse", MANAGER_LIST, LIST_REVERSE },
    { "list.sort", MANAGER_LIST, LIST_SORT },
    { "list.clear", MANAGER_LIST, LIST_CLEAR },
    { "namespace.set", MANAGER_NAMESPACE, DICT_SET },
    { "namespace.get", MANAGER_NAMESPACE, DICT_GET },
    { "namespace.delete", MANAGER_NAMESPACE, DICT_DELETE },
    { "namespace.add", MANAGER_NAMESPACE, DICT_ADD },
    { "namespace.items", MANAGER_NAMESPACE, DICT_ITEMS },
};

static const struct {
    const char *name;
    int code;
} codes[] = {
    { "EAGAIN", EAGAIN },         { "EBADMSG", EBADMSG }, { "EBUSY", EBUSY },
    { "ECANCELED", ECANCELED },   { "ECHILD", ECHILD },   { "EDEADLK", EDEADLK },
    { "EFAULT", EFAULT },         { "EINVAL", EINVAL },   { "EIO", EIO },
    { "EMSGSIZE", EMSGSIZE },     { "ENOENT", ENOENT },   { "ENOLCK", ENOLCK },
    { "ENOMEM", ENOMEM },         { "ENOTSUP", ENOTSUP }, { "EOVERFLOW", EOVERFLOW },
    { "EOWNERDEAD", EOWNERDEAD }, { "EPERM", EPERM },     { "EPIPE", EPIPE },
    { "EPROTO", EPROTO },         { "ERANGE", ERANGE },   { "ETIMEDOUT", ETIMEDOUT },
    { "EUSERS", EUSERS },
};

#define COUNT(table) (sizeof(table) / sizeof *(table))

const struct operation *operation_named(const char *name, size_t size)
{
    for (size_t i = 0; i < COUNT(operations); i++)
        if (strlen(operations[i].name) == size && memcmp(operations[i].name, name, size) == 0)
            return &operations[i];
    return NULL;
}

const struct operation *operation_of(unsigned type, unsigned method)
{
    for (size_t i = 0; i < COUNT(operations); i++)
        if (operations[i].type == type && operations[i].method == method)
            return &operations[i];
    return NULL;
}

const char *code_name(int code)
{
    for (size_t i = 0; i < COUNT(codes); i++)
        if (codes[i].code == (code < 0 ? -code : code))
            return codes[i].name;
    return "EIO";
}

int code_named(const char *name, size_t size)
{
    for (size_t i = 0; i < COUNT(codes); i++)
        if (strlen(codes[i].name) == size && memcmp(codes[i].name, name, size) == 0)
            return codes[i].code;
    return EIO;
}
