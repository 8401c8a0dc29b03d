#pragma once

/* The command line of utsrsh, which is that of ssh(1). A pure function of its words. */

#include <stdbool.h>
#include <stddef.h>

enum rsh_action {
    RSH_RUN,        /* a command, or a login shell */
    RSH_DO_NOTHING, /* -N, -O, -Q: only about connections and keys */
    RSH_PRINT_CONFIG,
    RSH_PRINT_VERSION,
    RSH_PRINT_HELP,
};

/* Whether the command gets the terminal. */
enum rsh_terminal {
    RSH_TERMINAL_AUTO,   /* a login shell does, if standard input is one */
    RSH_TERMINAL_NEVER,  /* -T */
    RSH_TERMINAL_WANTED, /* -t: if standard input is one */
    RSH_TERMINAL_FORCED, /* -tt: if there is one */
};

struct rsh_options {
    enum rsh_action action;
    enum rsh_terminal terminal;
    char host[256];            /* without user and port */
    char host_name[256];       /* -o HostName; "": the host is the name */
    char user[256];            /* "": not given */
    char port[16];             /* only for -G */
    char remote_command[4096]; /* -o RemoteCommand; "": none */
    const char *log_file;      /* -E; NULL: standard error */
    bool is_verbose;
    bool is_quiet;
    bool has_null_input;
    bool goes_to_background;
    bool is_subsystem;  /* the command is the name of a subsystem */
    char *const *words; /* of the command; the last one is NULL */
    char error[512];    /* what is wrong, and what to do */
};

enum { RSH_OPTIONS_E_USAGE = 1 };

int rsh_options_parse(struct rsh_options *options, char *const *argv);
