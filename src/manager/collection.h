/* manager/collection.h: what can be asked of a set; in the server, and in requests. (collection.c serves it.)
 */
#ifndef MANAGER_COLLECTION_H
#define MANAGER_COLLECTION_H

enum set_method {
    SET_ADD,
    SET_REMOVE,
    SET_POP,
    SET_CONTAINS,
    SET_LENGTH,
    SET_ITEMS,
    SET_UPDATE,   /* (list) */
    SET_KEEP,     /* (list) */
    SET_SUBTRACT, /* (list) */
    SET_CLEAR,
    SET_METHODS,
};

#endif
