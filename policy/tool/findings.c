#include "policy/tool/findings.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include "policy/lint/advice.h"
#include "policy/lint/folder-access.h"
#include "policy/loader.h"
#include "utsbroker/base.h"

/* Adds a copy of @found. A policy_report; @context is a struct findings. */
void findings_add(void *context, const struct policy_error *found) {
    struct findings *findings = context;

    if (findings->n == findings->room) {
        size_t room = findings->room == 0 ? 16 : findings->room * 2;
        struct policy_error *list = reallocarray(findings->list, room, sizeof(*list));

        if (list == NULL) {
            findings->is_out_of_memory = true;
            return;
        }
        findings->list = list;
        findings->room = room;
    }
    findings->list[findings->n] = *found;
    advice_add(&findings->list[findings->n]);
    findings->list[findings->n].word = NULL; /* they live as long as the policy */
    findings->list[findings->n].keyword = NULL;
    /* The loader frees the file's name after the report. */
    findings->list[findings->n].file = strdup(found->file);
    if (findings->list[findings->n].file == NULL) {
        findings->is_out_of_memory = true;
        return;
    }
    findings->n++;
    findings->n_errors += found->severity == POLICY_ERROR;
}

static int finding_compare(const void *a, const void *b) {
    const struct policy_error *left = a, *right = b;
    const char *left_name = strrchr(left->file, '/'), *right_name = strrchr(right->file, '/');
    int order = (int)left->severity - (int)right->severity;

    if (order == 0)
        order = strcmp(left_name != NULL ? left_name : left->file,
                       right_name != NULL ? right_name : right->file);
    if (order == 0)
        order = strcmp(left->file, right->file);
    if (order == 0)
        order = (left->line > right->line) - (left->line < right->line);
    if (order == 0)
        order = (left->column > right->column) - (left->column < right->column);
    return order != 0 ? order : strcmp(left->message, right->message);
}

/* Sorts errors before warnings, then by file in the order of the policy, then by line. */
void findings_sort(struct findings *findings) {
    if (findings->n > 0)
        qsort(findings->list, findings->n, sizeof(*findings->list), finding_compare);
}

/* True if @file is one of those that check was given, and not one of the policy's folders. */
bool findings_are_given(const struct findings *findings, const char *file) {
    return findings->given != NULL && given_files_find(findings->given, file) != NULL;
}

/* Counts the findings of this severity in given files, or in all others. */
size_t findings_count(const struct findings *findings, enum policy_severity severity,
                      bool is_given) {
    size_t n = 0;

    for (size_t i = 0; i < findings->n; i++)
        n += findings->list[i].severity == severity &&
             findings_are_given(findings, findings->list[i].file) == is_given;
    return n;
}

/* A policy file that is read forward, as findings are printed in the order of their lines. */
struct reader {
    const char *path;
    FILE *file;
    unsigned line; /* the number of the line in @text */
    char *text;
    size_t size;
    ssize_t length; /* negative: the line does not exist */
};

static void reader_close(struct reader *reader) {
    if (reader->file != NULL)
        (void)fclose(reader->file);
    free(reader->text);
    *reader = (struct reader){.path = NULL};
}

/* A given file may be a pipe, which cannot be read twice. */
static FILE *reader_open(const struct findings *findings, const char *path) {
    const struct folder_given *given =
        findings->given != NULL ? given_files_find(findings->given, path) : NULL;

    return given != NULL ? fmemopen((void *)(uintptr_t)given->text, given->size, "r")
                         : fopen(path, "re");
}

static void reader_go_to(struct reader *reader, const struct findings *findings,
                         const struct policy_error *found) {
    if (reader->path == NULL || strcmp(reader->path, found->file) != 0 ||
        reader->line > found->line) {
        reader_close(reader);
        reader->path = found->file;
        reader->file = reader_open(findings, found->file);
    }
    for (; reader->file != NULL && reader->line < found->line; reader->line++) {
        reader->length = getline(&reader->text, &reader->size, reader->file);
        if (reader->length < 0)
            return;
    }
}

/* Prints the line, if the file still has it, and a caret below the column. */
static void print_line(FILE *out, struct reader *reader, const struct findings *findings,
                       const struct policy_error *found) {
    size_t length;

    reader_go_to(reader, findings, found);
    if (reader->file == NULL || reader->length < 0)
        return;
    length = strcspn(reader->text, "\r\n");
    (void)fputs("    ", out);
    for (size_t i = 0; i < length; i++) {
        char c = reader->text[i];

        (void)fputc(c == '\t' || (c >= ' ' && c <= '~') ? c : '?', out);
    }
    (void)fputs("\n    ", out);
    for (size_t i = 0; i + 1 < found->column; i++)
        (void)fputc(i < length && reader->text[i] == '\t' ? '\t' : ' ', out);
    (void)fputs("^\n", out);
}

/* Prints those in given files, or all others. */
static void print_part(const struct findings *findings, bool is_given, FILE *out) {
    struct reader reader = {.path = NULL};
    size_t n = 0;

    for (size_t i = 0; i < findings->n; i++) {
        const struct policy_error *found = &findings->list[i];

        if (findings_are_given(findings, found->file) != is_given)
            continue;
        if (n++ == 0 && findings->given != NULL && !is_given)
            (void)fputs("utspolicy: in other files:\n", out);
        (void)fputs(found->file, out);
        if (found->line > 0)
            (void)fprintf(out, ":%u:%u", found->line, found->column);
        if (found->severity == POLICY_WARNING)
            (void)fprintf(out, ": warning: %s [%s]\n", found->message, found->kind);
        else
            (void)fprintf(out, ": %s\n", found->message);
        if (found->line > 0)
            print_line(out, &reader, findings, found);
    }
    reader_close(&reader);
}

/*
 * Prints "file:line:column: warning: message [kind]" as compilers do; editors understand it. Those
 * in given files come first.
 */
void findings_print(const struct findings *findings, FILE *out) {
    (void)setvbuf(out, NULL, _IOFBF, 1 << 16); /* standard error has no buffer */
    if (findings->given != NULL)
        print_part(findings, true, out);
    print_part(findings, false, out);
    (void)fflush(out);
}

/* Frees what @found, of a list, holds. */
void findings_forget(struct policy_error *found) {
    free((void *)(uintptr_t)found->file);
    found->file = NULL;
}

/* Frees what @findings holds; afterwards it is empty. */
void findings_deinit(struct findings *findings) {
    for (size_t i = 0; i < findings->n; i++)
        findings_forget(&findings->list[i]);
    free(findings->list);
    *findings = (struct findings){.n = 0};
}

/*
 * Loads the policy from the folders of @options and the given files of @findings, and collects
 * errors and warnings in @findings. Returns 0; POLICY_E_INVALID; a negative errno, which it has
 * reported on standard error.
 */
int findings_load_policy(struct policy *policy, const struct tool_options *options, unsigned flags,
                         struct findings *findings) {
    const struct given_files *given = findings->given;
    int r, access = 0;

    /* With --policy-dir, the files are those of a policy that is not installed yet. */
    if (options->has_own_folders)
        flags |= LOADER_TRUSTS_ANYBODY;
    if (!options->is_self)
        flags |= LOADER_FOR_ALL_USERS;
    r = policy_load_with(policy, options->folders, options->n_folders,
                         given != NULL ? given->list : NULL, given != NULL ? given->n : 0, flags,
                         findings_add, findings);
    if (r >= 0 && !options->has_own_folders && !options->is_self)
        access = folder_access_check(options->folders, options->n_folders, findings_add, findings);
    if (access != 0 && r == 0)
        r = access;
    if (r == 0 && findings->is_out_of_memory)
        r = -ENOMEM;
    if (r < 0)
        (void)fprintf(stderr, "utspolicy: could not load the policy: %s\n", strerror(-r));
    return r;
}
