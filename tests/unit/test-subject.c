/*
 * Tests with the real getpwnam(3) and getgrnam(3), on files of this test (nss_wrapper, see
 * CMakeLists.txt).
 */

#include "policy/subject.h"

#include <errno.h>
#include <grp.h>
#include <sys/wait.h>

#include "tests/test.h"

static bool matches(struct subject *subject, enum policy_subject_kind kind, const char *name) {
    struct policy_subject named = {.kind = kind, .name = name};
    bool result = false;

    assert_int_equal(subject_matches(subject, &named, &result), 0);
    return result;
}

static void names_are_converted_to_ids_by_the_database(void **state) {
    gid_t gids[] = {100, 4000};
    struct subject subject = {.uid = 3000, .gids = gids, .n_gids = 2};

    (void)state;
    assert_true(matches(&subject, POLICY_USER, "carol"));
    assert_true(matches(&subject, POLICY_USER, "carola")); /* a second name of the same id */
    assert_false(matches(&subject, POLICY_USER, "dave"));
    assert_true(matches(&subject, POLICY_GROUP, "lab"));
    assert_false(matches(&subject, POLICY_GROUP, "other"));
    /* The database has carol in "members". Her process has not this group, and only that counts. */
    assert_false(matches(&subject, POLICY_GROUP, "members"));
    assert_string_equal(subject.known_name, "carola");
    subject.gids = NULL;
    subject_deinit(&subject);
}

static void ids_are_compared_without_a_database(void **state) {
    gid_t gids[] = {1, 7, 4294967294};
    struct subject subject = {.uid = 7, .gids = gids, .n_gids = 3};
    static const struct {
        enum policy_subject_kind kind;
        uint32_t id;
        bool matches;
    } cases[] = {{POLICY_USER, 7, true},   {POLICY_USER, 1, false},
                 {POLICY_USER, 0, false},  {POLICY_GROUP, 7, true},
                 {POLICY_GROUP, 1, true},  {POLICY_GROUP, 2, false},
                 {POLICY_GROUP, 0, false}, {POLICY_GROUP, 4294967294, true}};

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        struct policy_subject named = {.kind = cases[i].kind, .is_id = true, .id = cases[i].id};
        bool result;

        assert_int_equal(subject_matches(&subject, &named, &result), 0);
        assert_int_equal(result, cases[i].matches);
    }
    assert_null(subject.lookups);
}

/* Runs in a child, as a process cannot change its ids back. */
static int child_subject(uid_t euid, const gid_t *groups, size_t n_groups) {
    struct subject subject = SUBJECT_NULL;
    int r;

    if (setgroups(n_groups, groups) < 0 || setresgid(50, 50, 50) < 0 || setresuid(60, euid, 60) < 0)
        return 100;
    r = subject_init_self(&subject);
    if (r < 0)
        return -r;
    if (subject.uid != 60 || subject.n_gids != n_groups + 1)
        return 101;
    for (size_t i = 1; i < subject.n_gids; i++)
        if (subject.gids[i - 1] > subject.gids[i])
            return 102;
    subject_deinit(&subject);
    return 0;
}

static void the_subject_has_the_ids_of_the_process(void **state) {
    static const struct {
        uid_t euid;
        gid_t groups[3];
        size_t n_groups;
        int result;
    } cases[] = {{60, {0}, 0, 0}, {60, {9, 3, 70}, 3, 0}, {61, {0}, 0, EPERM}};

    (void)state;
    if (geteuid() != 0) {
        print_message("skipped: only root can become the users of this test\n");
        assert_false(test_is_in_ci());
        skip();
    }
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        pid_t pid = fork();
        int status;

        assert_true(pid >= 0);
        if (pid == 0)
            _exit(child_subject(cases[i].euid, cases[i].groups, cases[i].n_groups));
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), cases[i].result);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(names_are_converted_to_ids_by_the_database),
    cmocka_unit_test(ids_are_compared_without_a_database),
    cmocka_unit_test(the_subject_has_the_ids_of_the_process),
};

TEST_MAIN(tests)
