/* remote_manager: a program serves a dictionary at an address, and others, which are not of its family, count in it.
 * Prints 3.
 *
 *   remote_manager                starts a server, and twice itself as another program
 *   remote_manager ADDRESS        is that: adds one to "count" there
 *   remote_manager serve ADDRESS  serves until its input ends, and prints the address: "tcp:0.0.0.0:4000" for other
 *                                 machines. Without a key anybody may call: brood/listener.h
 */
#include <brood.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

extern char **environ;

static int fail(void)
{
    fprintf(stderr, "remote_manager: %s\n", brood_error());
    return 1;
}

static int count_at(const char *address)
{
    brood_manager *manager = brood_manager_connect(address, NULL);
    brood_dict *dict = manager ? brood_manager_dict(manager, "counts") : NULL;
    if (!dict || brood_dict_setdefault(dict, "count", 0, NULL) < 0 || brood_dict_add(dict, "count", 1) < 0)
        return fail();
    return brood_manager_destroy(manager) < 0 ? fail() : 0;
}

static int start_another(char *address)
{
    char *arguments[] = { "remote_manager", address, NULL };
    pid_t pid;
    int status;
    if (posix_spawn(&pid, "/proc/self/exe", NULL, NULL, arguments, environ) != 0 || waitpid(pid, &status, 0) != pid)
        return -1;
    return status;
}

int main(int argc, char **argv)
{
    brood_init(NULL);
    if (argc == 2)
        return count_at(argv[1]);
    brood_manager *manager = brood_manager_start(NULL);
    brood_dict *dict = manager ? brood_manager_dict(manager, "counts") : NULL;
    if (!dict || brood_manager_listen(manager, argc == 3 ? argv[2] : "tcp:127.0.0.1:0", NULL) < 0)
        return fail();
    char address[200];
    snprintf(address, sizeof address, "%s", brood_manager_address(manager));
    if (argc == 3) {
        printf("%s\n", address);
        fflush(stdout);
        while (getchar() != EOF)
            ;
        return brood_manager_destroy(manager) < 0 ? fail() : 0;
    }
    brood_any count;
    brood_dict_set(dict, "count", 1);
    for (int i = 0; i < 2; i++)
        if (start_another(address) != 0)
            return 1;
    if (brood_dict_get(dict, "count", &count) < 0)
        return fail();
    printf("%lld\n", (long long)count.integer);
    return brood_manager_destroy(manager) < 0 ? fail() : 0;
}
