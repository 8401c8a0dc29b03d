#pragma once

/* A client of the service: from its connection, through its session, to the end of its command. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "broker/service/child.h"

struct service;
struct client;

enum watch_kind {
    WATCH_LISTENER,
    WATCH_SIGNALS,
    WATCH_SPARE,
    WATCH_CONNECTION,
    WATCH_CONTROL,
    WATCH_SESSION,
    WATCH_COMMAND,
    WATCH_COUNT
};

/* What epoll(7) says has happened, and to whom. */
struct watch {
    enum watch_kind kind;
    struct client *client;
};

struct client_list {
    struct client *first, *last;
    size_t n;
};

struct client {
    struct service *service;
    struct client_list *list;
    struct client *before, *behind;
    int connection; /* to the launcher; -1: it hung up, or has been told all */
    int control;    /* to the session; -1: it has said all */
    struct child session, command;
    bool has_reported;       /* what its gate is */
    bool is_granted;         /* and the launcher knows */
    bool dies_with_launcher; /* the command does */
    bool owes_end;           /* the log has the grant, and is to have the command's end */
    bool is_counted;         /* by @counter */
    size_t counter;
    int stop_signal;  /* the command has stopped by it, and the launcher is yet to be told */
    int64_t deadline; /* silent, or undecided */
    struct watch watches[WATCH_COUNT];
};

void client_list_remove(struct client *client);
void client_list_append(struct client *client, struct client_list *list);
void client_list_move(struct client *client, struct client_list *list);

int client_new(struct service *service, int connection);
void client_dispatch(struct client *client, bool is_late);
void client_handle(struct client *client, enum watch_kind kind, uint32_t events);
void client_expire(struct client *client);
void client_retry(struct client *client);
void client_note_stop(struct client *client, int signal_number);
void client_end(struct client *client, int signal_number);
