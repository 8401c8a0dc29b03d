#pragma once

/*
 * What a service tells the program that it executes in its own place (reload.h): a text in a sealed
 * memfd, lines of key=value. An empty line ends a section: the first one is about the service, each
 * further one about a client. A reader skips keys that it does not know. A key never changes its
 * meaning; a version that an older program must not read has another number.
 *
 * Children stay children, so pids are enough; descriptors keep their numbers.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

enum { HANDOVER_VERSION = 1, HANDOVER_FOLDERS_MAX = 16, HANDOVER_LINKS_MAX = 32 };

/* A client; its pids are those of children, 0: none, and its descriptors -1: none. */
struct handover_client {
    uint32_t state;   /* enum client_state */
    uint32_t version; /* of the protocol, that its launcher speaks */
    int32_t connection, control;
    uint32_t session, gate;
    bool has_hung_up, wants_status;
    uint32_t signal_at_hangup; /* for the command; 0: none */
    bool has_ended;            /* the gate, with @wait_status */
    int32_t wait_status;
    uint32_t stop_signal;
};

struct handover {
    uint32_t idle_exit_seconds;
    int32_t listener;
    bool is_managed;
    const char *path; /* that the service has bound; NULL: none */
    uint64_t inode;   /* of the socket at @path */
    const char *folders[HANDOVER_FOLDERS_MAX];
    size_t n_folders;
    int32_t links[HANDOVER_LINKS_MAX]; /* to the ledger */
    size_t n_links;
    struct handover_client *clients;
    size_t n_clients, clients_room;
    char *text; /* that the strings are in, if it was read */
};

#define HANDOVER_NULL                                                                              \
    { .listener = -1 }

int handover_add_client(struct handover *handover, const struct handover_client *client);
int handover_write(const struct handover *handover, int *memfdp);
int handover_parse(struct handover *handover, char *text);
int handover_read(struct handover *handover, int memfd);
void handover_deinit(struct handover *handover);

#define CLEANUP_HANDOVER __attribute__((cleanup(handover_deinit)))
