/* group_socket.h - private to group.c: how members find one another, and whole blocks over sockets.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_BASE_GROUP_SOCKET_H
#define PRESIZE_BASE_GROUP_SOCKET_H

#include "base/group.h"

/* All BYTES, or false: the connection is at its end. */
bool socket_put(int fd, const void *data, size_t bytes);
bool socket_get(int fd, void *data, size_t bytes);

/* Two connections to each peer into FDS, data and watch: in member 0 to all others by rank, in others to
 * member 0. Waits LIMIT_S for all. As group_join(). */
int socket_meet(int *fds, const struct group_place *place, double limit_s,
                struct err *err) MUST_USE;

#endif
