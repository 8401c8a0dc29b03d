/*
 * utspolicy: checks, explains and lists the policy, and formats its files. It needs no privilege
 * and grants nothing: the broker reads the policy itself.
 */

#include "policy/tool/options.h"
#include "utsbroker/base.h"

/* In the order of --help. */
static const struct tool_command commands[] = {
    {.name = "check",
     .run = check_run,
     .takes = TOOL_OPTION_POLICY_DIR | TOOL_OPTION_JSON | TOOL_OPTION_STRICT |
              TOOL_OPTION_NO_LOOKUP | TOOL_OPTION_AS,
     .n_files_max = TOOL_FILES_MAX},
    {.name = "explain",
     .run = explain_run,
     .takes = TOOL_OPTION_POLICY_DIR | TOOL_OPTIONS_OF_SUBJECT | TOOL_OPTION_HOSTNAME |
              TOOL_OPTION_DOMAINNAME | TOOL_OPTION_JSON | TOOL_OPTION_BRIEF | TOOL_OPTION_NEAREST |
              TOOL_OPTION_VIA | TOOL_OPTION_NO_LOOKUP,
     .words = {TOOL_OPTION_USER, TOOL_OPTION_HOSTNAME, TOOL_OPTION_DOMAINNAME}},
    {.name = "list",
     .run = list_run,
     .takes = TOOL_OPTION_POLICY_DIR | TOOL_OPTION_NO_LOOKUP | TOOL_OPTIONS_OF_SUBJECT |
              TOOL_OPTION_JSON | TOOL_OPTION_NAMES},
    {.name = "who",
     .run = who_run,
     .takes =
         TOOL_OPTION_POLICY_DIR | TOOL_OPTION_HOSTNAME | TOOL_OPTION_DOMAINNAME | TOOL_OPTION_JSON,
     .words = {TOOL_OPTION_HOSTNAME, TOOL_OPTION_DOMAINNAME}},
    {.name = "names",
     .run = names_run,
     .takes = TOOL_OPTION_POLICY_DIR | TOOL_OPTION_NO_LOOKUP | TOOL_OPTIONS_OF_SUBJECT |
              TOOL_OPTION_JSON},
    {.name = "hosts",
     .run = hosts_run,
     .takes = TOOL_OPTION_POLICY_DIR | TOOL_OPTION_NO_LOOKUP | TOOL_OPTIONS_OF_SUBJECT |
              TOOL_OPTION_NETWORK},
    {.name = "fmt",
     .run = format_run,
     .takes = TOOL_OPTION_WRITE,
     .n_files_least = 1,
     .n_files_max = 1},
};

int main(int argc, char **argv) {
    struct tool_options options = {.user = NULL};
    const struct tool_command *command =
        options_parse(&options, commands, BASE_ARRAY_SIZE(commands), argc, argv);

    return command->run(&options);
}
