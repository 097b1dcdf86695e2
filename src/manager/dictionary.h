/* manager/dictionary.h: what can be asked of a dictionary; in the server, and in requests.
 */
#ifndef MANAGER_DICTIONARY_H
#define MANAGER_DICTIONARY_H

#include "manager/reply.h"

enum dict_method {
    DICT_SET,
    DICT_GET,
    DICT_DELETE,
    DICT_POP,
    DICT_SETDEFAULT,
    DICT_ADD,
    DICT_COMPARE,
    DICT_SWAP,
    DICT_UPDATE,
    DICT_CONTAINS,
    DICT_LENGTH,
    DICT_KEYS,
    DICT_VALUES,
    DICT_ITEMS,
    DICT_CLEAR,
    DICT_METHODS,
};

/* Carries it out; the result and the reply's content are as brood/dict.h says. */
int dictionary_call(struct mapping *mapping, unsigned number, const struct item *args, unsigned count,
                    struct parcel *reply);

#endif
