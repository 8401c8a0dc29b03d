#include "policy/tool/allowed.h"

#include <errno.h>
#include <stdlib.h>

#include "policy/lint/comments.h"
#include "policy/loader.h"
#include "policy/tool/read-text.h"
#include "utsbroker/base.h"

/* The comments of all files that have rules. */
struct allowed {
    struct comments *files;
    size_t n;
};

static void allowed_deinit(struct allowed *allowed) {
    for (size_t i = 0; i < allowed->n; i++)
        comments_deinit(&allowed->files[i]);
    free(allowed->files);
}

#define CLEANUP_ALLOWED __attribute__((cleanup(allowed_deinit)))

/* Reads each file once more: what is about warnings is not kept with the rules. */
static int allowed_read(struct allowed *allowed, const struct policy *policy,
                        struct findings *findings) {
    int r = 0;

    allowed->files = calloc(policy->n_rules + 1, sizeof(*allowed->files));
    if (allowed->files == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < policy->n_rules && r == 0; i++) {
        const char *file = policy->rules[i].file;
        struct comments *comments = &allowed->files[allowed->n];
        const struct folder_given *given =
            findings->given != NULL ? given_files_find(findings->given, file) : NULL;
        CLEANUP_FREE char *text = NULL;
        size_t size = 0;

        if (i > 0 && file == policy->rules[i - 1].file)
            continue;
        *comments = (struct comments){.file = file};
        allowed->n++;
        /* A file that is gone again allows nothing. */
        if (given != NULL)
            r = comments_read(comments, given->text, given->size, findings_add, findings);
        else if (read_text(file, LOADER_FILE_SIZE_MAX, &text, &size) == 0)
            r = comments_read(comments, text, size, findings_add, findings);
    }
    return r;
}

static bool allowed_silences(struct allowed *allowed, const struct policy_error *found) {
    for (size_t i = 0; i < allowed->n; i++)
        if (comments_silence(&allowed->files[i], found))
            return true;
    return false;
}

/*
 * Removes from @findings the warnings that comments allow, and adds warnings of comments that allow
 * nothing. @knows_users: users and groups were looked up. Returns 0 or -ENOMEM.
 */
int allowed_remove(struct findings *findings, const struct policy *policy, bool knows_users) {
    CLEANUP_ALLOWED struct allowed allowed = {.n = 0};
    size_t n_found = findings->n, n = 0;
    int r = allowed_read(&allowed, policy, findings);

    for (size_t i = 0; i < findings->n; i++) {
        struct policy_error *found = &findings->list[i];

        if (i < n_found && found->severity == POLICY_WARNING && allowed_silences(&allowed, found))
            findings_forget(found);
        else
            findings->list[n++] = *found;
    }
    findings->n = n;
    /* With errors, rules are missing, and so are their warnings. */
    for (size_t i = 0; i < allowed.n && r == 0 && findings->n_errors == 0; i++)
        comments_report_unused(&allowed.files[i], knows_users, findings_add, findings);
    return r < 0 || findings->is_out_of_memory ? -ENOMEM : 0;
}
