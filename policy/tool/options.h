#pragma once

/*
 * The command line of utspolicy. The table in main.c says which options and words each command
 * takes: a new option is a bit here, a line in options.c, and a bit in the rows of that table.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum tool_exit {
    TOOL_YES = 0,    /* no errors, permitted */
    TOOL_NO = 1,     /* warnings with --strict, denied */
    TOOL_FAILED = 2, /* errors in the policy or on the command line */
};

/* The mode of a request: some rules permit only in one mode. */
enum tool_via { TOOL_VIA_ANY, TOOL_VIA_DIRECT, TOOL_VIA_SERVICE };

/* The kind of names that are listed instead of rules. */
enum tool_names { TOOL_NAMES_NONE, TOOL_NAMES_HOST, TOOL_NAMES_DOMAIN };

/* The options as bits. They are also the values for getopt_long(3), so they begin above a char. */
enum tool_option {
    TOOL_OPTION_POLICY_DIR = 1 << 8,
    TOOL_OPTION_USER = 1 << 9,
    TOOL_OPTION_GROUP = 1 << 10,
    TOOL_OPTION_SELF = 1 << 11,
    TOOL_OPTION_HOSTNAME = 1 << 12,
    TOOL_OPTION_DOMAINNAME = 1 << 13,
    TOOL_OPTION_JSON = 1 << 14,
    TOOL_OPTION_STRICT = 1 << 15,
    TOOL_OPTION_BRIEF = 1 << 16,
    TOOL_OPTION_NEAREST = 1 << 17,
    TOOL_OPTION_NAMES = 1 << 18,
    TOOL_OPTION_VIA = 1 << 19,
    TOOL_OPTION_WRITE = 1 << 20,
    TOOL_OPTION_NETWORK = 1 << 21,
    TOOL_OPTION_NO_LOOKUP = 1 << 22,
    TOOL_OPTION_AS = 1 << 23,
    TOOL_OPTIONS_OF_SUBJECT = TOOL_OPTION_USER | TOOL_OPTION_GROUP | TOOL_OPTION_SELF,
};

enum { TOOL_FOLDERS_MAX = 16, TOOL_GROUPS_MAX = 256, TOOL_WORDS_MAX = 3, TOOL_FILES_MAX = 256 };

struct tool_options {
    const char *folders[TOOL_FOLDERS_MAX];
    size_t n_folders;
    bool has_own_folders; /* set by --policy-dir */
    bool has_no_lookup;   /* --no-lookup: the policy of another machine */
    bool is_json, is_strict, is_brief, is_nearest, is_in_place;
    enum tool_via via;
    enum tool_names names; /* list: only these, for shell completion */
    bool is_self;          /* --self: the user and groups of this process */
    const char *user;      /* NULL: no --user */
    const char *groups[TOOL_GROUPS_MAX];
    size_t n_groups;
    const char *hostname, *domainname;
    const char *network; /* NULL: the usual one */
    const char *as;      /* check: the name of the file; NULL: its own */
    char **files;        /* the words that are files */
    size_t n_files;
};

struct tool_command {
    const char *name;
    int (*run)(const struct tool_options *options); /* returns an enum tool_exit */
    unsigned takes;                                 /* options, as bits */
    unsigned words[TOOL_WORDS_MAX];    /* a word stands for the first of these that is not given */
    size_t n_files_least, n_files_max; /* if @words is empty: the words are files */
};

const struct tool_command *options_parse(struct tool_options *options,
                                         const struct tool_command *commands, size_t n_commands,
                                         int argc, char **argv);
bool options_name_subject(const struct tool_options *options);
void help_print(FILE *out);

/* The commands of utspolicy. */
int check_run(const struct tool_options *options);
int explain_run(const struct tool_options *options);
int list_run(const struct tool_options *options);
int who_run(const struct tool_options *options);
int names_run(const struct tool_options *options);
int hosts_run(const struct tool_options *options);
int format_run(const struct tool_options *options);
