/* square.h: what the plugin hands out under the name "square_plugin". */
#ifndef TESTS_PLUGIN_SQUARE_H
#define TESTS_PLUGIN_SQUARE_H

#include <brood.h>

struct square_plugin {
    brood_target *target; /* returns 42 */
    brood_task *task;     /* squares an int */
};

__attribute__((visibility("default"))) extern const struct square_plugin square_plugin;

#endif
