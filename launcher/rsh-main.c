/*
 * utsrsh: runs a command under the host name HOST, and is called as ssh(1) is, by programs that
 * start others on other hosts. It does what utsrun does, in the same ways.
 */

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "launcher/attempt.h"
#include "launcher/host-list.h"
#include "launcher/message.h"
#include "launcher/options.h"
#include "launcher/program.h"
#include "launcher/refusal.h"
#include "launcher/rsh-background.h"
#include "launcher/rsh-caller.h"
#include "launcher/rsh-command.h"
#include "launcher/rsh-options.h"
#include "launcher/rsh-search.h"
#include "launcher/signals.h"
#include "utsbroker/base.h"
#include "utsbroker/compat.h"
#include "utsbroker/protocol.h"

enum { EXIT_UTSRSH_FAILED = 255 }; /* of ssh(1), also if a signal ended the command */

static const char help[] =
    "usage: utsrsh [OPTION...] [USER@]HOST [OPTION...] [COMMAND...]\n"
    "Run COMMAND (default: a login shell) under the host name HOST, without root. For\n"
    "programs that start others by ssh: it takes all options of ssh(1).\n"
    "\n"
    "  -E FILE     append messages to FILE instead of standard error\n"
    "  -f          go to the background as soon as COMMAND runs; implies -n\n"
    "  -G          print user, host and port, and run nothing\n"
    "  -l USER     the user; only yourself is possible\n"
    "  -n          COMMAND reads from /dev/null\n"
    "  -q          print no warnings\n"
    "  -s          COMMAND is the name of a subsystem: sftp\n"
    "  -T          COMMAND gets no terminal\n"
    "  -t          COMMAND gets the terminal, if standard input is one; -tt: in any\n"
    "              case\n"
    "  -V          print the version\n"
    "  -v          say which rule permits the name\n"
    "\n"
    "Without effect: -1 -2 -4 -6 -A -a -B -b -C -c -e -F -g -I -i -K -k -M -m -P -p -S\n"
    "                -X -x -Y -y, and most keywords of -o\n"
    "Run nothing:    -N -O -Q\n"
    "Refused:        -D -J -L -R -W -w\n"
    "\n"
    "Environment: UTSRSH_SEARCH (suffixes for a name without a dot; default: test),\n"
    "UTSRSH_CWD=keep (do not change to the home folder), UTSRSH_VIA (auto, direct or\n"
    "service).\n"
    "Exit status: the command's; 255 if utsrsh failed or was refused, or if a signal\n"
    "ended the command.\n"
    "\n"
    "Example: utsrsh node1.test uname -n\n";

static const struct program utsrsh = {.name = "utsrsh",
                                      .status_failed = EXIT_UTSRSH_FAILED,
                                      .status_cannot_execute = EXIT_UTSRSH_FAILED,
                                      .status_not_found = EXIT_UTSRSH_FAILED,
                                      .ends_by_signal = false,
                                      .via_direct = "UTSRSH_VIA=direct"};

static const char *variable_read(const char *name, const char *otherwise) {
    const char *value = getenv(name);

    return value != NULL ? value : otherwise;
}

/* Prints what ssh -G prints of a host, as far as it means something here. */
static int config_print(const struct rsh_options *asked) {
    const char *user = asked->user[0] != '\0' ? asked->user : variable_read("USER", "");

    (void)printf("host %s\n", asked->host);
    if (user[0] != '\0')
        (void)printf("user %s\n", user);
    (void)printf("hostname %s\nport %s\n",
                 asked->host_name[0] != '\0' ? asked->host_name : asked->host,
                 asked->port[0] != '\0' ? asked->port : "22");
    return fflush(stdout) == 0 ? 0 : EXIT_UTSRSH_FAILED;
}

/* Has messages go to the file of -E. The command keeps standard error. */
static int log_open(const struct rsh_options *asked) {
    int fd;

    if (asked->log_file == NULL)
        return 0;
    fd = open(asked->log_file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (fd >= 0 && fd <= 2) { /* one of them is closed, and the command must find it closed */
        int low = fd;

        fd = fcntl(low, F_DUPFD_CLOEXEC, 3);
        (void)close(low);
    }
    if (fd < 0) {
        message_failure("the file of -E could not be opened", errno, "use another one");
        return EXIT_UTSRSH_FAILED;
    }
    message_redirect(fd);
    return 0;
}

static int user_check(const struct rsh_options *asked) {
    const struct rsh_caller caller = {
        .uid = getuid(), .user = getenv("USER"), .logname = getenv("LOGNAME")};
    FILE *passwd;
    bool is_caller;

    if (asked->user[0] == '\0')
        return 0;
    passwd = fopen("/etc/passwd", "re");
    is_caller = rsh_caller_is(&caller, asked->user, passwd);
    if (passwd != NULL)
        (void)fclose(passwd);
    if (is_caller)
        return 0;
    message("user '%s' refused: a command runs as the user who calls utsrsh, and that is another "
            "one; leave the user out",
            asked->user);
    return EXIT_UTSRSH_FAILED;
}

static int mode_read(struct options *options) {
    const char *via = getenv("UTSRSH_VIA");

    if (via == NULL || via[0] == '\0' || options_parse_mode(via, &options->mode) == 0)
        return 0;
    message("UTSRSH_VIA='%s' is no mode; use auto, direct or service", via);
    return EXIT_UTSRSH_FAILED;
}

/* Without one that is there, a command of sshd(8) runs in the root folder, too. */
static void home_enter(const struct rsh_options *asked) {
    const char *home = getenv("HOME");

    if (strcmp(variable_read("UTSRSH_CWD", ""), "keep") == 0)
        return;
    if (home != NULL && home[0] != '\0' && chdir(home) == 0)
        return;
    if (!asked->is_quiet && home != NULL && home[0] != '\0')
        message_failure("the home folder cannot be entered, and the command runs in /", errno,
                        "set HOME, or UTSRSH_CWD=keep");
    if (chdir("/") < 0)
        return; /* the command runs where it is */
}

static bool has_controlling_terminal(void) {
    CLEANUP_FD int fd = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);

    return fd >= 0;
}

/*
 * True if the command gets the terminal, as utsrun gives it. Else it is without one and in a
 * process group of its own, as a command of sshd(8) is. It has its descriptors all the same, also
 * if they are the terminal.
 */
static bool terminal_decide(const struct rsh_options *asked, bool is_shell) {
    bool is_wanted =
        asked->terminal == RSH_TERMINAL_WANTED || asked->terminal == RSH_TERMINAL_FORCED;
    bool has_terminal = asked->terminal == RSH_TERMINAL_FORCED ? has_controlling_terminal()
                                                               : isatty(STDIN_FILENO) == 1;

    if (is_wanted && !has_terminal && !asked->is_quiet)
        message("-t: there is no terminal here, so the command gets none; leave -t out");
    return has_terminal && (is_wanted || (is_shell && asked->terminal == RSH_TERMINAL_AUTO));
}

/* A background process must not read what the user types for others. */
static bool is_background_of_terminal(void) {
    pid_t foreground = tcgetpgrp(STDIN_FILENO);

    return foreground > 0 && foreground != getpgrp();
}

static int input_close(uint32_t *closed_stdiop) {
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

    if (fd < 0 || (fd != STDIN_FILENO && dup2(fd, STDIN_FILENO) < 0) ||
        fcntl(STDIN_FILENO, F_SETFD, 0) < 0) {
        message_failure("/dev/null cannot be the command's input", errno, "try again");
        return EXIT_UTSRSH_FAILED;
    }
    if (fd != STDIN_FILENO)
        (void)close(fd);
    *closed_stdiop &= ~1U;
    return 0;
}

/* As in a command of sshd(8), none is blocked. pdsh(1) blocks SIGINT in what it ends by it. */
static void signals_unblock(void) {
    sigset_t none;

    (void)sigemptyset(&none);
    (void)signals_set_mask(&none, NULL);
}

/* Makes this process as it was before the attempt that was refused. */
static void attempt_undo(const struct refusal *refusal, const struct sigaction *child_action) {
    (void)sigaction(SIGCHLD, child_action, NULL);
    (void)signals_set_mask(&refusal->mask, NULL);
}

static int host_list_answer(const char *host, char *const *words) {
    struct host_list_line line;

    host_list_begin(&line, host);
    host_list_add(&line, "utsrsh", strlen("utsrsh"), "");
    host_list_add(&line, "", 0, "%h");
    for (size_t i = 0; words[i] != NULL; i++)
        host_list_add(&line, words[i], strlen(words[i]), "");
    host_list_print(&line, host);
    return EXIT_UTSRSH_FAILED;
}

/*
 * Runs the command under the first name for @host that the policy permits, and ends as it does.
 * Returns the exit status if there is none: the refusal is about the name as it was given.
 */
static int names_try(struct options *options, const char *host, char *const *words,
                     uint32_t closed_stdio) {
    const char *search = variable_read("UTSRSH_SEARCH", "test");
    char name[PROTOCOL_NAME_SIZE];
    struct sigaction child_action;
    struct refusal first = {.reply = {.status = PROTOCOL_DENIED}}, last = first;

    if (host_list_is(host))
        return host_list_answer(host, words);
    if (options_check_name("the host's name", host) != 0 ||
        sigaction(SIGCHLD, NULL, &child_action) < 0)
        return EXIT_UTSRSH_FAILED;
    options->hostname = name;
    for (size_t n = 0; last.reply.status == PROTOCOL_DENIED &&
                       rsh_search_name(name, sizeof(name), host, search, n);
         n++) {
        if (n > 0)
            attempt_undo(&last, &child_action);
        attempt_run(options, closed_stdio, &last);
        if (n == 0)
            first = last;
    }
    if (last.reply.status == PROTOCOL_DENIED) {
        options->hostname = host;
        last = first;
    }
    return refusal_print(options, &last);
}

static int command_run(const struct rsh_options *asked, uint32_t closed_stdio, pid_t parent) {
    struct options options = {.status_fd = -1,
                              .hangs_up = true,
                              .is_verbose = asked->is_verbose && !asked->is_quiet,
                              .parent = parent};
    struct rsh_command command;
    CLEANUP_FREE char *line = NULL;
    bool has_null_input = asked->has_null_input || asked->goes_to_background;
    int r = rsh_command_build(&command, &options, asked);

    line = command.line;
    if (r != 0) {
        message(r == RSH_COMMAND_E_NO_SUBSYSTEM
                    ? "there is no such subsystem; only sftp is known, by OpenSSH's sftp-server"
                    : "there is no memory for the command; try again");
        return EXIT_UTSRSH_FAILED;
    }
    options.leaves_terminal = has_null_input || !terminal_decide(asked, options.is_login);
    has_null_input = has_null_input || (options.leaves_terminal && is_background_of_terminal());
    if (mode_read(&options) != 0 || (has_null_input && input_close(&closed_stdio) != 0))
        return EXIT_UTSRSH_FAILED;
    home_enter(asked);
    if (asked->goes_to_background && rsh_background_enter(&options) != 0)
        return EXIT_UTSRSH_FAILED;
    return names_try(&options, asked->host_name[0] != '\0' ? asked->host_name : asked->host,
                     asked->words, closed_stdio);
}

int main(int argc, char **argv) {
    pid_t parent = getppid(); /* early: it may end at any time */
    uint32_t closed_stdio = attempt_find_closed_stdio();
    struct rsh_options asked;

    (void)argc;
    program = utsrsh;
    signals_unblock();
    compat_close_range(3, INT_MAX); /* the command is to have none of them */
    if (rsh_options_parse(&asked, argv) != 0) {
        message("%s", asked.error);
        return EXIT_UTSRSH_FAILED;
    }
    switch (asked.action) {
    case RSH_PRINT_HELP:
        (void)fputs(help, stdout);
        return 0;
    case RSH_PRINT_VERSION: /* where ssh(1) prints its own */
        (void)fputs("utsrsh " UTSBROKER_VERSION "\n", stderr);
        return 0;
    case RSH_PRINT_CONFIG:
        return config_print(&asked);
    case RSH_DO_NOTHING:
        return 0;
    case RSH_RUN:
    default:
        break;
    }
    if (attempt_has_ambiguous_ids()) {
        message("real and effective ids differ (started by a setuid program?), so it is not clear "
                "which user asks; start utsrsh with equal ids");
        return EXIT_UTSRSH_FAILED;
    }
    if (log_open(&asked) != 0 || user_check(&asked) != 0)
        return EXIT_UTSRSH_FAILED;
    return command_run(&asked, closed_stdio, parent);
}
