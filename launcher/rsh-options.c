#include "launcher/rsh-options.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "launcher/rsh-keyword.h"

/* All options of OpenSSH's ssh, and of its older versions: without an argument, and with one. */
static const char flags[] = "1246AaCfGgKkMNnqsTtVvXxYy";
static const char with_argument[] = "BbcDEeFIiJLlmOoPpQRSWw";
static const char forwardings[] = "DJLRWw";

__attribute__((format(printf, 2, 3))) static int fail(struct rsh_options *options,
                                                      const char *format, ...) {
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(options->error, sizeof(options->error), format, arguments);
    va_end(arguments);
    return RSH_OPTIONS_E_USAGE;
}

static int forwarding_refuse(struct rsh_options *options, const char *what) {
    return fail(options,
                "%s asks to forward a connection, and there is none: all hosts here share the "
                "network of this machine; leave it out",
                what);
}

/* Copies the @n bytes at @text, unless @to has a text: as in ssh(1), the first of several counts.
 * False if they are none or too many. */
static bool text_take(char *to, size_t size, const char *text, size_t n) {
    if (n == 0 || n >= size)
        return false;
    if (to[0] == '\0') {
        memcpy(to, text, n);
        to[n] = '\0';
    }
    return true;
}

/* Takes [USER@]HOST or ssh://[USER@]HOST[:PORT]. */
static int host_take(struct rsh_options *options, const char *word) {
    static const char scheme[] = "ssh://";
    bool is_uri = strncmp(word, scheme, strlen(scheme)) == 0;
    const char *host = is_uri ? word + strlen(scheme) : word;
    const char *at = strrchr(host, '@');
    bool is_good = true;
    size_t n;

    if (at != NULL) {
        is_good = text_take(options->user, sizeof(options->user), host, (size_t)(at - host));
        host = at + 1;
    }
    n = is_uri ? strcspn(host, ":/") : strlen(host);
    if (is_uri && host[n] == ':')
        (void)text_take(options->port, sizeof(options->port), host + n + 1,
                        strcspn(host + n + 1, "/"));
    if (is_good && text_take(options->host, sizeof(options->host), host, n))
        return 0;
    return fail(options, "'%s' is no host; use [USER@]HOST, for example node1.test", word);
}

static bool value_is(const struct rsh_assignment *assignment, const char *text) {
    return assignment->n_value == strlen(text) &&
           strncasecmp(assignment->value, text, assignment->n_value) == 0;
}

static bool value_is_yes(const struct rsh_assignment *assignment) {
    return value_is(assignment, "yes") || value_is(assignment, "true");
}

static bool value_is_no(const struct rsh_assignment *assignment) {
    return value_is(assignment, "no") || value_is(assignment, "false") ||
           value_is(assignment, "none");
}

static void terminal_take(struct rsh_options *options, const struct rsh_assignment *assignment) {
    if (options->terminal != RSH_TERMINAL_AUTO)
        return;
    if (value_is_no(assignment))
        options->terminal = RSH_TERMINAL_NEVER;
    else if (value_is_yes(assignment))
        options->terminal = RSH_TERMINAL_WANTED;
    else if (value_is(assignment, "force"))
        options->terminal = RSH_TERMINAL_FORCED;
}

/* Copies the value to @to. */
static int value_take(struct rsh_options *options, char *to, size_t size,
                      const struct rsh_assignment *assignment) {
    if (text_take(to, size, assignment->value, assignment->n_value))
        return 0;
    return fail(options, "-o %.*s: its value has more than %zu bytes; use a shorter one",
                (int)assignment->n_key, assignment->key, size - 1);
}

static void session_type_take(struct rsh_options *options,
                              const struct rsh_assignment *assignment) {
    if (value_is(assignment, "subsystem"))
        options->is_subsystem = true;
    else if (value_is(assignment, "none"))
        options->action = RSH_DO_NOTHING;
}

static void log_level_take(struct rsh_options *options, const struct rsh_assignment *assignment) {
    options->is_quiet = options->is_quiet || value_is(assignment, "quiet");
    options->is_verbose = options->is_verbose || value_is(assignment, "verbose") ||
                          strncasecmp(assignment->value, "debug", 5) == 0;
}

static int keyword_take(struct rsh_options *options, const char *text) {
    struct rsh_assignment assignment;

    if (!rsh_assignment_parse(&assignment, text))
        return fail(options, "-o '%s' has no value; use -o KEYWORD=VALUE", text);
    switch (rsh_keyword_find(assignment.key, assignment.n_key)) {
    case RSH_KEYWORD_FORWARDING:
        return value_is_no(&assignment) ? 0 : forwarding_refuse(options, text);
    case RSH_KEYWORD_USER:
        return value_take(options, options->user, sizeof(options->user), &assignment);
    case RSH_KEYWORD_HOST_NAME:
        return value_take(options, options->host_name, sizeof(options->host_name), &assignment);
    case RSH_KEYWORD_PORT:
        return value_take(options, options->port, sizeof(options->port), &assignment);
    case RSH_KEYWORD_REMOTE_COMMAND:
        return value_is_no(&assignment) ? 0
                                        : value_take(options, options->remote_command,
                                                     sizeof(options->remote_command), &assignment);
    case RSH_KEYWORD_REQUEST_TTY:
        terminal_take(options, &assignment);
        return 0;
    case RSH_KEYWORD_STDIN_NULL:
        options->has_null_input = options->has_null_input || value_is_yes(&assignment);
        return 0;
    case RSH_KEYWORD_FORK:
        options->goes_to_background = options->goes_to_background || value_is_yes(&assignment);
        return 0;
    case RSH_KEYWORD_SESSION_TYPE:
        session_type_take(options, &assignment);
        return 0;
    case RSH_KEYWORD_LOG_LEVEL:
        log_level_take(options, &assignment);
        return 0;
    case RSH_KEYWORD_OTHER:
    default:
        return 0;
    }
}

static void flag_take(struct rsh_options *options, char flag) {
    switch (flag) {
    case 'f':
        options->goes_to_background = true;
        break;
    case 'G':
        options->action = RSH_PRINT_CONFIG;
        break;
    case 'N':
        options->action = RSH_DO_NOTHING;
        break;
    case 'n':
        options->has_null_input = true;
        break;
    case 'q':
        options->is_quiet = true;
        break;
    case 's':
        options->is_subsystem = true;
        break;
    case 'T':
        options->terminal = RSH_TERMINAL_NEVER;
        break;
    case 't':
        options->terminal =
            options->terminal == RSH_TERMINAL_WANTED ? RSH_TERMINAL_FORCED : RSH_TERMINAL_WANTED;
        break;
    case 'V':
        options->action = RSH_PRINT_VERSION;
        break;
    case 'v':
        options->is_verbose = true;
        break;
    default: /* of connections, keys and agents */
        break;
    }
}

static int argument_take(struct rsh_options *options, char option, const char *argument) {
    const char name[] = {'-', option, '\0'};

    if (strchr(forwardings, option) != NULL) /* -J none: as without */
        return option == 'J' && strcasecmp(argument, "none") == 0
                   ? 0
                   : forwarding_refuse(options, name);
    switch (option) {
    case 'E':
        options->log_file = argument;
        return 0;
    case 'l':
        return text_take(options->user, sizeof(options->user), argument, strlen(argument))
                   ? 0
                   : fail(options, "-l '%s' is no user; leave it out", argument);
    case 'o':
        return keyword_take(options, argument);
    case 'p':
        (void)text_take(options->port, sizeof(options->port), argument, strlen(argument));
        return 0;
    case 'O':
    case 'Q':
        options->action = RSH_DO_NOTHING;
        return 0;
    default:
        return 0;
    }
}

/* Takes a word of options, and the argument of the last one: "-tt", "-xq", "-l", "-lalice". Moves
 * *@wordp after them. -V ends all, as in ssh(1). */
static int cluster_take(struct rsh_options *options, char *const **wordp) {
    const char *at = *(*wordp)++ + 1;

    for (; *at != '\0' && strchr(flags, *at) != NULL; at++) {
        flag_take(options, *at);
        if (*at == 'V')
            return 0;
    }
    if (*at == '\0')
        return 0;
    if (strchr(with_argument, *at) == NULL)
        return fail(options, "-%c is no option of ssh; see utsrsh --help", *at);
    if (at[1] != '\0')
        return argument_take(options, *at, at + 1);
    if (**wordp == NULL)
        return fail(options, "-%c needs an argument; see utsrsh --help", *at);
    return argument_take(options, *at, *(*wordp)++);
}

/* True if the parsing ends here, whatever follows. */
static bool is_over(const struct rsh_options *options) {
    return options->action == RSH_PRINT_VERSION || options->action == RSH_PRINT_HELP;
}

/* Takes the options at *@wordp, up to the first word that is none, or after "--". */
static int options_take(struct rsh_options *options, char *const **wordp) {
    int r = 0;

    while (r == 0 && !is_over(options) && **wordp != NULL && (**wordp)[0] == '-' &&
           (**wordp)[1] != '\0') {
        if (strcmp(**wordp, "--") == 0) {
            (*wordp)++;
            return 0;
        }
        r = cluster_take(options, wordp);
    }
    return r;
}

static int arguments_check(struct rsh_options *options) {
    if (options->host[0] == '\0' &&
        (options->action == RSH_RUN || options->action == RSH_PRINT_CONFIG))
        return fail(options, "no host is given; use utsrsh HOST [COMMAND], for example: utsrsh "
                             "node1.test uname -n");
    if (options->is_subsystem && options->words[0] == NULL && options->action == RSH_RUN)
        return fail(options, "-s needs the name of a subsystem; use -s HOST sftp");
    if (options->remote_command[0] != '\0' && options->words[0] != NULL)
        return fail(options, "-o RemoteCommand and a command are given; leave out one of them");
    return 0;
}

/*
 * Parses the words of a command line, from @argv[1] to NULL, which must live as long as @options.
 * Options stand before the host and directly after it; "--" ends them in both places. Returns 0, or
 * RSH_OPTIONS_E_USAGE with one line in options->error.
 */
int rsh_options_parse(struct rsh_options *options, char *const *argv) {
    char *const *word = argv + 1;
    int r;

    *options = (struct rsh_options){.action = RSH_RUN};
    if (*word != NULL && strcmp(*word, "--help") == 0)
        options->action = RSH_PRINT_HELP;
    else if (*word != NULL && strcmp(*word, "--version") == 0)
        options->action = RSH_PRINT_VERSION;
    if (is_over(options))
        return 0;
    r = options_take(options, &word);
    if (r == 0 && !is_over(options) && *word != NULL) {
        r = host_take(options, *word++);
        if (r == 0)
            r = options_take(options, &word);
    }
    options->words = word;
    return r != 0 || is_over(options) ? r : arguments_check(options);
}
