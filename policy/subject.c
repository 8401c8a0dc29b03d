#include "policy/subject.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "utsbroker/base.h"

enum { LOOKUP_BUFFER_MAX = 16 << 20 };

/* One name that was looked up, and what came of it: a name is asked for once, not once a rule. */
struct lookup {
    enum policy_subject_kind kind;
    const char *name; /* the policy's */
    bool exists;
    uint32_t id;
};

static int gid_compare(const void *a, const void *b) {
    gid_t left = *(const gid_t *)a;
    gid_t right = *(const gid_t *)b;

    return (left > right) - (left < right);
}

static int lookup_compare(const void *a, const void *b) {
    const struct lookup *left = a;
    const struct lookup *right = b;

    return left->kind != right->kind ? (int)left->kind - (int)right->kind
                                     : strcmp(left->name, right->name);
}

/*
 * Fills @subject with the user and the groups of this process: what the kernel says, never what a
 * message says. The groups are the supplementary ones and the primary one (credentials(7)).
 *
 * Returns 0 or a negative errno; -EPERM if real, effective and saved ids differ: then it is not
 * clear who asks. subject_deinit() gives back what it holds.
 */
int subject_init_self(struct subject *subject) {
    uid_t ruid, euid, suid;
    gid_t rgid, egid, sgid;
    CLEANUP_FREE gid_t *gids = NULL;
    int n;

    if (getresuid(&ruid, &euid, &suid) < 0 || getresgid(&rgid, &egid, &sgid) < 0)
        return -errno;
    if (ruid != euid || ruid != suid || rgid != egid || rgid != sgid)
        return -EPERM;

    n = getgroups(0, NULL);
    if (n < 0)
        return -errno;
    gids = calloc((size_t)n + 1, sizeof(*gids));
    if (gids == NULL)
        return -ENOMEM;
    n = getgroups(n, gids);
    if (n < 0)
        return -errno;
    gids[n] = rgid;
    *subject = (struct subject){.uid = ruid, .gids = gids, .n_gids = (size_t)n + 1};
    gids = NULL;
    subject_sort_groups(subject);
    return 0;
}

/* To be called by whoever has filled in the groups: they are searched as a sorted list. */
void subject_sort_groups(struct subject *subject) {
    if (subject->n_gids > 0)
        qsort(subject->gids, subject->n_gids, sizeof(*subject->gids), gid_compare);
}

/* Frees what @subject holds; it is empty afterwards. */
void subject_deinit(struct subject *subject) {
    tdestroy(subject->lookups, free);
    free(subject->gids);
    *subject = (struct subject)SUBJECT_NULL;
}

static int database_ask_user(struct lookup *lookup, char *buffer, size_t size) {
    struct passwd entry, *found = NULL;
    int error = getpwnam_r(lookup->name, &entry, buffer, size, &found);

    lookup->exists = error == 0 && found != NULL;
    lookup->id = lookup->exists ? found->pw_uid : 0;
    return -error;
}

static int database_ask_group(struct lookup *lookup, char *buffer, size_t size) {
    struct group entry, *found = NULL;
    int error = getgrnam_r(lookup->name, &entry, buffer, size, &found);

    lookup->exists = error == 0 && found != NULL;
    lookup->id = lookup->exists ? found->gr_gid : 0;
    return -error;
}

/* A group's entry has all its members: it can be large, and the C library does not say how large.
 */
static int database_ask(struct lookup *lookup) {
    for (size_t size = 4096; size <= LOOKUP_BUFFER_MAX; size *= 4) {
        CLEANUP_FREE char *buffer = malloc(size);
        int r;

        if (buffer == NULL)
            return -ENOMEM;
        r = lookup->kind == POLICY_USER ? database_ask_user(lookup, buffer, size)
                                        : database_ask_group(lookup, buffer, size);
        if (r != -ERANGE)
            return r;
    }
    return -ERANGE;
}

static int subject_look_up(struct subject *subject, const struct policy_subject *meant,
                           const struct lookup **lookupp) {
    CLEANUP_FREE struct lookup *lookup = calloc(1, sizeof(*lookup));
    struct lookup **node;
    int r;

    if (lookup == NULL)
        return -ENOMEM;
    lookup->kind = meant->kind;
    lookup->name = meant->name;
    node = tfind(lookup, &subject->lookups, lookup_compare);
    if (node == NULL) {
        r = database_ask(lookup);
        if (r < 0)
            return r;
        node = tsearch(lookup, &subject->lookups, lookup_compare);
        if (node == NULL)
            return -ENOMEM;
        if (lookup->kind == POLICY_USER && lookup->exists && lookup->id == subject->uid)
            subject->known_name = lookup->name;
        lookup = NULL;
    }
    *lookupp = *node;
    return 0;
}

/*
 * Finds the id of a user or group of this name, as the rules' names are found. Returns 0,
 * SUBJECT_E_UNKNOWN, or a negative errno. @name must live as long as @subject.
 */
int subject_find_id(struct subject *subject, enum policy_subject_kind kind, const char *name,
                    uint32_t *idp) {
    const struct policy_subject meant = {.kind = kind, .name = name};
    const struct lookup *lookup;
    int r = subject_look_up(subject, &meant, &lookup);

    if (r < 0)
        return r;
    *idp = lookup->id;
    return lookup->exists ? 0 : SUBJECT_E_UNKNOWN;
}

/*
 * From now on @name, which was not asked for yet or is not known, is a user or group with this id.
 * Returns 0 or a negative errno. @name must live as long as @subject.
 */
int subject_assume(struct subject *subject, enum policy_subject_kind kind, const char *name,
                   uint32_t id) {
    CLEANUP_FREE struct lookup *lookup = calloc(1, sizeof(*lookup));
    struct lookup **node;

    if (lookup == NULL)
        return -ENOMEM;
    *lookup = (struct lookup){.kind = kind, .name = name};
    node = tsearch(lookup, &subject->lookups, lookup_compare);
    if (node == NULL)
        return -ENOMEM;
    (*node)->exists = true;
    (*node)->id = id;
    if (*node == lookup)
        lookup = NULL;
    return 0;
}

static bool subject_has_id(const struct subject *subject, enum policy_subject_kind kind,
                           uint32_t id) {
    gid_t gid = id;

    if (kind == POLICY_USER)
        return subject->uid == id;
    return bsearch(&gid, subject->gids, subject->n_gids, sizeof(gid), gid_compare) != NULL;
}

/*
 * Says in *@is_meantp whether @meant, a user or group of a rule, is @subject. A name is turned into
 * its id (getpwnam(3), getgrnam(3)), not the id into a name: two names of one id are one user. An
 * id is compared without asking any database.
 *
 * Returns 0; SUBJECT_E_UNKNOWN if no database knows the name, which is also what the C library says
 * if a database was left out because its module could not be loaded, and that can be the user's
 * doing (a limit of memory): the caller must take it for the worse; a negative errno if a database
 * did not answer: the caller must refuse. @meant must live as long as @subject.
 */
int subject_is_meant(struct subject *subject, const struct policy_subject *meant, bool *is_meantp) {
    const struct lookup *lookup;
    int r;

    if (meant->is_id) {
        *is_meantp = subject_has_id(subject, meant->kind, meant->id);
        return 0;
    }
    r = subject_look_up(subject, meant, &lookup);
    if (r < 0)
        return r;
    *is_meantp = false;
    if (!lookup->exists)
        return SUBJECT_E_UNKNOWN;
    *is_meantp = subject_has_id(subject, meant->kind, lookup->id);
    return 0;
}
