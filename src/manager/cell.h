/* manager/cell.h: what can be asked of a value; in the server, and in requests. (cell.c serves it.)
 */
#ifndef MANAGER_CELL_H
#define MANAGER_CELL_H

enum value_method {
    VALUE_SET,
    VALUE_GET,
    VALUE_SWAP,
    VALUE_COMPARE, /* (expected, value) */
    VALUE_ADD,
    VALUE_METHODS,
};

#endif
