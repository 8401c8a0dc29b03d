/*
 * Input: a host name, a NIS domain name and a policy, separated by NUL. The policy is parsed,
 * printed and parsed again, and its decisions are compared with those of a loop that does what
 * utsbroker-policy(5) says.
 */

#include "policy/decision.h"
#include "policy/lint/dotted-deny.h"
#include "policy/lint/format.h"
#include "policy/lint/late.h"
#include "policy/lint/unreachable.h"
#include "policy/name-pattern.h"
#include "policy/parser.h"
#include "policy/lint/print.h"
#include "policy/lint/suggest.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/slow-word.h"

static void note_error(void *context, const struct policy_error *error) {
    MUST(error->line > 0 && error->column > 0 && error->message[0] != '\0');
    *(unsigned *)context += 1;
}

static void fail_on_error(void *context, const struct policy_error *error) {
    (void)context;
    (void)fprintf(stderr, "%u:%u: %s\n", error->line, error->column, error->message);
    abort();
}

static bool is_for(const struct policy *policy, const struct policy_rule *rule) {
    for (size_t i = 0; i < rule->n_subjects; i++) {
        const struct policy_subject *subject = &policy->subjects[rule->first_subject + i];

        if (subject->id == (subject->kind == POLICY_USER ? 1000 : 2000))
            return true;
    }
    return rule->is_any;
}

static bool has_names(const struct policy *policy) {
    for (size_t i = 0; i < policy->n_subjects; i++)
        if (!policy->subjects[i].is_id)
            return true;
    return false;
}

/* Reads each word as it was written: the patterns that ranges are made into are not looked at. */
static bool matches(const struct policy *policy, const struct policy_rule *rule,
                    enum policy_name_kind kind, const char *name) {
    bool is_deny = rule->action == POLICY_DENY;
    CLEANUP_FREE char *label = strndup(name, strcspn(name, "."));

    MUST(label != NULL);
    for (size_t i = 0; i < rule->n_patterns; i++) {
        const struct policy_pattern *pattern = &policy->patterns[rule->first_pattern + i];
        const char *word = pattern->written;

        if (pattern->kind != kind || (i > 0 && pattern[-1].written == word) ||
            (strpbrk(word, "*?[") != NULL && !is_deny && !name_is_rfc1123(name)))
            continue;
        if (slow_word_matches(word, name, is_deny))
            return true;
        if (is_deny && kind == POLICY_HOSTNAME && strchr(word, '.') == NULL &&
            slow_word_matches(word, label, true))
            return true;
    }
    return false;
}

/* The first rule that matches, or NULL. */
static const struct policy_rule *decide_slowly(const struct policy *policy, const char *host,
                                               const char *domain) {
    for (size_t i = 0; i < policy->n_rules; i++) {
        const struct policy_rule *rule = &policy->rules[i];
        bool has_host = host != NULL && matches(policy, rule, POLICY_HOSTNAME, host);
        bool has_domain = domain != NULL && matches(policy, rule, POLICY_DOMAINNAME, domain);

        if (!is_for(policy, rule))
            continue;
        if (rule->action == POLICY_DENY && (has_host || has_domain || rule->n_patterns == 0))
            return rule;
        if (rule->action == POLICY_PERMIT && (host == NULL || has_host) &&
            (domain == NULL || has_domain))
            return rule;
    }
    return NULL;
}

static void decision_check(const struct selection *selection, const char *host,
                           const char *domain) {
    const struct policy_rule *rule = decide_slowly(selection->policy, host, domain);
    struct decision decision = selection_decide(selection, host, domain);

    if ((host != NULL && !name_is_printable(host)) ||
        (domain != NULL && !name_is_printable(domain))) {
        MUST(decision.verdict == DECISION_BAD_NAME);
        return;
    }
    MUST((decision.verdict == DECISION_PERMITTED) ==
         (rule != NULL && rule->action == POLICY_PERMIT));
    MUST(decision.rule == rule);
}

/* The names of the input; an empty one is not requested. */
static void names_check(const struct selection *selection, const char *host, const char *domain) {
    const char *nearest[3];

    if (host[0] != '\0') {
        decision_check(selection, host, NULL);
        (void)suggest_patterns(selection, POLICY_HOSTNAME, host, nearest, 3);
    }
    if (domain[0] != '\0') {
        decision_check(selection, NULL, domain);
        (void)suggest_patterns(selection, POLICY_DOMAINNAME, domain, nearest, 3);
    }
    if (host[0] != '\0' && domain[0] != '\0')
        decision_check(selection, host, domain);
}

/* Random names rarely meet a range: so names are made from the words of the policy, too. */
static void names_of_words_check(const struct selection *selection, unsigned choice) {
    const struct policy *policy = selection->policy;

    for (size_t i = 0; i < policy->n_patterns && i < 64; i++) {
        const struct policy_pattern *pattern = &policy->patterns[i];
        char name[SLOW_NAME_MAX + sizeof(".x")];

        if (i > 0 && pattern[-1].written == pattern->written)
            continue;
        for (unsigned variant = 0; variant < 4; variant++) {
            slow_name_of_word(name, pattern->written, choice * 4 + variant);
            decision_check(selection, name, NULL);
            decision_check(selection, NULL, name);
            if (strlen(name) < SLOW_NAME_MAX - 1)
                decision_check(selection, strcat(name, ".x"), NULL);
        }
    }
}

/* The decisions for user 1000 and group 2000. */
static void decisions_check(const struct policy *policy, const char *host, const char *domain,
                            unsigned choice) {
    gid_t gids[] = {2000};
    struct subject subject = {.uid = 1000, .gids = gids, .n_gids = 1};
    CLEANUP_SELECTION struct selection selection = SELECTION_NULL;
    const struct policy_rule *failed;

    MUST(selection_init(&selection, policy, &subject, &failed) == 0);
    names_check(&selection, host, domain);
    names_of_words_check(&selection, choice);
}

static bool is_same(const struct policy *a, const struct policy *b) {
    if (a->n_rules != b->n_rules || a->n_subjects != b->n_subjects ||
        a->n_patterns != b->n_patterns)
        return false;
    for (size_t i = 0; i < a->n_rules; i++)
        if (a->rules[i].action != b->rules[i].action || a->rules[i].limit != b->rules[i].limit ||
            a->rules[i].is_setuid != b->rules[i].is_setuid)
            return false;
    return true;
}

static void text_check(const struct policy *policy, const char *text) {
    CLEANUP_POLICY struct policy again = POLICY_NULL, formatted = POLICY_NULL;
    CLEANUP_FREE char *printed = NULL, *layout = NULL;
    size_t printed_size = 0, layout_size = 0;
    FILE *out = open_memstream(&printed, &printed_size);

    MUST(out != NULL);
    for (size_t i = 0; i < policy->n_rules; i++) {
        print_rule(out, policy, &policy->rules[i]);
        (void)fputc('\n', out);
    }
    MUST(fclose(out) == 0);
    MUST(policy_parse(&again, "printed", printed, printed_size, fail_on_error, NULL) == 0);
    MUST(is_same(policy, &again));
    out = open_memstream(&layout, &layout_size);
    MUST(out != NULL);
    MUST(format_text(out, "x", text, strlen(text), fail_on_error, NULL) == 0);
    MUST(fclose(out) == 0);
    MUST(policy_parse(&formatted, "formatted", layout, layout_size, fail_on_error, NULL) == 0);
    MUST(is_same(policy, &formatted));
}

static void note_late(void *context, const struct late *late) {
    const struct policy *policy = context;

    MUST(late->rule >= policy->rules && late->rule < policy->rules + policy->n_rules &&
         late->rule->action == POLICY_DENY && late->line > 0);
}

static void note_dotted_deny(void *context, const struct dotted_deny *found) {
    const struct policy *policy = context;

    MUST(found->rule >= policy->rules && found->rule < policy->rules + policy->n_rules &&
         found->rule->action == POLICY_DENY && found->line > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    struct input input = {bytes, bytes + size};
    CLEANUP_FREE char *host = input_string(&input), *domain = input_string(&input),
                      *text = input_string(&input);
    CLEANUP_POLICY struct policy policy = POLICY_NULL;
    CLEANUP_UNREACHABLE_INDEX struct unreachable_index index = {.entries = NULL};
    CLEANUP_FREE const struct policy_rule **unreachable_by = NULL;
    unsigned n_errors = 0;
    int r = policy_parse(&policy, "fuzz", text, strlen(text), note_error, &n_errors);

    MUST(r == 0 ? n_errors == 0 : r == POLICY_E_INVALID && n_errors > 0);
    if (r != 0)
        return 0;
    text_check(&policy, text);
    unreachable_by = calloc(policy.n_rules + 1, sizeof(*unreachable_by));
    MUST(unreachable_by != NULL);
    /* Ranges can make thousands of patterns; comparing each with each would take seconds. */
    if (policy.n_patterns < 3000) {
        MUST(unreachable_index_init(&index, &policy) == 0);
        unreachable_find_all(&index, unreachable_by);
        MUST(late_find_all(&index, unreachable_by, false, note_late, &policy) == 0);
        MUST(dotted_deny_find_all(&policy, unreachable_by, false, note_dotted_deny, &policy) == 0);
    }
    if (!has_names(&policy))
        decisions_check(&policy, host, domain, size > 0 ? bytes[size / 2] : 0);
    return 0;
}
