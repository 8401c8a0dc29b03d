#include "policy/tool/json.h"

#include <stdio.h>
#include <stdlib.h>

#include "policy/lint/print.h"
#include "policy/tool/options.h"
#include "utsbroker/base.h"

/*
 * Returns a string, or null for NULL. JSON is UTF-8: if @text, a file name, is not, each byte that
 * is not ASCII becomes a question mark.
 */
json_t *json_of_text(const char *text) {
    CLEANUP_FREE char *ascii = NULL;
    json_t *string;

    if (text == NULL)
        return json_null();
    string = json_string(text);
    if (string != NULL)
        return string;
    ascii = strdup(text);
    for (char *c = ascii; c != NULL && *c != '\0'; c++)
        if ((unsigned char)*c >= 0x80)
            *c = '?';
    return ascii != NULL ? json_string(ascii) : NULL;
}

static json_t *json_of_subjects(const struct policy *policy, const struct policy_rule *rule,
                                enum policy_subject_kind kind) {
    json_t *list = json_array();

    for (size_t i = 0; i < rule->n_subjects; i++) {
        const struct policy_subject *subject = &policy->subjects[rule->first_subject + i];

        if (subject->kind == kind)
            (void)json_array_append_new(list, subject->is_id ? json_integer(subject->id)
                                                             : json_of_text(subject->name));
    }
    return list;
}

static json_t *json_of_patterns(const struct policy *policy, const struct policy_rule *rule,
                                enum policy_name_kind kind) {
    json_t *list = json_array();

    for (size_t i = 0; i < rule->n_patterns; i++) {
        const struct policy_pattern *pattern = &policy->patterns[rule->first_pattern + i];

        if (pattern->kind == kind && !print_is_same_word(policy, rule, i))
            (void)json_array_append_new(list, json_of_text(pattern->written));
    }
    return list;
}

static json_t *json_of_rule_text(const struct policy *policy, const struct policy_rule *rule) {
    CLEANUP_FREE char *text = print_to_text(print_rule, policy, rule);

    return text != NULL ? json_of_text(text) : NULL;
}

/* Returns a rule as its parts and as text; null for NULL. */
json_t *json_of_rule(const struct policy *policy, const struct policy_rule *rule) {
    if (rule == NULL)
        return json_null();
    return json_pack("{so si ss sb so so so so si sb so}", "file", json_of_text(rule->file), "line",
                     (int)rule->line, "action", rule->action == POLICY_PERMIT ? "permit" : "deny",
                     "any", (int)rule->is_any, "users", json_of_subjects(policy, rule, POLICY_USER),
                     "groups", json_of_subjects(policy, rule, POLICY_GROUP), "hostname",
                     json_of_patterns(policy, rule, POLICY_HOSTNAME), "domainname",
                     json_of_patterns(policy, rule, POLICY_DOMAINNAME), "limit", (int)rule->limit,
                     "setuid", (int)rule->is_setuid, "text", json_of_rule_text(policy, rule));
}

/* Returns the findings of one severity. "line" and "column" are 0 for a whole file. */
json_t *json_of_findings(const struct findings *findings, enum policy_severity severity) {
    json_t *list = json_array();

    for (size_t i = 0; i < findings->n; i++) {
        const struct policy_error *found = &findings->list[i];

        if (found->severity != severity)
            continue;
        (void)json_array_append_new(
            list, json_pack("{so si si so so sb}", "file", json_of_text(found->file), "line",
                            (int)found->line, "column", (int)found->column, "kind",
                            json_of_text(found->kind), "message", json_of_text(found->message),
                            "given", (int)findings_are_given(findings, found->file)));
    }
    return list;
}

/* Writes @object to standard output and frees it. Returns 0, or TOOL_FAILED after a message. */
int json_show(json_t *object) {
    int r = object == NULL ? -1 : json_dumpf(object, stdout, JSON_INDENT(2));

    json_decref(object);
    if (r == 0 && putchar('\n') != EOF && fflush(stdout) == 0)
        return 0;
    (void)fputs("utspolicy: could not write the output\n", stderr);
    return TOOL_FAILED;
}
