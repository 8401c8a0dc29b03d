/*
 * utspolicy: checks, explains and lists the policy, and formats its files. It needs no privilege
 * and grants nothing: the broker reads the policy itself.
 */

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
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
    "Checks utsbroker's policy, and shows whom it permits what.\n"
    "\n"
    "  check    print all errors and likely mistakes; exit 0, 2 if there is an error,\n"
    "           1 if there is a warning and --strict is given\n"
    "  explain  print whether the user is permitted these names, and which rule decides;\n"
    "           exit 0 if so, 1 if not\n"
    "  list     print the rules in the order in which they are tried; with a user, only those\n"
    "           that apply to the user\n"
    "  fmt      print FILE in the usual layout, with its comments; - is standard input\n"
    "\n"
    "      --policy-dir DIR     read the policy in DIR, not in the folders below; repeat it for "
    "more,\n"
    "                           the first takes precedence; files need not be owned by root, and\n"
    "                           their users need not exist here\n"
    "      --user NAME          a name or an id, which need not exist here\n"
    "      --group NAME         a group of the user, instead of those known here; repeat it for "
    "more\n"
    "      --self               you, with your current groups\n"
    "  -n, --hostname NAME      the requested host name\n"
    "  -d, --domainname NAME    the requested NIS domain name\n"
    "      --json               print JSON, for programs\n"
    "      --strict             check: exit with 1 if there is a warning\n"
    "      --brief              explain: print one line\n"
    "      --nearest            explain: if a name is denied, print only the nearest permitted "
    "names\n"
    "      --names KIND         list: print only the permitted names, one pattern a line; KIND is\n"
    "                           hostname or domainname\n"
    "      --via MODE           explain: for this mode only, direct or service\n"
    "      --write              fmt: write the result to FILE\n"
    "  -h, --help\n"
    "  -V, --version\n"
    "\n"
    "A rule is one line. The first rule that matches decides; if none matches, it is denied:\n"
    "    deny    any             hostname licence* www*\n"
    "    permit  group students  hostname lab-?? node[0-9]*  domainname lab.example  limit 16\n"
    "    permit  user alice bob  hostname \"In Namespace\"\n"
    "Patterns match the whole name: * any characters, ? one, [a-z0-9] one of a set. They are not\n"
    "regular expressions, and have no commas: for 01 to 40 write 0[1-9] [1-3][0-9] 40. Quote "
    "words\n"
    "with spaces. # starts a comment. A deny rule must stand above a permit rule for the same "
    "names.\n"
    "limit needs the ledger, which counts commands. setuid lets sudo work inside, and works only\n"
    "in direct mode.\n"
    "Put your rules into a file such as " POLICY_FOLDER_ADMIN "/10-lab.conf, which\n"
    "only root can write and everybody can read.\n"
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

__attribute__((format(printf, 1, 2))) static _Noreturn void usage_fail(const char *why, ...) {
    va_list arguments;

    (void)fputs("utspolicy: ", stderr);
    va_start(arguments, why);
    (void)vfprintf(stderr, why, arguments);
    va_end(arguments);
    (void)fputs("; try 'utspolicy --help'\n", stderr);
    exit(TOOL_FAILED);
}

static void list_add(const char **list, size_t *np, size_t max, const char *option) {
    if (*np == max)
        usage_fail("too many %s options: at most %zu", option, max);
    list[(*np)++] = optarg;
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

static void check_folder(const char *path) {
    struct stat status;

    if (stat(path, &status) < 0) {
        (void)fprintf(stderr, "utspolicy: --policy-dir %s: %s\n", path, strerror(errno));
        exit(TOOL_FAILED);
    }
    if (!S_ISDIR(status.st_mode))
        usage_fail("--policy-dir takes a folder: name the one that has the file");
}

static void take_option(struct tool_options *options, int option) {
    switch (option) {
    case OPTION_POLICY_DIR:
        check_folder(optarg);
        list_add(options->folders, &options->n_folders, TOOL_FOLDERS_MAX, "--policy-dir");
        break;
    case OPTION_USER:
        options->user = optarg;
        break;
    case OPTION_GROUP:
        if (strpbrk(optarg, ", ") != NULL)
            usage_fail("--group takes one name: repeat it for more");
        list_add(options->groups, &options->n_groups, TOOL_GROUPS_MAX, "--group");
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
    default: /* getopt_long(3) has described the error */
        usage_fail("invalid option");
    }
}

static void check_options(const struct tool_options *options, const char *command,
                          char **operands) {
    bool is_format = strcmp(command, "fmt") == 0, is_explain = strcmp(command, "explain") == 0;
    bool has_names = options->hostname != NULL || options->domainname != NULL;
    bool has_subject = options->user != NULL || options->is_self;

    if (is_format && (operands[0] == NULL || operands[1] != NULL))
        usage_fail("fmt takes one file");
    if (!is_format && operands[0] != NULL)
        usage_fail("unexpected word '%s'; for a policy folder use --policy-dir DIR", operands[0]);
    if (options->is_self && (options->user != NULL || options->n_groups > 0))
        usage_fail("--self cannot be combined with --user or --group");
    if (options->n_groups > 0 && options->user == NULL)
        usage_fail("--group needs --user NAME");
    if (is_explain && !has_subject)
        usage_fail("explain needs --user NAME or --self");
    if (is_explain && !has_names)
        usage_fail("explain needs -n HOSTNAME or -d DOMAINNAME");
    if (!is_explain && has_names)
        usage_fail("only explain takes -n and -d");
    if (options->is_strict && strcmp(command, "check") != 0)
        usage_fail("only check takes --strict");
    if ((options->is_brief || options->is_nearest || options->via != TOOL_VIA_ANY) && !is_explain)
        usage_fail("only explain takes --brief, --nearest and --via");
    if (options->is_nearest && (options->is_json || options->is_brief))
        usage_fail("--nearest cannot be combined with --json or --brief");
    if (options->names != TOOL_NAMES_NONE &&
        (strcmp(command, "list") != 0 || options->is_json || !has_subject))
        usage_fail("only list takes --names, with --user NAME or --self, and without --json");
    if (options->is_in_place && !is_format)
        usage_fail("only fmt takes --write");
    if (options->is_json && is_format)
        usage_fail("fmt does not take --json");
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
        take_option(&options, option);
    if (optind == argc)
        usage_fail("no command: use check, explain, list or fmt");
    options.has_own_folders = options.n_folders > 0;
    if (!options.has_own_folders) {
        options.folders[options.n_folders++] = POLICY_FOLDER_ADMIN;
        options.folders[options.n_folders++] = POLICY_FOLDER_VENDOR;
    }
    for (size_t i = 0; i < BASE_ARRAY_SIZE(commands); i++) {
        if (strcmp(argv[optind], commands[i].name) != 0)
            continue;
        check_options(&options, argv[optind], argv + optind + 1);
        options.file = argv[optind + 1];
        return commands[i].run(&options);
    }
    usage_fail("unknown command '%s': use check, explain, list or fmt", argv[optind]);
}
