#include "launcher/options.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "launcher/message.h"
#include "utsbroker/base.h"
#include "utsbroker/protocol.h"

static const char help[] =
    "usage: utsrun [OPTION...] [--] [COMMAND [ARG...]]\n"
    "       utsrun -c [OPTION...]\n"
    "       utsrun -l\n"
    "Run COMMAND (default: your shell) under another host name, without root.\n"
    "\n"
    "  -n, --hostname NAME     the host name; *.test is free for all by default\n"
    "  -d, --domainname NAME   the NIS domain name; with or instead of -n\n"
    "      --via WAY           auto (default), direct or service\n"
    "      --die-with-parent   kill COMMAND when utsrun or its parent ends\n"
    "      --status-fd FD      tell in JSON, a line each, that COMMAND runs, and how it ended\n"
    "  -v, --verbose           say which rule granted it\n"
    "  -c, --check             only say whether the policy gives the names; exit 0, or 125\n"
    "  -l, --list              show the rules of the policy that are for you\n"
    "  -h, --help              this text\n"
    "  -V, --version           the version\n"
    "\n"
    "Exit status: the command's (killed by the same signal if the command was);\n"
    "125 if utsrun failed or was refused, 126 if COMMAND cannot be executed, 127 if it\n"
    "is not found.\n"
    "\n"
    "Example: utsrun -n node1.test -- sh -c 'uname -n; id -un'\n"
    "Who may have which name: " POLICY_FOLDER_ADMIN "\n";

enum { OPTION_VIA = 256, OPTION_DIE_WITH_PARENT, OPTION_STATUS_FD };

static const struct option long_options[] = {
    {"hostname", required_argument, NULL, 'n'},
    {"domainname", required_argument, NULL, 'd'},
    {"via", required_argument, NULL, OPTION_VIA},
    {"die-with-parent", no_argument, NULL, OPTION_DIE_WITH_PARENT},
    {"status-fd", required_argument, NULL, OPTION_STATUS_FD},
    {"verbose", no_argument, NULL, 'v'},
    {"check", no_argument, NULL, 'c'},
    {"list", no_argument, NULL, 'l'},
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, 'V'},
    {NULL, 0, NULL, 0},
};

static int via_parse(const char *word, enum via *viap) {
    static const char *const words[] = {
        [VIA_AUTO] = "auto", [VIA_DIRECT] = "direct", [VIA_SERVICE] = "service"};

    for (size_t i = 0; i < BASE_ARRAY_SIZE(words); i++) {
        if (strcmp(word, words[i]) == 0) {
            *viap = (enum via)i;
            return 0;
        }
    }
    message("--via '%s': say auto, direct or service", word);
    return OPTIONS_E_USAGE;
}

/* Only what the record cannot hold; all else is the policy's to say. */
static int name_check(const char *option, const char *name) {
    size_t length = name != NULL ? strlen(name) : 1;

    if (length > 0 && length < PROTOCOL_NAME_SIZE)
        return 0;
    message("%s: a name has 1 to %d bytes, this one has %zu", option, PROTOCOL_NAME_SIZE - 1,
            length);
    return OPTIONS_E_USAGE;
}

/* 0, 1 and 2 are the command's; this one is not to be. */
static int status_fd_parse(const char *text, int *fdp) {
    char *end = NULL;
    long number;

    errno = 0;
    number = strtol(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || number < 3 ||
        number > INT32_MAX || fcntl((int)number, F_SETFD, FD_CLOEXEC) < 0) {
        message("--status-fd '%s': say the number of an open descriptor, 3 or more", text);
        return OPTIONS_E_USAGE;
    }
    *fdp = (int)number;
    return 0;
}

static char *shell_choose(void) {
    static char bash[] = "/bin/bash", sh[] = "/bin/sh";
    char *shell = getenv("SHELL");

    if (shell != NULL && shell[0] != '\0')
        return shell;
    return access(bash, X_OK) == 0 ? bash : sh;
}

static int option_take(struct options *options, int option) {
    switch (option) {
    case 'n':
        options->hostname = optarg;
        return name_check("--hostname", optarg);
    case 'd':
        options->domainname = optarg;
        return name_check("--domainname", optarg);
    case OPTION_VIA:
        return via_parse(optarg, &options->via);
    case OPTION_DIE_WITH_PARENT:
        options->dies_with_parent = true;
        return 0;
    case OPTION_STATUS_FD:
        return status_fd_parse(optarg, &options->status_fd);
    case 'c':
        options->mode = MODE_CHECK;
        return 0;
    case 'l':
        options->mode = MODE_LIST;
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
        /* getopt_long(3) said what is wrong. */
        message("try 'utsrun --help'");
        return OPTIONS_E_USAGE;
    }
}

/*
 * Fills @options from the command line; everything in it points into @argv and the environment.
 * Options end at the first word that is none (CVE-2020-17367: no option is read behind the
 * command). Returns 0, OPTIONS_E_DONE or OPTIONS_E_USAGE.
 */
int options_parse(struct options *options, int argc, char **argv) {
    *options = (struct options){.via = VIA_AUTO, .status_fd = -1};
    for (;;) {
        int option = getopt_long(argc, argv, "+n:d:vclhV", long_options, NULL);
        int r;

        if (option < 0)
            break;
        r = option_take(options, option);
        if (r != 0)
            return r;
    }
    if (options->mode != MODE_RUN && optind < argc) {
        message("-c and -l run nothing: no command with them");
        return OPTIONS_E_USAGE;
    }
    if (options->mode == MODE_LIST)
        return 0;
    if (options->hostname == NULL && options->domainname == NULL) {
        message(
            "which name? say -n NAME (or -d NAME), for example: utsrun -n node1.test -- uname -n");
        return OPTIONS_E_USAGE;
    }
    options->command = argv + optind;
    if (optind >= argc) {
        options->shell[0] = shell_choose();
        options->command = options->shell;
    }
    return 0;
}
