#include "launcher/options.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "launcher/host-list.h"
#include "launcher/message.h"
#include "utsbroker/base.h"
#include "utsbroker/protocol.h"

static const char help[] =
    "usage: utsrun [OPTION...] [--] [COMMAND [ARG...]]\n"
    "       utsrun -c [OPTION...]\n"
    "       utsrun -l\n"
    "       utsrun --ps [--json]\n"
    "Run COMMAND (default: your shell) under another host name, without root.\n"
    "\n"
    "  -n, --hostname NAME     the host name; by default *.test is permitted\n"
    "  -d, --domainname NAME   the NIS domain name; with or instead of -n\n"
    "      --via MODE          how to reach a broker: auto (default), direct or\n"
    "                          service\n"
    "      --die-with-parent   kill COMMAND when utsrun or its parent ends\n"
    "      --status-fd FD      write a line of JSON to FD when COMMAND runs, and one\n"
    "                          when it has ended\n"
    "  -v, --verbose           say which rule permits the names\n"
    "  -c, --check             only say whether the policy permits the names; exit\n"
    "                          status 0 if it does, 125 if not\n"
    "  -l, --list              show the rules of the policy that apply to you\n"
    "      --ps                show your commands that are running\n"
    "      --json              with --ps: print JSON, for programs\n"
    "  -h, --help              show this text\n"
    "  -V, --version           show the version\n"
    "\n"
    "Exit status: the command's (killed by the same signal if the command was);\n"
    "125 if utsrun failed or was refused, 126 if COMMAND cannot be executed, 127 if it\n"
    "is not found.\n"
    "\n"
    "Example: utsrun -n node1.test -- sh -c 'uname -n; id -un'\n"
    "The policy (who may take which name): " POLICY_FOLDER_ADMIN "\n";

enum { OPTION_MODE = 256, OPTION_DIE_WITH_PARENT, OPTION_STATUS_FD, OPTION_PS, OPTION_JSON };

static const struct option long_options[] = {
    {"hostname", required_argument, NULL, 'n'},
    {"domainname", required_argument, NULL, 'd'},
    {"via", required_argument, NULL, OPTION_MODE},
    {"die-with-parent", no_argument, NULL, OPTION_DIE_WITH_PARENT},
    {"status-fd", required_argument, NULL, OPTION_STATUS_FD},
    {"verbose", no_argument, NULL, 'v'},
    {"check", no_argument, NULL, 'c'},
    {"list", no_argument, NULL, 'l'},
    {"ps", no_argument, NULL, OPTION_PS},
    {"json", no_argument, NULL, OPTION_JSON},
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, 'V'},
    {NULL, 0, NULL, 0},
};

/* Returns 0 or OPTIONS_E_USAGE, without a message. */
int options_parse_mode(const char *word, enum mode *modep) {
    static const char *const words[] = {
        [MODE_AUTO] = "auto", [MODE_DIRECT] = "direct", [MODE_SERVICE] = "service"};

    for (size_t i = 0; i < BASE_ARRAY_SIZE(words); i++) {
        if (strcmp(word, words[i]) == 0) {
            *modep = (enum mode)i;
            return 0;
        }
    }
    return OPTIONS_E_USAGE;
}

static int mode_take(struct options *options, const char *word) {
    int r = options_parse_mode(word, &options->mode);

    if (r != 0)
        message("--via '%s' is no mode; use auto, direct or service", word);
    return r;
}

/* Refuses only what the request cannot hold; the policy decides on all other names. */
int options_check_name(const char *what, const char *name) {
    size_t length = name != NULL ? strlen(name) : 1;

    if (length > 0 && length < PROTOCOL_NAME_SIZE)
        return 0;
    message("%s: a name has 1 to %d bytes, this one has %zu", what, PROTOCOL_NAME_SIZE - 1, length);
    return OPTIONS_E_USAGE;
}

/* 0, 1 and 2 belong to the command. The command does not get this descriptor. */
static int status_fd_parse(const char *text, int *fdp) {
    char *end = NULL;
    long number;

    errno = 0;
    number = strtol(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || number < 3 ||
        number > INT32_MAX || fcntl((int)number, F_SETFD, FD_CLOEXEC) < 0) {
        message(
            "--status-fd '%s' is no open descriptor above 2; open one, for example: 3>status.json",
            text);
        return OPTIONS_E_USAGE;
    }
    *fdp = (int)number;
    return 0;
}

/* The user's shell, or one that is there. */
char *options_choose_shell(void) {
    static char bash[] = "/bin/bash", sh[] = "/bin/sh";
    char *shell = getenv("SHELL");

    if (shell != NULL && shell[0] != '\0')
        return shell;
    return access(bash, X_OK) == 0 ? bash : sh;
}

static int action_set(struct options *options, enum action action) {
    if (options->action != ACTION_RUN && options->action != action) {
        message("-c, -l and --ps cannot be combined; use one of them");
        return OPTIONS_E_USAGE;
    }
    options->action = action;
    return 0;
}

static int option_take(struct options *options, int option) {
    switch (option) {
    case 'n':
        options->hostname = optarg;
        return options_check_name("--hostname", optarg);
    case 'd':
        options->domainname = optarg;
        return options_check_name("--domainname", optarg);
    case OPTION_MODE:
        return mode_take(options, optarg);
    case OPTION_DIE_WITH_PARENT:
        options->dies_with_parent = true;
        return 0;
    case OPTION_STATUS_FD:
        return status_fd_parse(optarg, &options->status_fd);
    case 'c':
        return action_set(options, ACTION_CHECK);
    case 'l':
        return action_set(options, ACTION_LIST);
    case OPTION_PS:
        return action_set(options, ACTION_PS);
    case OPTION_JSON:
        options->is_json = true;
        return 0;
    case 'v':
        options->is_verbose = true;
        return 0;
    case 'h':
        (void)fputs(help, stdout);
        return OPTIONS_E_DONE;
    case 'V':
        (void)puts("utsrun " UTSBROKER_VERSION);
        return OPTIONS_E_DONE;
    default:
        /* getopt_long(3) has printed the error. */
        message("try 'utsrun --help'");
        return OPTIONS_E_USAGE;
    }
}

/*
 * Answers a list of hosts with the command line that runs the same for each of them: the words of
 * @argv, of which the first @n_options are options, with pdsh's word for the host's name.
 */
static int host_list_answer(const struct options *options, char *const *argv, size_t n_options) {
    struct host_list_line line;

    host_list_begin(&line, options->hostname);
    host_list_add(&line, "utsrun", strlen("utsrun"), "");
    for (size_t i = 1; argv[i] != NULL; i++) {
        size_t n = strlen(argv[i]);
        bool has_host =
            i < n_options && options->hostname >= argv[i] && options->hostname <= argv[i] + n;

        if (i == n_options && strcmp(argv[i - 1], "--") != 0)
            host_list_add(&line, "--", 2, "");
        host_list_add(&line, argv[i], has_host ? (size_t)(options->hostname - argv[i]) : n,
                      has_host ? "%h" : "");
    }
    host_list_print(&line, options->hostname);
    return OPTIONS_E_USAGE;
}

static int combination_check(const struct options *options, bool has_command) {
    bool has_others = options->hostname != NULL || options->domainname != NULL ||
                      options->mode != MODE_AUTO || options->is_verbose ||
                      options->dies_with_parent || options->status_fd >= 0;

    if (options->action != ACTION_RUN && has_command) {
        message("-c, -l and --ps run no command; leave it out, or leave out -c, -l and --ps");
        return OPTIONS_E_USAGE;
    }
    if (options->action == ACTION_PS && has_others) {
        message("--ps takes no other option than --json; leave out the others");
        return OPTIONS_E_USAGE;
    }
    if (options->is_json && options->action != ACTION_PS) {
        message("--json needs --ps; use utsrun --ps --json");
        return OPTIONS_E_USAGE;
    }
    return 0;
}

/*
 * Fills @options from the command line. Its pointers point into @argv and the environment. Options
 * end at the first word that is no option: utsrun never reads an option after the command
 * (CVE-2020-17367). Returns 0, OPTIONS_E_DONE or OPTIONS_E_USAGE.
 */
int options_parse(struct options *options, int argc, char **argv) {
    int r;

    *options = (struct options){.mode = MODE_AUTO, .status_fd = -1};
    for (;;) {
        int option = getopt_long(argc, argv, "+n:d:vclhV", long_options, NULL);

        if (option < 0)
            break;
        r = option_take(options, option);
        if (r != 0)
            return r;
    }
    r = combination_check(options, optind < argc);
    if (r != 0 || options->action == ACTION_LIST || options->action == ACTION_PS)
        return r;
    if (options->hostname == NULL && options->domainname == NULL) {
        message("no name is given; use -n NAME or -d NAME, for example: utsrun -n node1.test -- "
                "uname -n");
        return OPTIONS_E_USAGE;
    }
    if (options->hostname != NULL && host_list_is(options->hostname))
        return host_list_answer(options, argv, (size_t)optind);
    options->command = argv + optind;
    if (optind >= argc) {
        options->shell[0] = options_choose_shell();
        options->command = options->shell;
    }
    return 0;
}
