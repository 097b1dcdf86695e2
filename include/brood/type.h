/* brood/type.h: the types of shared data: brood_value and brood_array are told one when they are made.
 *
 * A type is one of these codes, which are those of Python's array and ctypes, or BROOD_STRUCT of a plain struct:
 *
 *     'c' char                  'h' short           'l' long                  'f' float
 *     'b' signed char           'H' unsigned short  'L' unsigned long         'd' double
 *     'B' unsigned char         'i' int             'q' long long             'u' wchar_t
 *     '?' bool                  'I' unsigned        'Q' unsigned long long
 *
 * What goes in (a store, a set, an amount to add) may be of any of these and is converted as C's assignment converts:
 * an integer that does not fit wraps, a real is rounded to a smaller one. But a real that is no whole number the
 * integer type can hold is EDOM, and a struct goes only into one of its size. What comes out goes where it was told to
 * as it is: that must have the same size, and be an integer for an integer, a real for a real; else EINVAL.
 * A bool goes in by C's rule (any number but 0 is true, never EDOM), and comes out to, or is sliced with, bool only.
 *
 * In C the calls with data are macros over functions of the same name: they take your variables and add their types by
 * themselves, as in brood_value_add(counter, 1, NULL). C++, and whoever finds a function by its name, calls the
 * functions; there each pointer to a datum is followed by its type, or by 0: the value's or array's own. Bit-fields
 * must be cast first; pointers, long double and arrays count as structs.
 */
#ifndef BROOD_TYPE_H
#define BROOD_TYPE_H

#include <brood/result.h>
#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The type of a plain struct: one that is copied by its bytes. */
#define BROOD_STRUCT(type) (256 + (int)sizeof(type))

/* The bytes of a datum of that type; EINVAL: it is none. Needs no brood_init. */
BROOD_API int brood_type_size(int type);

#ifndef __cplusplus

/* The type of an expression, which is not evaluated. */
#define BROOD_TYPE(...) \
    _Generic((__VA_ARGS__), bool \
             : '?', char \
             : 'c', signed char \
             : 'b', unsigned char \
             : 'B', short \
             : 'h', unsigned short \
             : 'H', int \
             : 'i', unsigned \
             : 'I', long \
             : 'l', unsigned long \
             : 'L', long long \
             : 'q', unsigned long long \
             : 'Q', float \
             : 'f', double \
             : 'd', default : 256 + (int)sizeof(__VA_ARGS__))

/* For the macros of value.h and array.h: a pointer to what an expression yields; and what an optional pointer points
 * to, which is of no type if it is a bare NULL. */
#define BROOD_DATUM(...) ((__typeof__(((void)0, (__VA_ARGS__)))[1]){ (__VA_ARGS__) })
#define BROOD_BEHIND(pointer) (*_Generic((pointer), void * : (struct brood_no_type *)0, default : (pointer)))
struct brood_no_type {
    char nothing[7];
};

#endif

#ifdef __cplusplus
}
#endif

#endif
