#pragma once

/* The keywords of ssh_config(5), as ssh(1) takes them with -o. */

#include <stdbool.h>
#include <stddef.h>

enum rsh_keyword {
    RSH_KEYWORD_OTHER, /* of keys, ciphers, agents, connections: nothing to do */
    RSH_KEYWORD_FORK,
    RSH_KEYWORD_FORWARDING, /* ports, sockets, proxies and tunnels */
    RSH_KEYWORD_HOST_NAME,
    RSH_KEYWORD_LOG_LEVEL,
    RSH_KEYWORD_PORT,
    RSH_KEYWORD_REMOTE_COMMAND,
    RSH_KEYWORD_REQUEST_TTY,
    RSH_KEYWORD_SESSION_TYPE,
    RSH_KEYWORD_STDIN_NULL,
    RSH_KEYWORD_USER,
};

/* KEY and VALUE of one -o; not terminated by a NUL. */
struct rsh_assignment {
    const char *key, *value;
    size_t n_key, n_value;
};

bool rsh_assignment_parse(struct rsh_assignment *assignment, const char *text);
enum rsh_keyword rsh_keyword_find(const char *key, size_t n);
