/* brood/managed_type.h: objects of your own types in a manager, and functions of your own on its objects.
 *
 *     static int open_account(void **self, const brood_any *arg);        these run in the server
 *     static void close_account(void *self);
 *
 *     static int deposit(void *self, const brood_any *arg, brood_any *result)
 *     {
 *         struct account *account = self;
 *         if (arg->kind != BROOD_INT || arg->integer <= 0)
 *             return brood_fail(EINVAL, "a deposit is an int above 0");
 *         account->balance += arg->integer;
 *         *result = brood_any_int(account->balance);
 *         return 0;
 *     }
 *
 *     static const brood_managed_method methods[] = { { "deposit", deposit }, { NULL, NULL } };
 *     brood_manager_register(manager, &(brood_managed_type){ "account", open_account, close_account, methods });
 *     brood_managed_object *account = brood_manager_object(manager, "account", "savings", 100);
 *     brood_managed_object_call(account, "deposit", 5, &balance);
 *
 * An object of your own is what `begin` makes it, in the server's private memory, and is reached by its methods alone.
 * A function (brood_manager_register_function) runs in the server at a dictionary, list, set, namespace, value or array
 * and may look at it and change it by as many calls as it likes: all of that is one step for everybody else.
 *
 * The server is the same program, so that it finds your functions whatever its start method; one of a library is found
 * where that can be loaded (brood/start.h). Clients outside the family, and other languages, call what is registered by
 * its name: docs/protocol.md.
 *
 * Your functions in the server: one runs at a time, and all other clients wait for it. They should neither sleep, wait
 * for another process, start one, nor change signals; what they print goes where the server's standard streams go. A
 * call to their own manager is EDEADLK. One that crashes, or calls exit, ends the server, and with it all objects:
 * EOWNERDEAD, for everyone. Each has a value for its argument, nil if it needs none, a list if it needs several.
 *
 * They return 0; or an errno, best by `return brood_fail(EINVAL, "why")`, and the caller's call returns that, negative,
 * with the sentence (cut at 127 bytes). What they have changed until then stays changed. *result is nil at first. It
 * may be the argument, or part of it; what else it points to is the function's to keep until it is called again: it is
 * copied at once. A value that another call made (brood_managed_view_call, brood_any_decode) is cleared for it.
 *
 * A reference (brood/reference.h) in an argument is good until the function returns; one in a result is lent to the
 * caller, as by any call. An object of your own can be referred to by others, but cannot keep what it is given a
 * reference to.
 *
 * brood/manager.h says who may call, what is an error of every call, and what happens when somebody dies: a client that
 * is killed in a call has had it done wholly, or not at all. In C what goes in is a plain C value or a brood_any.
 */
#ifndef BROOD_MANAGED_TYPE_H
#define BROOD_MANAGED_TYPE_H

#include <brood/any.h>
#include <brood/end.h>
#include <brood/manager.h>
#include <brood/result.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- types ---- */

typedef struct brood_managed_method {
    const char *name; /* UTF-8, up to 63 bytes; NULL: the one before was the last */
    int (*run)(void *self, const brood_any *arg, brood_any *result);
} brood_managed_method;

typedef struct brood_managed_type {
    const char *name; /* UTF-8, 1 to 63 bytes */
    /* Makes an object: sets *self, which is NULL at first. An errno: there is none, and `end` is not called. NULL:
     * there is nothing to be made. */
    int (*begin)(void **self, const brood_any *arg);
    /* Nobody has it any more, or the server ends in order. NULL: nothing is to be done. */
    void (*end)(void *self);
    const brood_managed_method *methods; /* that may be called; NULL: none */
    void *reserved[4];
} brood_managed_type;

/* Makes a type known to the server, under its name, until that ends. By any process of the family, any number of times:
 * the same again is fine.
 * 0.  EINVAL: also, the type or its name is NULL, a name is empty, too long or no UTF-8, or stands twice, a method has
 * no function; a function is in no module (generated code).  EEXIST: there is another type of that name.  ENOENT,
 * ESTALE: the server has no such library, or another build of it.  ECHILD: the manager is another family's. */
BROOD_API int brood_manager_register(brood_manager *manager, const brood_managed_type *type);

/* A new handle of the object of that type and name, which is made from `arg` if there is none; name NULL: of a new one
 * without a name. brood_manager_forget, and all that brood/manager.h says of objects, is true of it, too; it is in no
 * snapshot (brood_manager_save).
 * NULL, ENOENT: no such type is registered.  EINVAL: also, `type` or `arg` is NULL, or a text no UTF-8; the name is
 * that of an object of another type.  EMSGSIZE: `arg` lies too deep.  What `begin` returned. */
BROOD_API brood_managed_object *brood_manager_object(brood_manager *manager, const char *type, const char *name,
                                                     const brood_any *arg);

/* Gives the handle back, by whatever process; nobody may use it afterwards. NULL is fine. */
BROOD_API int brood_managed_object_close(brood_managed_object *object);

/* Has a method run, and gets its result, to be given back by brood_any_clear (NULL: it is not wanted).
 * 0.  What the method returned, negative.  ENOENT: its type has no such method.  EINVAL: also, the object is NULL or
 * none, or its process has ended; the method or `arg` is NULL, or has a text that is no UTF-8; the method's result has
 * one, or something of no kind.  EMSGSIZE: `arg` or the result lie more than 64 deep. */
BROOD_API int brood_managed_object_call(brood_managed_object *object, const char *method, const brood_any *arg,
                                        brood_any *result);

/* ---- functions ---- */

/* The object that a function runs at; good until it returns. */
typedef struct brood_managed_view brood_managed_view;

typedef int brood_managed_function(brood_managed_view *view, const brood_any *arg, brood_any *result);

/* Makes a function known to the server, under its name, as brood_manager_register does a type. */
BROOD_API int brood_manager_register_function(brood_manager *manager, const char *name,
                                              brood_managed_function *function);

/* Has it run at an object: `object` is a handle of a dictionary, list, set, namespace, value or array. Results and
 * errors as of brood_managed_object_call; ENOENT: no such function is registered. */
BROOD_API int brood_managed_run(const void *object, const char *function, const brood_any *arg, brood_any *result);

/* Inside a function: an operation of its object, with `count` values. docs/protocol.md lists what may be asked of each
 * type, with the arguments: "set" here is what stands there as `dict.set`, if the object is a dictionary. Where a call
 * by itself returns a number of things, that is the value.
 * Its result, 0 or above, with its value in *result, which is yours to clear or to hand on (NULL: it is not wanted); or
 * -errno, with its sentence (brood_error), and nothing is changed.  EINVAL: also, the object has no such operation. */
BROOD_API int brood_managed_view_call(brood_managed_view *view, const char *operation, const brood_any *values,
                                      int count, brood_any *result);

#ifdef __cplusplus
}
#else
#define brood_manager_object(manager, type, name, arg) (brood_manager_object)((manager), (type), (name), BROOD_ANY(arg))
#define brood_managed_object_call(object, method, arg, result) \
    (brood_managed_object_call)((object), (method), BROOD_ANY(arg), (result))
#define brood_managed_run(object, function, arg, result) \
    (brood_managed_run)((object), (function), BROOD_ANY(arg), (result))
#endif

#endif
