#pragma once

/* What is to be run and how; the command line of utsrun. */

#include <stdbool.h>
#include <sys/types.h>

/* How utsrun reaches a broker. */
enum mode { MODE_AUTO, MODE_DIRECT, MODE_SERVICE };

/* What the user wants: run a command, ask the policy, or see what lives. */
enum action { ACTION_RUN, ACTION_CHECK, ACTION_LIST, ACTION_PS };

struct options {
    const char *hostname;   /* NULL: not asked for */
    const char *domainname; /* NULL: not asked for */
    enum action action;
    enum mode mode;
    bool is_verbose;
    bool is_json;
    bool dies_with_parent;
    bool hangs_up;        /* utsrsh: SIGHUP to the command when utsrsh ends */
    bool leaves_terminal; /* utsrsh: the command does not get the terminal */
    bool is_background;   /* utsrsh: nobody reads what it says after the command runs */
    bool is_login;        /* utsrsh: the command is a login shell */
    pid_t parent;         /* utsrsh: who has started it, abandon.h; 0: nobody who may end */
    int status_fd;        /* -1: none */
    char **command;       /* at least one word, then NULL */
    char *shell[2];       /* @command points here if the user gave none */
};

enum {
    OPTIONS_E_DONE = 1, /* --help or --version: the text was printed, nothing is left to do */
    OPTIONS_E_USAGE,    /* the error was printed */
};

int options_parse_mode(const char *word, enum mode *modep);
int options_check_name(const char *what, const char *name);
char *options_choose_shell(void);
int options_parse(struct options *options, int argc, char **argv);
