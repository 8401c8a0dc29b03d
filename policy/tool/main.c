/*
 * utspolicy: shows what is wrong in a policy, what it says to whom, and writes it neatly. Needs no
 * privilege, and gives nobody anything: the broker reads the policy by itself.
 */

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "policy/tool/options.h"
#include "utsbroker/base.h"

static const char help[] =
    "usage: utspolicy check [--strict]\n"
    "       utspolicy explain --user NAME [--group NAME]... [-n HOSTNAME] [-d DOMAINNAME]\n"
    "       utspolicy list [--user NAME [--group NAME]...] [--names KIND]\n"
    "       utspolicy fmt [--write] FILE\n"
    "Shows what is wrong in utsbroker's policy, and what it gives to whom.\n"
    "\n"
    "  check    every error, with its place, and what is hardly meant; exit 0, 2 with an error,\n"
    "           1 with --strict and a warning\n"
    "  explain  whether the user may have these names, and by which rule; exit 0, or 1 if not\n"
    "  list     the rules, in the order in which they are tried; with a user, those for them\n"
    "  fmt      FILE in the usual layout, comments kept; - is standard input\n"
    "\n"
    "      --policy-dir DIR     instead of all of the folders below, again for each, in this order "
    "of\n"
    "                           preference; the files may be anybody's, and name users of another\n"
    "                           machine\n"
    "      --user NAME          a name or an id, also one that is not known here\n"
    "      --group NAME         as the user's group, instead of what is known of them here; again "
    "for\n"
    "                           each\n"
    "      --self               you, with the groups that you have now\n"
    "  -n, --hostname NAME      the name that is asked for\n"
    "  -d, --domainname NAME    the NIS domain name that is asked for\n"
    "      --json               for programs\n"
    "      --strict             check: warnings count\n"
    "      --brief              explain: one line\n"
    "      --nearest            explain: only what may be had, and is nearest to a denied name\n"
    "      --names KIND         list: only the names that may be had, hostname or domainname, as\n"
    "                           patterns, a line each\n"
    "      --via WAY            explain: direct or service, if only one of them is meant\n"
    "      --write              fmt: change the file\n"
    "  -h, --help\n"
    "  -V, --version\n"
    "\n"
    "Rules, one a line, the first that matches decides, no match denies:\n"
    "    deny    any             hostname licence* www*\n"
    "    permit  group students  hostname lab-?? node[0-9]*  domainname lab.example  limit 16\n"
    "    permit  user alice bob  hostname \"In Namespace\"\n"
    "Patterns: * any characters, ? one, [a-z0-9] one of a set, for the whole name; no regular\n"
    "expressions, no commas: 01 to 40 is 0[1-9] [1-3][0-9] 40. Quote what has a blank. # begins a\n"
    "comment. A deny rule below a permit rule that gives the name does nothing. limit is counted\n"
    "by the service only. setuid: sudo works inside, directly only.\n"
    "Put yours into a file such as " POLICY_FOLDER_ADMIN "/10-lab.conf, writable by root\n"
    "alone and readable by all.\n"
    "All *.conf there and in " POLICY_FOLDER_VENDOR "\n"
    "are one list, sorted by file name.\n";

enum { OPTION_POLICY_DIR = 256, OPTION_USER, OPTION_GROUP, OPTION_SELF, OPTION_JSON };
enum { OPTION_STRICT = 300, OPTION_BRIEF, OPTION_NEAREST, OPTION_NAMES, OPTION_VIA, OPTION_WRITE };

static const struct option long_options[] = {
    {"policy-dir", required_argument, NULL, OPTION_POLICY_DIR},
    {"user", required_argument, NULL, OPTION_USER},
    {"group", required_argument, NULL, OPTION_GROUP},
    {"self", no_argument, NULL, OPTION_SELF},
    {"hostname", required_argument, NULL, 'n'},
    {"domainname", required_argument, NULL, 'd'},
    {"json", no_argument, NULL, OPTION_JSON},
    {"strict", no_argument, NULL, OPTION_STRICT},
    {"brief", no_argument, NULL, OPTION_BRIEF},
    {"nearest", no_argument, NULL, OPTION_NEAREST},
    {"names", required_argument, NULL, OPTION_NAMES},
    {"via", required_argument, NULL, OPTION_VIA},
    {"write", no_argument, NULL, OPTION_WRITE},
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, 'V'},
    {NULL, 0, NULL, 0},
};

static _Noreturn void usage_fail(const char *why) {
    (void)fprintf(stderr, "utspolicy: %s; try 'utspolicy --help'\n", why);
    exit(TOOL_FAILED);
}

static void list_add(const char **list, size_t *np, size_t max, const char *word) {
    if (*np == max)
        usage_fail("too many of one option");
    list[(*np)++] = word;
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
        usage_fail("--policy-dir takes the folder that the file is in");
}

static void option_take(struct tool_options *options, int option) {
    switch (option) {
    case OPTION_POLICY_DIR:
        folder_check(optarg);
        list_add(options->folders, &options->n_folders, TOOL_FOLDERS_MAX, optarg);
        break;
    case OPTION_USER:
        options->user = optarg;
        break;
    case OPTION_GROUP:
        if (strpbrk(optarg, ", ") != NULL)
            usage_fail("--group takes one name; say it again for each");
        list_add(options->groups, &options->n_groups, TOOL_GROUPS_MAX, optarg);
        break;
    case OPTION_SELF:
        options->is_self = true;
        break;
    case 'n':
        options->hostname = optarg;
        break;
    case 'd':
        options->domainname = optarg;
        break;
    case OPTION_JSON:
        options->is_json = true;
        break;
    case OPTION_STRICT:
        options->is_strict = true;
        break;
    case OPTION_BRIEF:
        options->is_brief = true;
        break;
    case OPTION_NEAREST:
        options->is_nearest = true;
        break;
    case OPTION_NAMES:
        options->names = names_parse(optarg);
        break;
    case OPTION_VIA:
        options->via = via_parse(optarg);
        break;
    case OPTION_WRITE:
        options->is_in_place = true;
        break;
    case 'h':
        (void)fputs(help, stdout);
        exit(TOOL_YES);
    case 'V':
        (void)puts("utspolicy " UTSBROKER_VERSION);
        exit(TOOL_YES);
    default: /* getopt_long(3) said what is wrong */
        usage_fail("that is not understood");
    }
}

static void options_check(const struct tool_options *options, const char *command, int n_operands) {
    bool is_format = strcmp(command, "fmt") == 0, is_explain = strcmp(command, "explain") == 0;
    bool has_names = options->hostname != NULL || options->domainname != NULL;
    bool has_somebody = options->user != NULL || options->is_self;

    if (n_operands != (is_format ? 1 : 0))
        usage_fail(is_format
                       ? "fmt takes one file"
                       : "there is a word too many; where the files are, --policy-dir DIR says");
    if (options->is_self && (options->user != NULL || options->n_groups > 0))
        usage_fail("--self is you: no --user and no --group with it");
    if (options->n_groups > 0 && options->user == NULL)
        usage_fail("--group needs a --user");
    if (is_explain && !has_somebody)
        usage_fail("explain to whom? say --user NAME or --self");
    if (is_explain && !has_names)
        usage_fail("explain which name? say -n HOSTNAME or -d DOMAINNAME");
    if (!is_explain && has_names)
        usage_fail("only explain takes names");
    if (options->is_strict && strcmp(command, "check") != 0)
        usage_fail("only check takes --strict");
    if ((options->is_brief || options->is_nearest || options->via != TOOL_VIA_ANY) && !is_explain)
        usage_fail("only explain takes --brief, --nearest and --via");
    if (options->is_nearest && (options->is_json || options->is_brief))
        usage_fail("--nearest is a form of its own: no --json and no --brief with it");
    if (options->names != TOOL_NAMES_NONE &&
        (strcmp(command, "list") != 0 || options->is_json || !has_somebody))
        usage_fail("only list takes --names, with --user NAME or --self, and without --json");
    if ((options->is_in_place && !is_format) || (options->is_json && is_format))
        usage_fail("only fmt takes --write, and it takes no --json");
}

int main(int argc, char **argv) {
    static const struct {
        const char *name;
        int (*run)(const struct tool_options *options);
    } commands[] = {
        {"check", check_run}, {"explain", explain_run}, {"list", list_run}, {"fmt", format_run}};
    struct tool_options options = {.user = NULL};
    int option;

    while ((option = getopt_long(argc, argv, "n:d:hV", long_options, NULL)) >= 0)
        option_take(&options, option);
    if (optind == argc)
        usage_fail("say check, explain, list or fmt");
    options.has_own_folders = options.n_folders > 0;
    if (!options.has_own_folders) {
        options.folders[options.n_folders++] = POLICY_FOLDER_ADMIN;
        options.folders[options.n_folders++] = POLICY_FOLDER_VENDOR;
    }
    for (size_t i = 0; i < BASE_ARRAY_SIZE(commands); i++) {
        if (strcmp(argv[optind], commands[i].name) != 0)
            continue;
        options_check(&options, argv[optind], argc - optind - 1);
        options.file = argv[optind + 1];
        return commands[i].run(&options);
    }
    usage_fail("say check, explain, list or fmt");
}
