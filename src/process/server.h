/* process/server.h: the fork server: a clean process of the program that forks children for its starter.
 *
 * It is spawned, and has one thread and little memory. On request it makes a child by a clone(2) whose parent is the
 * server's own parent, the starter: so to the starter and to itself the child is the starter's like any other, for
 * wait(2), for pidfds, for the death signal of a parent. The kernel writes the child's pid into its slot before the
 * child runs, so a starter whose server is killed in the middle finds out for certain whether there is a child.
 */
#ifndef PROCESS_SERVER_H
#define PROCESS_SERVER_H

#include "os/child.h"
#include "process/table.h"

struct server;

/* What brood_init was told. Once, before a server runs in this process. */
void server_preload(int (*preload)(void));

/* Sees to it that this process' server runs, and keeps it for the calling thread. 0, or -errno with a sentence: then it
 * is not kept. Before the list of handles is held, never while it is. And back. */
int server_hold(void);
void server_let_go(void);

/* The next three while it is kept. Its pid: */
int server_pid(void);

/* What ties its children to their starter: what ties the server. The death signal comes from the thread that started
 * it, so that serves only if this was the process' first; and they are the user's who started it, like it. */
enum child_tie server_tie(void);

/* Has it fork the process for a slot that has its ticket. The pid, or -errno with a sentence: -EOWNERDEAD: the server
 * died before it made one. */
pid_t server_fork(slot_id id, const struct child_bond *bond);

/* Ends the server of this process, if it has one. */
void server_end(void);

/* In a forked child: closes the starter's line to its server (NULL: it has none). */
void server_forget(const struct server *server);

#endif
