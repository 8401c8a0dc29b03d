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

/* A name and the result of its lookup: each name is looked up once, not once for each rule. */
struct lookup {
    enum policy_subject_kind kind;
    const char *name; /* owned by the policy */
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
 * Fills @subject with the user and the groups of this process, as the kernel reports them; a
 * request never says who sends it. The groups are the supplementary ones and the primary one
 * (credentials(7)).
 *
 * Returns 0 or a negative errno; -EPERM if the real, effective and saved ids differ: then it is not
 * clear which user the request comes from. subject_deinit() frees.
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

/* Sorts the groups. Call it after filling them in: they are searched as a sorted list. */
void subject_sort_groups(struct subject *subject) {
    if (subject->n_gids > 0)
        qsort(subject->gids, subject->n_gids, sizeof(*subject->gids), gid_compare);
}

/* Frees what @subject holds; afterwards it is empty. */
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

/*
 * A group's entry has all its members: it can be large, and the C library does not tell its size.
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

static int subject_look_up(struct subject *subject, const struct policy_subject *named,
                           const struct lookup **lookupp) {
    CLEANUP_FREE struct lookup *lookup = calloc(1, sizeof(*lookup));
    struct lookup **node;
    int r;

    if (lookup == NULL)
        return -ENOMEM;
    lookup->kind = named->kind;
    lookup->name = named->name;
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
 * Looks up the id of the user or group @name, as rules name them. Returns 0,
 * SUBJECT_E_UNKNOWN, or a negative errno. @name must live as long as @subject.
 */
int subject_find_id(struct subject *subject, enum policy_subject_kind kind, const char *name,
                    uint32_t *idp) {
    const struct policy_subject named = {.kind = kind, .name = name};
    const struct lookup *lookup;
    int r = subject_look_up(subject, &named, &lookup);

    if (r < 0)
        return r;
    *idp = lookup->id;
    return lookup->exists ? 0 : SUBJECT_E_UNKNOWN;
}

/*
 * Makes each later lookup of @name, as a user or group, return @id: for a name that was not looked
 * up yet or is unknown. Returns 0 or a negative errno. @name must live as long as @subject.
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
    return subject->n_gids > 0 &&
           bsearch(&gid, subject->gids, subject->n_gids, sizeof(gid), gid_compare) != NULL;
}

/*
 * Sets *@matchesp if @named, a user or group of a rule, is @subject. Names are converted to ids
 * (getpwnam(3), getgrnam(3)), not ids to names: two names of one id are one user. An id is compared
 * without any database. @named must live as long as @subject.
 *
 * Returns 0; a negative errno if a database did not answer: the caller must refuse;
 * SUBJECT_E_UNKNOWN if no database knows the name: the caller must assume the worse. The C library
 * reports this also if it cannot load the module of a database, and the user can cause that (a
 * limit of memory).
 */
int subject_matches(struct subject *subject, const struct policy_subject *named, bool *matchesp) {
    const struct lookup *lookup;
    int r;

    if (named->is_id) {
        *matchesp = subject_has_id(subject, named->kind, named->id);
        return 0;
    }
    r = subject_look_up(subject, named, &lookup);
    if (r < 0)
        return r;
    *matchesp = false;
    if (!lookup->exists)
        return SUBJECT_E_UNKNOWN;
    *matchesp = subject_has_id(subject, named->kind, lookup->id);
    return 0;
}
