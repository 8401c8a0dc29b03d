#include <stdio.h>
#include <string.h>

#include "policy/lint/audience.h"
#include "policy/lint/name-fault.h"
#include "policy/lint/print.h"
#include "policy/tool/json.h"
#include "policy/tool/load.h"
#include "policy/tool/options.h"

/* Prints the subjects of @kind for whom the current rule decides. Returns their number. */
static size_t print_subjects_of(const struct audience *audience, enum policy_subject_kind kind,
                                const char *keyword) {
    size_t n = 0;

    for (size_t i = audience->n_before; i < audience->n_decided; i++) {
        const struct policy_subject *subject = audience->decided[i];

        if (subject->kind != kind)
            continue;
        (void)printf("%s ", n++ == 0 ? keyword : "");
        if (subject->is_id)
            (void)printf("%u", (unsigned)subject->id);
        else
            print_operand(stdout, subject->name, false);
    }
    return n;
}

static void print_decision(const struct audience *audience, const struct policy_rule *rule) {
    (void)fputs(rule->action == POLICY_PERMIT ? "permitted: " : "denied: ", stdout);
    if (rule->is_any)
        (void)printf("all %susers", audience->n_decided > 0 ? "other " : "");
    else if (print_subjects_of(audience, POLICY_USER, "user") > 0)
        (void)print_subjects_of(audience, POLICY_GROUP, " group");
    else
        (void)print_subjects_of(audience, POLICY_GROUP, "group");
    (void)printf(", by %s:%u%s\n    ", rule->file, rule->line,
                 rule->is_setuid ? " (only in direct mode)" : "");
    print_rule(stdout, audience->policy, rule);
    (void)putchar('\n');
}

/* Prints why no rule permits @name, if it is not a valid host name; else returns false. */
static bool print_wrong_name(const struct policy *policy, bool is_host, const char *name) {
    char fixed[NAME_LENGTH_MAX + 1];
    struct name_fault fault;
    bool is_permitted = false;

    if (name == NULL || !name_fault_find(name, &fault) ||
        audience_has_permitted(policy, is_host ? name : NULL, is_host ? NULL : name,
                               &is_permitted) < 0 ||
        is_permitted)
        return false;
    (void)printf("%s is not a valid host name (RFC 1123): %s; %s",
                 is_host ? "the host name" : "the NIS domain name", fault.what,
                 name_is_printable(name) ? "no rule spells it out" : "no rule can permit it");
    if (name_fault_fix(name, '-', fixed))
        (void)printf("; '%s' is valid", fixed);
    return true;
}

/* Prints the rest, for whom no rule decides. */
static void print_others(const struct audience *audience) {
    if (audience->is_everybody_decided)
        return;
    (void)printf("denied: all %susers: ", audience->n_decided > 0 ? "other " : "");
    if (!print_wrong_name(audience->policy, true, audience->hostname) &&
        !print_wrong_name(audience->policy, false, audience->domainname))
        (void)fputs("no rule permits it", stdout);
    (void)putchar('\n');
}

static json_t *json_of_subjects_of(const struct audience *audience, enum policy_subject_kind kind) {
    json_t *list = json_array();

    for (size_t i = audience->n_before; i < audience->n_decided; i++) {
        const struct policy_subject *subject = audience->decided[i];

        if (subject->kind == kind)
            (void)json_array_append_new(list, subject->is_id ? json_integer(subject->id)
                                                             : json_of_text(subject->name));
    }
    return list;
}

/* @rule may be NULL, for the rest. */
static json_t *json_of_decision(const struct audience *audience, const struct policy_rule *rule) {
    const char *verdict = rule != NULL && rule->action == POLICY_PERMIT ? "permitted" : "denied";

    return json_pack(
        "{ss sb so so so}", "verdict", verdict, "any", (int)(rule == NULL || rule->is_any), "users",
        rule != NULL ? json_of_subjects_of(audience, POLICY_USER) : json_array(), "groups",
        rule != NULL ? json_of_subjects_of(audience, POLICY_GROUP) : json_array(), "rule",
        json_of_rule(audience->policy, rule));
}

/* Shows each decision, or adds it to @list if that is not NULL. Returns an enum tool_exit. */
static int show_decisions(struct audience *audience, json_t *list) {
    int exit_code = TOOL_NO;

    for (;;) {
        const struct policy_rule *rule;

        if (audience_next(audience, &rule) < 0) {
            (void)fputs("utspolicy: out of memory\n", stderr);
            return TOOL_FAILED;
        }
        if (rule == NULL)
            break;
        if (rule->action == POLICY_PERMIT)
            exit_code = TOOL_YES;
        if (list != NULL)
            (void)json_array_append_new(list, json_of_decision(audience, rule));
        else
            print_decision(audience, rule);
    }
    if (list == NULL)
        print_others(audience);
    else if (!audience->is_everybody_decided)
        (void)json_array_append_new(list, json_of_decision(audience, NULL));
    return exit_code;
}

int who_run(const struct tool_options *options) {
    CLEANUP_POLICY struct policy policy = POLICY_NULL;
    CLEANUP_AUDIENCE struct audience audience = {
        .policy = &policy, .hostname = options->hostname, .domainname = options->domainname};
    json_t *list = NULL;
    int exit_code, r;

    if (load_policy(&policy, options) != 0)
        return TOOL_FAILED;
    if (options->is_json) {
        list = json_array();
        if (list == NULL)
            return TOOL_FAILED;
    }
    exit_code = show_decisions(&audience, list);
    if (list == NULL)
        return exit_code;
    if (exit_code == TOOL_FAILED) {
        json_decref(list);
        return TOOL_FAILED;
    }
    r = json_show(json_pack("{so so so}", "hostname", json_of_text(options->hostname), "domainname",
                            json_of_text(options->domainname), "decided", list));
    return r != 0 ? r : exit_code;
}
