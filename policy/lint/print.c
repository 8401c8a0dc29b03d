#include "policy/lint/print.h"

#include <stdlib.h>
#include <string.h>

#include "policy/lexer.h"
#include "policy/syntax-hints.h"

/* True if the parser accepts @word without quotes, as a name or as a pattern. */
static bool can_stand_bare(const char *word, bool is_pattern) {
    const char *keyword = syntax_hint_find_keyword(word);
    size_t offset;

    if (!lexer_can_stand_bare(word) || (keyword != NULL && strcmp(keyword, word) == 0))
        return false;
    return is_pattern ? syntax_hint_for_pattern(word, &offset) == SYNTAX_HINT_NONE
                      : syntax_hint_for_subject(word, &offset) == SYNTAX_HINT_NONE &&
                            syntax_hint_find_clause(word) == NULL;
}

/*
 * Writes @word, a pattern or the name of a user or group, as in a rule: quoted only if necessary.
 */
void print_operand(FILE *out, const char *word, bool is_pattern) {
    if (can_stand_bare(word, is_pattern)) {
        (void)fputs(word, out);
        return;
    }
    (void)fputc('"', out);
    for (; *word != '\0'; word++) {
        if (*word == '"' || *word == '\\')
            (void)fputc('\\', out);
        (void)fputc(*word, out);
    }
    (void)fputc('"', out);
}

/* Returns the number of subjects of this kind. */
static size_t print_subjects_of(FILE *out, const struct policy *policy,
                                const struct policy_rule *rule, enum policy_subject_kind kind,
                                const char *keyword) {
    size_t n = 0;

    for (size_t i = 0; i < rule->n_subjects; i++) {
        const struct policy_subject *subject = &policy->subjects[rule->first_subject + i];

        if (subject->kind != kind)
            continue;
        if (n++ == 0)
            (void)fputs(keyword, out);
        (void)fputc(' ', out);
        if (subject->is_id)
            (void)fprintf(out, "%u", (unsigned)subject->id);
        else
            print_operand(out, subject->name, false);
    }
    return n;
}

/* Writes the subjects of the rule: "any", or "user alice group students". */
void print_subjects(FILE *out, const struct policy *policy, const struct policy_rule *rule) {
    size_t n;

    if (rule->is_any) {
        (void)fputs("any", out);
        return;
    }
    n = print_subjects_of(out, policy, rule, POLICY_USER, "user");
    (void)print_subjects_of(out, policy, rule, POLICY_GROUP, n > 0 ? " group" : "group");
}

/* True if the pattern @i of @rule is of the same word as the one before, so it is shown already. */
bool print_is_same_word(const struct policy *policy, const struct policy_rule *rule, size_t i) {
    const struct policy_pattern *pattern = &policy->patterns[rule->first_pattern + i];

    return i > 0 && pattern[0].written == pattern[-1].written;
}

/* Returns the separator before the next clause. */
static const char *print_patterns_of(FILE *out, const struct policy *policy,
                                     const struct policy_rule *rule, enum policy_name_kind kind,
                                     const char *before, const char *keyword) {
    size_t n = 0;

    for (size_t i = 0; i < rule->n_patterns; i++) {
        const struct policy_pattern *pattern = &policy->patterns[rule->first_pattern + i];

        if (pattern->kind != kind || print_is_same_word(policy, rule, i))
            continue;
        if (n++ == 0)
            (void)fprintf(out, "%s%s", before, keyword);
        (void)fputc(' ', out);
        print_operand(out, pattern->written, true);
    }
    return n > 0 ? "  " : before;
}

/* Writes the clauses of the rule, two spaces between them; nothing if it denies everything. */
void print_clauses(FILE *out, const struct policy *policy, const struct policy_rule *rule) {
    const char *before = "";

    before = print_patterns_of(out, policy, rule, POLICY_HOSTNAME, before, "hostname");
    before = print_patterns_of(out, policy, rule, POLICY_DOMAINNAME, before, "domainname");
    if (rule->limit != 0)
        (void)fprintf(out, "%slimit %u", before, (unsigned)rule->limit);
    if (rule->is_setuid)
        (void)fprintf(out, "%ssetuid", before);
}

/*
 * Writes @rule, without a line end. Parsing it gives the same rule, except that users come before
 * groups and host names before NIS domain names.
 */
void print_rule(FILE *out, const struct policy *policy, const struct policy_rule *rule) {
    (void)fputs(rule->action == POLICY_PERMIT ? "permit  " : "deny  ", out);
    print_subjects(out, policy, rule);
    if (rule->n_patterns > 0)
        (void)fputs("  ", out);
    print_clauses(out, policy, rule);
}

/*
 * Returns what @print, a function of this file, writes of @rule; the caller frees it. NULL: no
 * memory.
 */
char *print_to_text(void (*print)(FILE *out, const struct policy *policy,
                                  const struct policy_rule *rule),
                    const struct policy *policy, const struct policy_rule *rule) {
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    if (out == NULL)
        return NULL;
    print(out, policy, rule);
    if (fclose(out) == 0)
        return text;
    free(text);
    return NULL;
}
