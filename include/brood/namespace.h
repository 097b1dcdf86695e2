/* brood/namespace.h: a namespace in a manager: attributes by their names, which are strings.
 *
 * A dictionary (brood/dict.h) with nothing but the calls that a namespace needs; all that is said there holds here.
 */
#ifndef BROOD_NAMESPACE_H
#define BROOD_NAMESPACE_H

#include <brood/any.h>
#include <brood/manager.h>
#include <brood/result.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Gives the handle back, by whatever process; nobody may use it afterwards. NULL is fine. */
BROOD_API int brood_namespace_close(brood_namespace *names);

/* Sets the attribute. EINVAL: `name` is NULL, or no UTF-8. */
BROOD_API int brood_namespace_set(brood_namespace *names, const char *name, const brood_any *value);

/* The attribute's value, a copy. ENOENT: there is none of that name.  EINVAL: as above. */
BROOD_API int brood_namespace_get(brood_namespace *names, const char *name, brood_any *value);

/* Removes the attribute. ENOENT, EINVAL: as above. */
BROOD_API int brood_namespace_delete(brood_namespace *names, const char *name);

/* Adds a number to the attribute's, in one step. Errors: as brood_dict_add. */
BROOD_API int brood_namespace_add(brood_namespace *names, const char *name, const brood_any *amount);

/* All attributes, as a map, as they are at one moment. */
BROOD_API int brood_namespace_items(brood_namespace *names, brood_any *map);

#ifdef __cplusplus
}
#else
#define brood_namespace_set(names, name, value) (brood_namespace_set)((names), (name), BROOD_ANY(value))
#define brood_namespace_add(names, name, amount) (brood_namespace_add)((names), (name), BROOD_ANY(amount))
#endif

#endif
