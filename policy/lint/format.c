#include "policy/lint/format.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "policy/lexer.h"
#include "policy/parser.h"
#include "policy/lint/print.h"
#include "utsbroker/base.h"

enum { LINE_WIDTH = 100, SUBJECTS_WIDTH_MAX = 32, ACTION_WIDTH = 8 };

/* A logical line of the file: blank, a comment, or a rule with or without a comment. */
struct line {
    const struct policy_rule *rule; /* NULL: none */
    const char *comment;            /* NULL: none; it ends at the line's end */
    char *subjects, *clauses;       /* of the rule, as they are printed */
};

struct layout {
    const struct policy *policy;
    struct line *lines;
    size_t n_lines;
};

static void layout_deinit(struct layout *layout) {
    for (size_t i = 0; i < layout->n_lines; i++) {
        free(layout->lines[i].subjects);
        free(layout->lines[i].clauses);
    }
    free(layout->lines);
}

#define CLEANUP_LAYOUT __attribute__((cleanup(layout_deinit)))

/* Finds rules and comments. The text was parsed without an error, so the words are skipped. */
static int layout_fill(struct layout *layout, const char *text, size_t size) {
    CLEANUP_FREE char *words = malloc(size + 1);
    struct lexer lexer = {
        .at = text, .end = text + size, .line_start = text, .line = 1, .words = words};
    size_t n_rules = 0;

    if (words == NULL)
        return -ENOMEM;
    for (;;) {
        struct line *line = &layout->lines[layout->n_lines];
        struct word word;

        lexer.comment = NULL;
        word = lexer_next_word(&lexer);
        if (word.kind == WORD_TEXT) {
            line->rule = &layout->policy->rules[n_rules++];
            layout->n_lines++;
            line->subjects = print_to_text(print_subjects, layout->policy, line->rule);
            line->clauses = print_to_text(print_clauses, layout->policy, line->rule);
            if (line->subjects == NULL || line->clauses == NULL)
                return -ENOMEM;
            while (word.kind != WORD_LINE_END)
                word = lexer_next_word(&lexer);
        } else {
            layout->n_lines++;
        }
        line->comment = lexer.comment;
        if (lexer.at == lexer.end)
            return 0;
        lexer_next_line(&lexer);
    }
}

static bool line_is_blank(const struct line *line) {
    return line->rule == NULL && line->comment == NULL;
}

/* Returns the width of the subjects column from line @first to the next blank line. */
static size_t layout_get_width(const struct layout *layout, size_t first) {
    size_t width = 0;

    for (size_t i = first; i < layout->n_lines && !line_is_blank(&layout->lines[i]); i++) {
        size_t length = layout->lines[i].rule != NULL ? strlen(layout->lines[i].subjects) : 0;

        if (length > width && length <= SUBJECTS_WIDTH_MAX)
            width = length;
    }
    return width;
}

static void print_comment(FILE *out, const char *comment, const char *end) {
    size_t length = 0;

    for (size_t i = 0; comment + i < end && comment[i] != '\n'; i++)
        if (comment[i] != ' ' && comment[i] != '\t' && comment[i] != '\r')
            length = i + 1;
    (void)fwrite(comment, 1, length, out);
}

/* Prints one clause a line. Outside quotes, two spaces are always between two clauses. */
static void print_clause_lines(FILE *out, const char *clauses) {
    bool is_quoted = false;

    (void)fputs(" \\\n        ", out);
    for (const char *at = clauses; *at != '\0'; at++) {
        if (*at == '\\' && is_quoted) {
            (void)fputc(*at++, out);
        } else if (*at == '"') {
            is_quoted = !is_quoted;
        } else if (!is_quoted && at[0] == ' ' && at[1] == ' ') {
            (void)fputs(" \\\n        ", out);
            at++;
            continue;
        }
        (void)fputc(*at, out);
    }
}

static void print_rule_line(FILE *out, const struct line *line, size_t width) {
    const char *action = line->rule->action == POLICY_PERMIT ? "permit" : "deny";
    size_t length = strlen(line->subjects);

    (void)fprintf(out, "%-*s%s", ACTION_WIDTH, action, line->subjects);
    if (line->clauses[0] == '\0')
        return;
    if (length < width)
        length = width;
    if (ACTION_WIDTH + length + 2 + strlen(line->clauses) > LINE_WIDTH) {
        print_clause_lines(out, line->clauses);
        return;
    }
    (void)fprintf(out, "%*s  %s", (int)(length - strlen(line->subjects)), "", line->clauses);
}

static void layout_print(FILE *out, const struct layout *layout, const char *end) {
    bool has_printed = false, owes_blank = false;
    size_t width = 0;

    for (size_t i = 0; i < layout->n_lines; i++) {
        const struct line *line = &layout->lines[i];

        if (line_is_blank(line)) {
            owes_blank = has_printed;
            continue;
        }
        if (owes_blank)
            (void)fputc('\n', out);
        if (owes_blank || !has_printed)
            width = layout_get_width(layout, i);
        owes_blank = false;
        has_printed = true;
        if (line->rule != NULL)
            print_rule_line(out, line, width);
        if (line->comment != NULL) {
            (void)fputs(line->rule != NULL ? "  " : "", out);
            print_comment(out, line->comment, end);
        }
        (void)fputc('\n', out);
    }
}

/*
 * Writes @text, a policy file of @size bytes, to @out in the usual layout: words quoted only if
 * necessary, users before groups, host names before NIS domain names, clauses aligned, one blank
 * line in the place of several, comments unchanged. The meaning stays the same.
 *
 * Returns 0; POLICY_E_INVALID if an error was reported, with nothing written; -ENOMEM.
 */
int format_text(FILE *out, const char *file, const char *text, size_t size, policy_report report,
                void *context) {
    CLEANUP_POLICY struct policy policy = POLICY_NULL;
    CLEANUP_LAYOUT struct layout layout = {.policy = &policy};
    size_t n_lines = 1;
    int r = policy_parse(&policy, file, text, size, report, context);

    if (r != 0)
        return r;
    for (size_t i = 0; i < size; i++)
        n_lines += text[i] == '\n';
    layout.lines = calloc(n_lines, sizeof(*layout.lines));
    if (layout.lines == NULL)
        return -ENOMEM;
    r = layout_fill(&layout, text, size);
    if (r == 0)
        layout_print(out, &layout, text + size);
    return r;
}
