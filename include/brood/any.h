/* brood/any.h: a dynamic value, and its bytes: data whose shape is known only when the program runs.
 *
 *     brood_any pair[] = { brood_any_int(1), brood_any_string("one") };
 *     brood_any list = brood_any_list(pair, 2);
 *     char bytes[64];
 *     size_t size;
 *     if (brood_any_encode(&list, bytes, sizeof bytes, &size) == 0)
 *         brood_queue_put(queue, bytes, size, BROOD_FOREVER);
 *     ...
 *     brood_any value;
 *     if (brood_any_decode(bytes, size, &value) == 0) {
 *         puts(value.items[1].string);
 *         brood_any_clear(&value);
 *     }
 *
 * A value is nil, a bool, an integer, a double, a UTF-8 string, bytes, a list of values, or a map from values to
 * values; with a manager also a reference to one of its objects (brood/reference.h). Its bytes are CBOR (RFC 8949),
 * which other languages have libraries for.
 *
 * Two values are equal if they are of the same kind and have the same content: 1 is not 1.0, and nan is nan; the items
 * of a list are compared in their order, the pairs of a map without. One integer has one kind: BROOD_UINT is only what
 * is above INT64_MAX. Keys are nil, bools, numbers, strings and bytes. Lists and maps lie in each other 64 deep at
 * most.
 *
 * Memory: a value that you make points to what you gave it (strings, items), and nothing of it needs to be given back.
 * One that a call made for you is yours: brood_any_clear. A call that fails leaves nil. Copying the struct hands it on;
 * only one of both is cleared.
 *
 * All of it is private memory of the caller: nobody else sees any of it, whoever is killed. Nothing here needs
 * brood_init. EINVAL: a pointer is NULL.
 */
#ifndef BROOD_ANY_H
#define BROOD_ANY_H

#include <brood/result.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum brood_kind {
    BROOD_NIL,
    BROOD_BOOL,
    BROOD_INT,
    BROOD_UINT, /* above INT64_MAX */
    BROOD_DOUBLE,
    BROOD_STRING,
    BROOD_BYTES,
    BROOD_LIST,
    BROOD_MAP,
    BROOD_REFERENCE, /* to an object of a manager */
} brood_kind;

typedef struct brood_any {
    brood_kind kind;
    int reserved;
    size_t size; /* bytes of a string (without the 0 behind it, which one made for you has) or of bytes; items of a
                  * list; pairs of a map */
    union {
        bool boolean;
        int64_t integer;
        uint64_t natural; /* of a reference: brood's own; equal references are to one object */
        double real;
        const char *string;
        const void *bytes;
        const struct brood_any *items; /* of a map: key, value, key, value, ... */
    };
    void *owner; /* brood's own; NULL in a value of yours */
} brood_any;

struct brood_dict;
struct brood_list;
struct brood_set;
struct brood_namespace;
struct brood_managed_value;
struct brood_managed_array;
struct brood_managed_lock;
struct brood_managed_condition;
struct brood_managed_event;
struct brood_managed_semaphore;
struct brood_managed_barrier;
struct brood_managed_queue;
struct brood_managed_object;

/* "nil", "bool", "int", "uint", "double", "string", "bytes", "list", "map", "reference"; NULL for what is no kind. */
BROOD_API const char *brood_kind_name(brood_kind kind);

/* Values. An unsigned one is a BROOD_INT, if it is not above INT64_MAX. A string NULL is nil; so are bytes, a list or a
 * map NULL, unless there are none. A map's pairs are 2 * count items: key, value, key, value, ... */
BROOD_API brood_any brood_any_nil(void);
BROOD_API brood_any brood_any_bool(bool value);
BROOD_API brood_any brood_any_int(int64_t value);
BROOD_API brood_any brood_any_uint(uint64_t value);
BROOD_API brood_any brood_any_double(double value);
BROOD_API brood_any brood_any_string(const char *value);
BROOD_API brood_any brood_any_bytes(const void *bytes, size_t size);
BROOD_API brood_any brood_any_list(const brood_any *items, size_t count);
BROOD_API brood_any brood_any_map(const brood_any *pairs, size_t count);

/* A reference to the object that this is a handle of: brood_dict, brood_managed_lock, and so on. NULL is nil. What is
 * no handle makes a reference to no object, which no manager takes. */
BROOD_API brood_any brood_any_reference(const void *object);

/* The value that the map has for the key: inside the map, and its; NULL: it has none, or is no map, or key is NULL. */
BROOD_API const brood_any *brood_any_find(const brood_any *map, const brood_any *key);

/* 1 or 0. */
BROOD_API int brood_any_equal(const brood_any *one, const brood_any *other);

/* Writes its bytes into `bytes`, of `room` (NULL with 0), and how many they are into *size.
 * 0.  EMSGSIZE: there is no room for them, and *size says for how many there should be; or lists and maps lie deeper
 * than they may.  EINVAL: something in it is of no kind, a string no UTF-8, or a map's key none. */
BROOD_API int brood_any_encode(const brood_any *value, void *bytes, size_t room, size_t *size);

/* Reads one value, which all of the bytes are; they may come from anywhere.
 * 0.  EBADMSG: they are none, or of a kind that brood has not: tags (but that of a reference), undefined, integers of
 * more than 64 bits, lengths that are told only at the end; or more follows.  EINVAL: a string in it is no UTF-8, or a
 * map's key is none.  EMSGSIZE: deeper than they may lie.  ENOMEM. */
BROOD_API int brood_any_decode(const void *bytes, size_t size, brood_any *value);

/* Writes it as text, for messages and for looking at it: JSON, and what that has not as RFC 8949 notes it: h'00ff' for
 * bytes, 39(7) for a reference, NaN, Infinity, keys that are no strings. Doubles have a point or an exponent, and read
 * back as they are; bytes of a string that are no UTF-8 are '?'; what lies deeper than it may is "...".
 * How many bytes the text is, without the 0 behind it, INT_MAX if there are more; `text`, of `room` bytes (NULL with
 * 0), has as much of it as fits, whole characters only, and the 0.  EINVAL: also, something in it is of no kind. */
BROOD_API int brood_any_print(const brood_any *value, char *text, size_t room);

/* Gives back what it has, and makes it nil. NULL is fine. */
BROOD_API void brood_any_clear(brood_any *value);

/* The value itself: for BROOD_ANY. */
BROOD_API brood_any brood_any_same(brood_any value);

#ifdef __cplusplus
}
#else

/* C's one door: a plain C value, a handle of an object, or a brood_any, as a `const brood_any *` that is good until the
 * end of the block. (true and false are ints in C11: brood_any_bool makes bools of them.) */
#define BROOD_ANY(x) ((const brood_any[1]){ BROOD_ANY_OF(x) })
/* clang-format off */
#define BROOD_ANY_OF(x) \
    _Generic((x), \
        _Bool: brood_any_bool, char: brood_any_int, signed char: brood_any_int, short: brood_any_int, \
        int: brood_any_int, long: brood_any_int, long long: brood_any_int, unsigned char: brood_any_uint, \
        unsigned short: brood_any_uint, unsigned: brood_any_uint, unsigned long: brood_any_uint, \
        unsigned long long: brood_any_uint, float: brood_any_double, double: brood_any_double, \
        char *: brood_any_string, const char *: brood_any_string, \
        struct brood_dict *: brood_any_reference, struct brood_list *: brood_any_reference, \
        struct brood_set *: brood_any_reference, struct brood_namespace *: brood_any_reference, \
        struct brood_managed_value *: brood_any_reference, struct brood_managed_array *: brood_any_reference, \
        struct brood_managed_lock *: brood_any_reference, struct brood_managed_condition *: brood_any_reference, \
        struct brood_managed_event *: brood_any_reference, struct brood_managed_semaphore *: brood_any_reference, \
        struct brood_managed_barrier *: brood_any_reference, struct brood_managed_queue *: brood_any_reference, \
        struct brood_managed_object *: brood_any_reference, \
        brood_any: brood_any_same, const brood_any: brood_any_same)(x)
/* clang-format on */
#endif

#endif
