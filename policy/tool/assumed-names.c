#include "policy/tool/assumed-names.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "policy/parser.h"
#include "utsbroker/base.h"

/* From here on, ids for names, as hardly any rule has them. */
static const uint32_t first_made_up_id = 0xe0000000;

struct name {
    enum policy_subject_kind kind;
    const char *text;
};

struct names {
    struct name *list;
    size_t n;
};

static int name_compare(const void *a, const void *b) {
    const struct name *left = a, *right = b;

    return left->kind != right->kind ? (int)left->kind - (int)right->kind
                                     : strcmp(left->text, right->text);
}

static void names_add(struct names *names, enum policy_subject_kind kind, const char *text) {
    uint32_t id;

    if (text != NULL && !parser_read_number(text, POLICY_ID_MAX, &id))
        names->list[names->n++] = (struct name){.kind = kind, .text = text};
}

/*
 * Makes each user and group that the options or the rules name exist for @subject, each with an id
 * of its own; root has its own on every machine. Returns 0 or a negative errno.
 */
int assumed_names_add(struct subject *subject, const struct policy *policy,
                      const struct tool_options *options) {
    CLEANUP_FREE struct name *list =
        calloc(policy->n_subjects + options->n_groups + 1, sizeof(*list));
    struct names names = {.list = list};
    int r = list == NULL ? -ENOMEM : 0;

    if (r < 0)
        return r;
    names_add(&names, POLICY_USER, options->user);
    for (size_t i = 0; i < options->n_groups; i++)
        names_add(&names, POLICY_GROUP, options->groups[i]);
    for (size_t i = 0; i < policy->n_subjects; i++)
        if (!policy->subjects[i].is_id)
            names_add(&names, policy->subjects[i].kind, policy->subjects[i].name);
    if (names.n > 0)
        qsort(names.list, names.n, sizeof(*names.list), name_compare);
    for (size_t i = 0; i < names.n && r == 0; i++) {
        const struct name *name = &names.list[i];
        bool is_root = name->kind == POLICY_USER && strcmp(name->text, "root") == 0;

        if (i == 0 || name_compare(name - 1, name) != 0)
            r = subject_assume(subject, name->kind, name->text,
                               is_root ? 0 : first_made_up_id + (uint32_t)i);
    }
    return r;
}
