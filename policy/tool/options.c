#include "policy/tool/options.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "policy/folders.h"
#include "utsbroker/base.h"

static const struct option long_options[] = {
    {"policy-dir", required_argument, NULL, TOOL_OPTION_POLICY_DIR},
    {"user", required_argument, NULL, TOOL_OPTION_USER},
    {"group", required_argument, NULL, TOOL_OPTION_GROUP},
    {"self", no_argument, NULL, TOOL_OPTION_SELF},
    {"hostname", required_argument, NULL, TOOL_OPTION_HOSTNAME},
    {"domainname", required_argument, NULL, TOOL_OPTION_DOMAINNAME},
    {"json", no_argument, NULL, TOOL_OPTION_JSON},
    {"strict", no_argument, NULL, TOOL_OPTION_STRICT},
    {"brief", no_argument, NULL, TOOL_OPTION_BRIEF},
    {"nearest", no_argument, NULL, TOOL_OPTION_NEAREST},
    {"names", required_argument, NULL, TOOL_OPTION_NAMES},
    {"via", required_argument, NULL, TOOL_OPTION_VIA},
    {"write", no_argument, NULL, TOOL_OPTION_WRITE},
    {"network", required_argument, NULL, TOOL_OPTION_NETWORK},
    {"no-lookup", no_argument, NULL, TOOL_OPTION_NO_LOOKUP},
    {"as", required_argument, NULL, TOOL_OPTION_AS},
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, 'V'},
    {NULL, 0, NULL, 0},
};

/* The commands, for messages. */
struct command_table {
    const struct tool_command *all;
    size_t n;
};

__attribute__((format(printf, 1, 2))) static _Noreturn void usage_fail(const char *why, ...) {
    va_list arguments;

    (void)fputs("utspolicy: ", stderr);
    va_start(arguments, why);
    (void)vfprintf(stderr, why, arguments);
    va_end(arguments);
    (void)fputs("; try 'utspolicy --help'\n", stderr);
    exit(TOOL_FAILED);
}

/* Returns the option of this bit as people write it. */
static const char *option_name(unsigned bit, char *text, size_t size) {
    if (bit == TOOL_OPTION_HOSTNAME)
        return "-n";
    if (bit == TOOL_OPTION_DOMAINNAME)
        return "-d";
    for (size_t i = 0; long_options[i].name != NULL; i++)
        if ((unsigned)long_options[i].val == bit)
            (void)snprintf(text, size, "--%s", long_options[i].name);
    return text;
}

/* Writes the commands that take @option, or all if it is 0: "check, explain or list". */
static const char *commands_describe(const struct command_table *table, unsigned option,
                                     const char *last, char *text, size_t size) {
    size_t n = 0, n_left = 0, length = 0;

    for (size_t i = 0; i < table->n; i++)
        n_left += (table->all[i].takes & option) == option;
    text[0] = '\0';
    for (size_t i = 0; i < table->n && length < size; i++) {
        if ((table->all[i].takes & option) != option)
            continue;
        length += (size_t)snprintf(text + length, size - length, "%s%s",
                                   n == 0 ? "" : (n_left == 1 ? last : ", "), table->all[i].name);
        n++;
        n_left--;
    }
    return text;
}

static void list_add(const char **list, size_t *np, size_t max, const char *option,
                     const char *value) {
    if (*np == max)
        usage_fail("too many %s options: at most %zu", option, max);
    list[(*np)++] = value;
}

static enum tool_via via_parse(const char *word) {
    if (strcmp(word, "direct") == 0)
        return TOOL_VIA_DIRECT;
    if (strcmp(word, "service") == 0)
        return TOOL_VIA_SERVICE;
    usage_fail("--via takes direct or service");
}

static enum tool_names names_parse(const char *word) {
    if (strcmp(word, "hostname") == 0)
        return TOOL_NAMES_HOST;
    if (strcmp(word, "domainname") == 0)
        return TOOL_NAMES_DOMAIN;
    usage_fail("--names takes hostname or domainname");
}

static void folder_check(const char *path) {
    struct stat status;

    if (stat(path, &status) < 0) {
        (void)fprintf(stderr, "utspolicy: --policy-dir %s: %s\n", path, strerror(errno));
        exit(TOOL_FAILED);
    }
    if (!S_ISDIR(status.st_mode))
        usage_fail("--policy-dir takes a folder: name the one that has the file");
}

static void option_take(struct tool_options *options, enum tool_option option, const char *value) {
    switch (option) {
    case TOOL_OPTION_POLICY_DIR:
        folder_check(value);
        list_add(options->folders, &options->n_folders, TOOL_FOLDERS_MAX, "--policy-dir", value);
        options->has_own_folders = true;
        break;
    case TOOL_OPTION_USER:
        options->user = value;
        break;
    case TOOL_OPTION_GROUP:
        if (strpbrk(value, ", ") != NULL)
            usage_fail("--group takes one name: repeat it for more");
        list_add(options->groups, &options->n_groups, TOOL_GROUPS_MAX, "--group", value);
        break;
    case TOOL_OPTION_SELF:
        options->is_self = true;
        break;
    case TOOL_OPTION_HOSTNAME:
        options->hostname = value;
        break;
    case TOOL_OPTION_DOMAINNAME:
        options->domainname = value;
        break;
    case TOOL_OPTION_JSON:
        options->is_json = true;
        break;
    case TOOL_OPTION_STRICT:
        options->is_strict = true;
        break;
    case TOOL_OPTION_BRIEF:
        options->is_brief = true;
        break;
    case TOOL_OPTION_NEAREST:
        options->is_nearest = true;
        break;
    case TOOL_OPTION_NAMES:
        options->names = names_parse(value);
        break;
    case TOOL_OPTION_VIA:
        options->via = via_parse(value);
        break;
    case TOOL_OPTION_WRITE:
        options->is_in_place = true;
        break;
    case TOOL_OPTION_NETWORK:
        options->network = value;
        break;
    case TOOL_OPTION_NO_LOOKUP:
        options->has_no_lookup = true;
        break;
    case TOOL_OPTION_AS:
        if (strchr(value, '/') != NULL || !folders_is_policy_file(value))
            usage_fail("--as takes the name of a policy file, such as 10-lab.conf");
        options->as = value;
        break;
    case TOOL_OPTIONS_OF_SUBJECT:
    default: /* getopt_long(3) has described the error */
        usage_fail("invalid option");
    }
}

/* Reads the options, and returns those that are given. A value that is given twice is an error. */
static unsigned options_take(struct tool_options *options, int argc, char **argv) {
    static const unsigned lists = TOOL_OPTION_POLICY_DIR | TOOL_OPTION_GROUP;
    unsigned given = 0;
    char name[32];
    int letter;

    while ((letter = getopt_long(argc, argv, "n:d:hV", long_options, NULL)) >= 0) {
        unsigned option = letter == 'n'   ? TOOL_OPTION_HOSTNAME
                          : letter == 'd' ? TOOL_OPTION_DOMAINNAME
                                          : (unsigned)letter;

        if (letter == 'h') {
            help_print(stdout);
            exit(TOOL_YES);
        }
        if (letter == 'V') {
            (void)puts("utspolicy " UTSBROKER_VERSION);
            exit(TOOL_YES);
        }
        if ((given & option & ~lists) != 0 && optarg != NULL)
            usage_fail("%s is given twice; give it once", option_name(option, name, sizeof(name)));
        option_take(options, option, optarg);
        given |= option;
    }
    return given;
}

/* Takes each word as the value of an option that is not given, or as a file. */
static unsigned words_take(struct tool_options *options, const struct tool_command *command,
                           unsigned given, char **words) {
    size_t next = 0, n_files = 0;

    if (options->is_self)
        given |= TOOL_OPTION_USER;
    if (command->n_files_max > 0) {
        options->files = words;
        while (words[n_files] != NULL)
            n_files++;
        if (n_files < command->n_files_least || n_files > command->n_files_max)
            usage_fail(command->n_files_max == 1 ? "%s takes one file"
                                                 : "%s takes %zu to %zu files",
                       command->name, command->n_files_least, command->n_files_max);
        options->n_files = n_files;
        return given;
    }
    for (; *words != NULL; words++) {
        while (next < TOOL_WORDS_MAX && (given & command->words[next]) != 0)
            next++;
        if (next == TOOL_WORDS_MAX || command->words[next] == 0)
            usage_fail("unexpected word '%s'%s", *words,
                       command->words[0] == 0 ? "; for a policy folder use --policy-dir DIR" : "");
        option_take(options, command->words[next], *words);
        given |= command->words[next];
    }
    return given;
}

/* True if the options name a user, or a group of one. */
bool options_name_subject(const struct tool_options *options) {
    return options->is_self || options->user != NULL || options->n_groups > 0;
}

static void combination_check(const struct tool_options *options,
                              const struct tool_command *command) {
    bool has_names = options->hostname != NULL || options->domainname != NULL;
    bool is_explain = command->run == explain_run;

    if (options->is_self && (options->user != NULL || options->n_groups > 0))
        usage_fail("--self cannot be combined with --user or --group");
    if (options->is_self && options->has_no_lookup)
        usage_fail("--self cannot be combined with --no-lookup");
    if (options->as != NULL && options->n_files != 1)
        usage_fail("--as needs one file");
    if (is_explain && options->user == NULL && !options->is_self)
        usage_fail("explain needs a user: USER, --user NAME or --self");
    if ((is_explain || command->run == who_run) && !has_names)
        usage_fail("%s needs a name: HOSTNAME, -n HOSTNAME or -d DOMAINNAME", command->name);
    if (options->is_nearest && (options->is_json || options->is_brief))
        usage_fail("--nearest cannot be combined with --json or --brief");
    if (options->names != TOOL_NAMES_NONE && (options->is_json || !options_name_subject(options)))
        usage_fail("--names needs --user, --group or --self, and cannot be combined with --json");
}

/*
 * Reads the command line, and returns the command of @commands that it names. Exits after --help or
 * --version, and after a message if the command line has an error.
 */
const struct tool_command *options_parse(struct tool_options *options,
                                         const struct tool_command *commands, size_t n_commands,
                                         int argc, char **argv) {
    const struct command_table table = {.all = commands, .n = n_commands};
    const struct tool_command *command = NULL;
    unsigned given = options_take(options, argc, argv), wrong;
    char names[128], option[32];

    for (size_t i = 0; i < n_commands && optind < argc; i++)
        if (strcmp(argv[optind], commands[i].name) == 0)
            command = &commands[i];
    if (optind == argc)
        usage_fail("no command: use %s",
                   commands_describe(&table, 0, " or ", names, sizeof(names)));
    if (command == NULL)
        usage_fail("unknown command '%s': use %s", argv[optind],
                   commands_describe(&table, 0, " or ", names, sizeof(names)));
    wrong = given & ~command->takes;
    if (wrong != 0) {
        wrong &= ~(wrong - 1);
        usage_fail("%s does not take %s: it is for %s", command->name,
                   option_name(wrong, option, sizeof(option)),
                   commands_describe(&table, wrong, " and ", names, sizeof(names)));
    }
    (void)words_take(options, command, given, argv + optind + 1);
    combination_check(options, command);
    if (!options->has_own_folders) {
        options->folders[options->n_folders++] = POLICY_FOLDER_ADMIN;
        options->folders[options->n_folders++] = POLICY_FOLDER_VENDOR;
    }
    return command;
}
