#include "policy/tool/names.h"

#include <stdio.h>

#include "policy/tool/json.h"
#include "policy/tool/load.h"

/*
 * Lists the names of @kind that the options ask for: those of the user or group, or those that
 * anybody is permitted to use; with @has_patterns, also what stays a pattern. Returns 0, or
 * TOOL_FAILED after a message.
 */
int names_load(struct name_list *list, const struct tool_options *options,
               enum policy_name_kind kind, bool has_patterns) {
    CLEANUP_POLICY struct policy policy = POLICY_NULL;
    CLEANUP_SUBJECT struct subject subject = SUBJECT_NULL;
    CLEANUP_SELECTION struct selection selection = SELECTION_NULL;
    bool is_for_one = options_name_subject(options);
    int r;

    if (load_policy(&policy, options) != 0 ||
        (is_for_one && load_selection(&selection, &subject, &policy, options) < 0))
        return TOOL_FAILED;
    r = name_list_init(list, &policy, is_for_one ? &selection : NULL, kind, has_patterns);
    if (r == NAME_LIST_E_TOO_MANY)
        (void)fprintf(stderr,
                      "utspolicy: more than %d names: with '%s', %s:%u:%u; ask for one user or "
                      "group only\n",
                      NAME_LIST_MAX, list->exceeded->written, list->exceeded_rule->file,
                      list->exceeded->line, list->exceeded->column);
    else if (r < 0)
        (void)fputs("utspolicy: out of memory\n", stderr);
    return r == 0 ? 0 : TOOL_FAILED;
}

/*
 * After the output: says on standard error what is not in it. Returns 0, or TOOL_FAILED after a
 * message if the output could not be written.
 */
int names_finish(const struct name_list *list) {
    if (fflush(stdout) != 0 || ferror(stdout) != 0) {
        (void)fputs("utspolicy: could not write the output\n", stderr);
        return TOOL_FAILED;
    }
    if (list->n_skipped > 0)
        (void)fprintf(stderr,
                      "utspolicy: not listed: %zu pattern%s with *, ? or [!...], which match%s too "
                      "many names\n",
                      list->n_skipped, list->n_skipped == 1 ? "" : "s",
                      list->n_skipped == 1 ? "es" : "");
    return TOOL_YES;
}

static int print_json(const struct name_list *list) {
    json_t *names = json_array();

    for (size_t i = 0; i < list->n; i++)
        (void)json_array_append_new(names, json_of_text(list->names[i]));
    return json_show(json_pack("{so si}", "names", names, "skipped", (int)list->n_skipped));
}

int names_run(const struct tool_options *options) {
    CLEANUP_NAME_LIST struct name_list list = {.n = 0};

    if (names_load(&list, options, POLICY_HOSTNAME, false) != 0)
        return TOOL_FAILED;
    if (options->is_json)
        return print_json(&list);
    for (size_t i = 0; i < list.n; i++)
        (void)puts(list.names[i]);
    return names_finish(&list);
}
