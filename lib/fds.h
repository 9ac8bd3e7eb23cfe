/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fds.h - descriptors over a unix socket
 */
#ifndef AOP_FDS_H
#define AOP_FDS_H

#include <stdbool.h>
#include <stddef.h>

#define FDS_MAX	4

/*
 * Send a message of len bytes with nr descriptors.  must: they cannot be taken back, so a
 * socket that does not block, and is full, is waited for.  0, or what sendmsg() says.
 */
int fds_send(int sock, const void *data, size_t len, const int *fds, size_t nr, bool must);
/*
 * Receive one.  Returns how many descriptors came with it, of which nr at the most are in
 * fds and the caller's; the others are closed.  -EPIPE: the other end is closed; -EBADMSG:
 * it has not len bytes; -EMFILE: fewer than nr could be opened; or what recvmsg() says:
 * then all of fds are closed.
 */
int fds_receive(int sock, void *data, size_t len, int *fds, size_t nr);

#endif /* AOP_FDS_H */
