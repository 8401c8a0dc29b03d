#include "policy/parser.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "policy/host-range.h"
#include "policy/lexer.h"
#include "policy/name-pattern.h"
#include "policy/range-patterns.h"
#include "policy/syntax-hints.h"

/*
 * The grammar, one rule in a logical line (utsbroker-policy(5)):
 *
 *    rule     = ( "permit" | "deny" ) subjects clause...
 *    subjects = "any" | [ "user" NAME... ] [ "group" NAME... ]
 *    clause   = "hostname" PATTERN... | "domainname" PATTERN... | "limit" NUMBER | "setuid"
 *
 * A quoted word is never a keyword (lexer.h says what a word is).
 */

struct parser {
    struct policy *policy;
    struct lexer lexer;
};

/* The rule that is being parsed, as far as it has been read. */
struct draft {
    struct policy_rule rule;
    struct word keyword;     /* the last one; kind WORD_LINE_END before the first */
    size_t n_operands;       /* of that keyword */
    size_t n_range_patterns; /* made by host ranges */
    bool has_user, has_group, has_hostname, has_domainname;
};

static bool word_is(const struct word *word, const char *keyword) {
    /* Mostly the first bytes differ, and each word is compared with many keywords. */
    return !word->is_quoted && word->text[0] == keyword[0] && strcmp(word->text, keyword) == 0;
}

/* Reports an error at @word; @format has one %s, for the word. */
#define word_fail(parser, word, format)                                                            \
    lexer_fail(&(parser)->lexer, (word)->line, (word)->column, format, (word)->text)

/*
 * Reads @text as a decimal number of up to ten digits and at most @max. Returns false if it is
 * something else; *@numberp is written only on success.
 */
bool parser_read_number(const char *text, uint64_t max, uint32_t *numberp) {
    size_t length = strspn(text, "0123456789");
    uint64_t number = 0;

    if (length == 0 || length > 10 || text[length] != '\0')
        return false;
    for (size_t i = 0; i < length; i++)
        number = number * 10 + (uint64_t)(text[i] - '0');
    if (number > max)
        return false;
    *numberp = (uint32_t)number;
    return true;
}

static bool keyword_lacks_operands(const struct draft *draft) {
    return draft->n_operands == 0 && draft->keyword.kind == WORD_TEXT &&
           !word_is(&draft->keyword, "any") && !word_is(&draft->keyword, "setuid");
}

static bool draft_has_subjects(const struct draft *draft) {
    return draft->rule.is_any || draft->has_user || draft->has_group;
}

static void take_subject_keyword(struct parser *parser, struct draft *draft,
                                 const struct word *word) {
    bool is_any = word_is(word, "any");
    bool *seen = is_any                  ? &draft->rule.is_any
                 : word_is(word, "user") ? &draft->has_user
                                         : &draft->has_group;

    if (draft->has_hostname || draft->has_domainname || draft->rule.limit != 0 ||
        draft->rule.is_setuid)
        word_fail(parser, word, "%s must come before hostname, domainname, limit and setuid");
    else if (*seen)
        word_fail(parser, word, "%s appears twice in this rule");
    else if (draft->rule.is_any || (is_any && draft_has_subjects(draft)))
        word_fail(parser, word, "%s: any means everybody; do not combine it with user or group");
    *seen = true;
}

static void take_clause_keyword(struct parser *parser, struct draft *draft,
                                const struct word *word) {
    bool is_limit = word_is(word, "limit");
    bool is_setuid = word_is(word, "setuid");
    bool *has_patterns = word_is(word, "hostname") ? &draft->has_hostname : &draft->has_domainname;

    if (!draft_has_subjects(draft))
        word_fail(parser, word,
                  "%s: write first whom the rule is for: any, user NAME or group NAME");
    else if ((is_limit || is_setuid) && draft->rule.action == POLICY_DENY)
        word_fail(parser, word, "%s has no meaning in a deny rule");
    else if (is_limit ? draft->rule.limit != 0 : is_setuid ? draft->rule.is_setuid : *has_patterns)
        word_fail(parser, word, "%s appears twice in this rule");
    if (is_setuid) {
        draft->rule.is_setuid = true;
        draft->rule.setuid_line = word->line;
        draft->rule.setuid_column = word->column;
    } else if (!is_limit) {
        *has_patterns = true;
    }
}

static bool word_is_subject_keyword(const struct word *word) {
    return word_is(word, "any") || word_is(word, "user") || word_is(word, "group");
}

static bool word_is_clause_keyword(const struct word *word) {
    return word_is(word, "hostname") || word_is(word, "domainname") || word_is(word, "limit") ||
           word_is(word, "setuid");
}

static void check_subject_word(struct parser *parser, const struct word *keyword,
                               const struct word *word) {
    size_t offset;
    enum syntax_hint hint = syntax_hint_for_subject(word->text, &offset);
    const char *clause = syntax_hint_find_clause(word->text);

    lexer_fail_with_hint(&parser->lexer, keyword, word, hint, offset);
    if (clause != NULL)
        lexer_fail(&parser->lexer, word->line, word->column,
                   "%.40s is read as a user or group here; for the clause write %s, for a name "
                   "quote the word",
                   word->text, clause);
}

static int add_subject(struct parser *parser, struct draft *draft, const struct word *word) {
    struct policy_subject subject = {.kind = word_is(&draft->keyword, "user") ? POLICY_USER
                                                                              : POLICY_GROUP,
                                     .name = word->text,
                                     .line = word->line,
                                     .column = word->column};

    if (word->text[0] == '\0')
        word_fail(parser, word, "an empty name%s");
    if (!word->is_quoted)
        check_subject_word(parser, &draft->keyword, word);
    if (word->text[0] != '\0' && word->text[strspn(word->text, "0123456789")] == '\0') {
        /* Nobody has the id (uid_t)-1: chown(2) and setreuid(2) read it as "no change". */
        if (!parser_read_number(word->text, POLICY_ID_MAX, &subject.id))
            word_fail(parser, word, "%s is larger than the largest id, 4294967294");
        subject.is_id = true;
        subject.name = NULL;
    }
    draft->rule.n_subjects++;
    return policy_add_subject(parser->policy, &subject);
}

static int add_pattern(struct parser *parser, struct draft *draft, const struct word *word) {
    bool is_deny = draft->rule.action == POLICY_DENY;
    bool is_host = word_is(&draft->keyword, "hostname");
    struct policy_pattern pattern = {.kind = is_host ? POLICY_HOSTNAME : POLICY_DOMAINNAME,
                                     .is_wildcard = pattern_is_wildcard(word->text),
                                     .matches_label =
                                         is_deny && is_host && strchr(word->text, '.') == NULL,
                                     .text = word->text,
                                     .written = word->text,
                                     .line = word->line,
                                     .column = word->column};
    const char *range = pattern.is_wildcard ? host_range_find(word->text) : NULL;
    size_t offset;
    const char *wrong = range != NULL ? host_range_find_error(word->text, &offset)
                                      : pattern_find_error(word->text, &offset);
    enum syntax_hint hint;
    int r = 0;

    if (wrong == NULL && range == NULL)
        r = policy_add_pattern(parser->policy, &pattern);
    if (wrong == NULL && range != NULL)
        r = range_patterns_add(parser->policy, &pattern, is_deny, &draft->n_range_patterns);
    if (r == -E2BIG) {
        wrong = "the ranges of this rule make more than 4096 patterns: write several rules";
        offset = (size_t)(range - word->text);
        r = 0;
    }
    if (wrong != NULL)
        lexer_fail(&parser->lexer, word->line, word->column + word->is_quoted + (unsigned)offset,
                   "%s", wrong);
    if (!word->is_quoted) {
        hint = syntax_hint_for_pattern(word->text, &offset);
        lexer_fail_with_hint(&parser->lexer, &draft->keyword, word, hint, offset);
    }
    draft->rule.n_patterns = parser->policy->n_patterns - draft->rule.first_pattern;
    return r;
}

static void set_limit(struct parser *parser, struct draft *draft, const struct word *word) {
    if (draft->n_operands > 0)
        word_fail(parser, word, "%s: limit takes one number");
    else if (!parser_read_number(word->text, 1000000, &draft->rule.limit) || draft->rule.limit == 0)
        word_fail(parser, word, "%s is not a number from 1 to 1000000");
}

static int add_operand(struct parser *parser, struct draft *draft, const struct word *word) {
    const struct word *keyword = &draft->keyword;
    int r = 0;

    if (keyword->kind != WORD_TEXT && syntax_hint_find_keyword(word->text) != NULL)
        word_fail(parser, word, "%.40s: keywords are in lower case");
    else if (keyword->kind != WORD_TEXT)
        lexer_fail_with_hint(&parser->lexer, keyword, word, SYNTAX_HINT_SUBJECT, 0);
    else if (word_is(word, "permit") || word_is(word, "deny"))
        word_fail(parser, word,
                  lexer_word_begins_line(&parser->lexer, word)
                      ? "%s begins a rule: remove the backslash that continues the line above"
                      : "%s begins a rule: begin a new line, or quote it if it is a name");
    else if (word_is(keyword, "any") || word_is(keyword, "setuid"))
        lexer_fail_with_hint(&parser->lexer, keyword, word, SYNTAX_HINT_CLAUSE, 0);
    else if (word_is(keyword, "limit"))
        set_limit(parser, draft, word);
    else if (word_is_subject_keyword(keyword))
        r = add_subject(parser, draft, word);
    else
        r = add_pattern(parser, draft, word);
    draft->n_operands++;
    return r;
}

static int add_word(struct parser *parser, struct draft *draft, const struct word *word) {
    bool is_subject = word_is_subject_keyword(word);

    if (!is_subject && !word_is_clause_keyword(word))
        return add_operand(parser, draft, word);
    if (keyword_lacks_operands(draft) && word_is(word, "any"))
        word_fail(parser, &draft->keyword,
                  word_is_subject_keyword(&draft->keyword)
                      ? "%s any: write any alone, it means everybody"
                      : "%s any: any means everybody; for every name write *");
    else if (keyword_lacks_operands(draft))
        word_fail(parser, &draft->keyword, "%s needs a value after it");
    if (is_subject)
        take_subject_keyword(parser, draft, word);
    else
        take_clause_keyword(parser, draft, word);
    draft->keyword = *word;
    draft->n_operands = 0;
    return 0;
}

static int finish_rule(struct parser *parser, struct draft *draft, const struct word *line_end) {
    if (keyword_lacks_operands(draft))
        word_fail(parser, &draft->keyword,
                  lexer_has_word_as_comment(&parser->lexer)
                      ? "%s needs a value after it: # begins a comment, so write an id without it"
                      : "%s needs a value after it");
    else if (!draft_has_subjects(draft))
        word_fail(parser, line_end,
                  "the rule does not say whom it is for: write any, user NAME or group NAME%s");
    else if (draft->rule.action == POLICY_PERMIT && draft->rule.n_patterns == 0)
        word_fail(parser, line_end, "a permit rule needs hostname or domainname patterns%s");
    if (parser->lexer.line_has_failed)
        return 0;
    return policy_add_rule(parser->policy, &draft->rule);
}

static void fail_at_first_word(struct parser *parser, const struct word *word) {
    if (word->text[0] == ';' || strncmp(word->text, "//", 2) == 0)
        word_fail(parser, word, "a comment begins with #, not with '%.40s'");
    else if (!word->is_quoted &&
             (strcasecmp(word->text, "permit") == 0 || strcasecmp(word->text, "deny") == 0))
        word_fail(parser, word, "%.40s: keywords are in lower case");
    else if (word_is_subject_keyword(word) || word_is_clause_keyword(word))
        word_fail(
            parser, word,
            "a rule begins with permit or deny, not '%.40s'; to continue the line above, end it "
            "with a space and a backslash");
    else
        lexer_fail_with_hint(&parser->lexer, word, word, SYNTAX_HINT_ACTION, 0);
}

/* Parses one logical line and stops at its end. Returns 0 or -ENOMEM. */
static int parse_line(struct parser *parser) {
    struct draft draft = {.keyword = {.kind = WORD_LINE_END},
                          .rule = {.file = parser->lexer.file,
                                   .first_subject = parser->policy->n_subjects,
                                   .first_pattern = parser->policy->n_patterns}};
    struct word word;
    int r = 0;

    parser->lexer.line_has_failed = false;
    parser->lexer.comment = NULL;
    word = lexer_next_word(&parser->lexer);
    if (word.kind == WORD_LINE_END)
        return 0;
    draft.rule.line = word.line;
    draft.rule.column = word.column;
    if (word_is(&word, "permit"))
        draft.rule.action = POLICY_PERMIT;
    else if (!word_is(&word, "deny"))
        fail_at_first_word(parser, &word);

    while (r == 0) {
        word = lexer_next_word(&parser->lexer);
        if (word.kind == WORD_LINE_END)
            return finish_rule(parser, &draft, &word);
        if (!parser->lexer.line_has_failed)
            r = add_word(parser, &draft, &word);
    }
    return r;
}

/*
 * Parses @size bytes at @text and appends the rules to @policy. Reports every error, at most one
 * for each logical line. @file is the name of the text in errors and rules; it must live as long as
 * the policy.
 *
 * Returns 0; POLICY_E_INVALID if an error was reported: rules may be missing then, so the policy
 * must not be used; -ENOMEM. Time and memory are linear in @size.
 */
int policy_parse(struct policy *policy, const char *file, const char *text, size_t size,
                 policy_report report, void *context) {
    /* Each word ends at the text's end or at a byte that is not part of it: size + 1 is enough. */
    char *words = malloc(size + 1);
    struct parser parser = {.policy = policy,
                            .lexer = {.file = file,
                                      .at = text,
                                      .end = text + size,
                                      .line_start = text,
                                      .line = 1,
                                      .words = words,
                                      .report = report,
                                      .context = context}};
    int r;

    if (words == NULL)
        return -ENOMEM;
    r = policy_adopt_text(policy, words);
    if (r < 0) {
        free(words);
        return r;
    }
    for (;;) {
        r = parse_line(&parser);
        if (r < 0)
            return r;
        if (parser.lexer.at == parser.lexer.end)
            break;
        lexer_next_line(&parser.lexer);
    }
    return parser.lexer.has_failed ? POLICY_E_INVALID : 0;
}
