#include "policy/loader.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "tests/test.h"
#include "tests/wrap.h"

static char root[] = "/tmp/test-loader-XXXXXX";

struct errors {
    size_t n;
    char file[128];
    char message[sizeof(((struct policy_error *)NULL)->message)];
};

static void errors_collect(void *context, const struct policy_error *error) {
    struct errors *errors = context;

    if (errors->n++ == 0) {
        snprintf(errors->file, sizeof(errors->file), "%s", error->file);
        snprintf(errors->message, sizeof(errors->message), "%s", error->message);
    }
}

static void run(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void run(const char *format, ...) {
    char command[512];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(command, sizeof(command), format, arguments);
    va_end(arguments);
    assert_int_equal(system(command), 0);
}

static int make_root(void **state) {
    (void)state;
    if (mkdtemp(root) == NULL || chmod(root, 0755) < 0)
        return -1;
    return chdir(root);
}

static int remove_root(void **state) {
    char command[64];

    (void)state;
    snprintf(command, sizeof(command), "rm -rf %s", root);
    return chdir("/") == 0 ? system(command) : -1;
}

static const char *const folders[] = {"admin", "vendor"};

static int load(struct policy *policy, struct errors *errors) {
    *errors = (struct errors){.n = 0};
    return policy_load(policy, folders, 2, 0, errors_collect, errors);
}

static void files_are_one_list_sorted_by_name(void **state) {
    CLEANUP_POLICY struct policy policy = POLICY_NULL;
    struct errors errors;

    (void)state;
    run("rm -rf admin vendor; mkdir -m 755 admin vendor; umask 022;"
        "for f in 10-lab 20-both a; do echo \"permit any hostname $f admin\" > admin/$f.conf; done;"
        "for f in 5-own 20-both 50-default 60-masked B; do"
        "   echo \"permit any hostname $f vendor\" > vendor/$f.conf; done;"
        "ln -s /dev/null admin/60-masked.conf;"
        "echo nonsense | tee admin/x.conf~ admin/.hidden.conf admin/.conf admin/readme > "
        "admin/y.bak");
    assert_int_equal(load(&policy, &errors), 0);
    assert_int_equal(errors.n, 0);
    /* Sorted by bytes: digits before letters, capitals before small letters; "10" before "5". */
    assert_int_equal(policy.n_rules, 6);
    assert_string_equal(policy.rules[0].file, "admin/10-lab.conf");
    assert_string_equal(policy.rules[1].file, "admin/20-both.conf");
    assert_string_equal(policy.rules[2].file, "vendor/5-own.conf");
    assert_string_equal(policy.rules[3].file, "vendor/50-default.conf");
    assert_string_equal(policy.rules[4].file, "vendor/B.conf");
    assert_string_equal(policy.rules[5].file, "admin/a.conf");
    assert_string_equal(policy.patterns[policy.rules[1].first_pattern + 1].text, "admin");
}

static void a_file_that_cannot_be_trusted_refuses_everything(void **state) {
    static const struct {
        const char *set_up; /* after a good policy of one file in each folder */
        int result;
        const char *file, *message;
    } cases[] = {
        {"true", 0, NULL, NULL},
        {"rm -r admin", 0, NULL, NULL},
        {"chmod 400 admin/a.conf", 0, NULL, NULL},
        {"rm -r admin vendor", POLICY_E_INVALID, "admin", "holds no *.conf"},
        {"rm admin/a.conf vendor/v.conf", POLICY_E_INVALID, "admin", "holds no *.conf"},
        {"ln -sf /dev/null admin/a.conf; ln -sf /dev/null admin/v.conf", 0, NULL, NULL},
        {"chmod 664 admin/a.conf", POLICY_E_INVALID, "admin/a.conf", "writable by others"},
        {"chmod 646 admin/a.conf", POLICY_E_INVALID, "admin/a.conf", "writable by others"},
        {"chown 1000 admin/a.conf", POLICY_E_INVALID, "admin/a.conf", "not owned by root"},
        {"chown 1000 vendor", POLICY_E_INVALID, "vendor", "not owned by root"},
        {"chmod 775 vendor", POLICY_E_INVALID, "vendor", "writable by others"},
        {"chmod 1777 vendor", POLICY_E_INVALID, "vendor", "writable by others"},
        {"rm -r vendor; echo > vendor", POLICY_E_INVALID, "vendor", "Not a directory"},
        {"ln -s a.conf admin/b.conf", POLICY_E_INVALID, "admin/b.conf", "is a link to a.conf,"},
        {"ln -s nowhere admin/b.conf", POLICY_E_INVALID, "admin/b.conf", "is a link to nowhere,"},
        {"ln -s /dev/zero admin/b.conf", POLICY_E_INVALID, "admin/b.conf",
         "is a link to /dev/zero,"},
        {"mkdir admin/b.conf", POLICY_E_INVALID, "admin/b.conf", "not a regular file"},
        {"mkfifo admin/b.conf", POLICY_E_INVALID, "admin/b.conf", "not a regular file"},
        {"mknod admin/b.conf c 1 3", POLICY_E_INVALID, "admin/b.conf", "not a regular file"},
        {"truncate -s 4194305 admin/a.conf", POLICY_E_INVALID, "admin/a.conf", "larger than 4 MiB"},
        {"echo nonsense > admin/a.conf", POLICY_E_INVALID, "admin/a.conf", "begins with permit"},
        {": > admin/a.conf; : > vendor/v.conf", 0, NULL, NULL},
    };

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        CLEANUP_POLICY struct policy policy = POLICY_NULL;
        struct errors errors;
        int r;

        run("rm -rf admin vendor; umask 022; mkdir admin vendor;"
            "echo permit any hostname a > admin/a.conf; echo permit any hostname v > vendor/v.conf;"
            "%s",
            cases[i].set_up);
        r = load(&policy, &errors);
        if (r != cases[i].result)
            fail_msg("'%s': %d, %s: %s", cases[i].set_up, r, errors.file, errors.message);
        assert_int_equal(errors.n, r == 0 ? 0 : 1);
        if (r != 0) {
            assert_string_equal(errors.file, cases[i].file);
            if (strstr(errors.message, cases[i].message) == NULL)
                fail_msg("'%s': %s", cases[i].set_up, errors.message);
        }
    }
}

static void an_unreadable_file_refuses_everything(void **state) {
    CLEANUP_POLICY struct policy policy = POLICY_NULL;
    struct errors errors;

    (void)state;
    run("rm -rf admin vendor; umask 022; mkdir admin; echo permit any hostname a > admin/a.conf;"
        "echo deny any > admin/0.conf; chmod 600 admin/0.conf");
    assert_int_equal(seteuid(12345), 0);
    assert_int_equal(load(&policy, &errors), POLICY_E_INVALID);
    assert_int_equal(seteuid(0), 0);
    assert_string_equal(errors.file, "admin/0.conf");
    assert_non_null(strstr(errors.message, "Permission denied; root must run chmod o+rX"));
}

/* Root reads everything, but the broker reads it as the user who asks. */
static void what_some_users_cannot_read_is_an_error_for_all(void **state) {
    static const struct {
        const char *set_up;
        unsigned flags;
        size_t n;
        const char *file, *message;
    } cases[] = {
        {"true", LOADER_FOR_ALL_USERS, 0, NULL, NULL},
        {"chmod 600 admin/a.conf", 0, 0, NULL, NULL},
        {"chmod 600 admin/a.conf", LOADER_FOR_ALL_USERS, 1, "admin/a.conf",
         "only root can read it: run chmod o+r"},
        {"chmod 640 admin/a.conf", LOADER_FOR_ALL_USERS, 1, "admin/a.conf",
         "only root and its group can read it: run chmod o+r"},
        {"chmod 604 admin/a.conf", LOADER_FOR_ALL_USERS, 0, NULL, NULL},
        {"chmod 700 vendor", LOADER_FOR_ALL_USERS, 1, "vendor",
         "only root can list and enter it: run chmod o+rx"},
        {"chmod 754 vendor", LOADER_FOR_ALL_USERS, 1, "vendor",
         "only root and its group can list and enter it: run chmod o+rx"},
        {"chmod 751 vendor", LOADER_FOR_ALL_USERS, 1, "vendor", "only root and its group"},
        {"umask 077; echo permit any hostname b > admin/b.conf", LOADER_FOR_ALL_USERS, 1,
         "admin/b.conf", "only root can read it"},
        {"cp -p admin/a.conf vendor; chmod 600 vendor/a.conf", LOADER_FOR_ALL_USERS, 0, NULL, NULL},
        {"chmod 600 admin/a.conf", LOADER_FOR_ALL_USERS | LOADER_TRUSTS_ANYBODY, 0, NULL, NULL},
        {"chmod 600 admin/a.conf", LOADER_FOR_ALL_USERS | LOADER_TRUSTS_ANYBODY | LOADER_WARNS, 1,
         "admin/a.conf", "only root can read it: run chmod o+r, or the broker"},
    };

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        CLEANUP_POLICY struct policy policy = POLICY_NULL;
        bool is_error = cases[i].n > 0 && (cases[i].flags & LOADER_TRUSTS_ANYBODY) == 0;
        struct errors errors = {.n = 0};

        run("rm -rf admin vendor; umask 022; mkdir admin vendor;"
            "echo permit any hostname a > admin/a.conf; echo permit any hostname v > vendor/v.conf;"
            "%s",
            cases[i].set_up);
        assert_int_equal(policy_load(&policy, folders, 2, cases[i].flags, errors_collect, &errors),
                         is_error ? POLICY_E_INVALID : 0);
        if (errors.n != cases[i].n)
            fail_msg("'%s': %zu: %s: %s", cases[i].set_up, errors.n, errors.file, errors.message);
        if (errors.n > 0) {
            assert_string_equal(errors.file, cases[i].file);
            assert_non_null(strstr(errors.message, cases[i].message));
        }
    }
}

/* A given text takes the place of the file that has its name, or one of its own. */
static void a_given_text_counts_as_if_it_were_installed(void **state) {
    static const struct {
        const char *name, *text;
        int result;
        const char *files[4]; /* of the rules */
    } cases[] = {
        {"a.conf", "permit any hostname g", 0, {"g", "admin/b.conf", "vendor/v.conf"}},
        {"b.conf", "permit any hostname g", 0, {"admin/a.conf", "g", "vendor/v.conf"}},
        {"v.conf", "permit any hostname g", 0, {"admin/a.conf", "admin/b.conf", "g"}},
        {"ab.conf",
         "permit any hostname g",
         0,
         {"admin/a.conf", "g", "admin/b.conf", "vendor/v.conf"}},
        {"\001x",
         "permit any hostname g",
         0,
         {"g", "admin/a.conf", "admin/b.conf", "vendor/v.conf"}},
        {"b.conf", "", 0, {"admin/a.conf", "vendor/v.conf"}},
        {"b.conf", "permit", POLICY_E_INVALID, {"admin/a.conf", "vendor/v.conf"}},
    };

    (void)state;
    run("rm -rf admin vendor; umask 022; mkdir admin vendor;"
        "for f in admin/a admin/b vendor/b vendor/v; do echo permit any hostname a > $f.conf; "
        "done");
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        CLEANUP_POLICY struct policy policy = POLICY_NULL;
        struct folder_given given = {.name = cases[i].name,
                                     .path = "g",
                                     .text = cases[i].text,
                                     .size = strlen(cases[i].text)};
        struct errors errors = {.n = 0};
        size_t n = 0;

        assert_int_equal(
            policy_load_with(&policy, folders, 2, &given, 1, 0, errors_collect, &errors),
            cases[i].result);
        assert_int_equal(errors.n, cases[i].result == 0 ? 0 : 1);
        if (errors.n > 0)
            assert_string_equal(errors.file, "g");
        while (n < BASE_ARRAY_SIZE(cases[i].files) && cases[i].files[n] != NULL)
            n++;
        assert_int_equal(policy.n_rules, n);
        for (size_t j = 0; j < n; j++)
            assert_string_equal(policy.rules[j].file, cases[i].files[j]);
    }
}

/* Replaces read(2) (ld's --wrap): somebody writes to the file while it is read. */
static bool writes_meanwhile;

ssize_t __real_read(int fd, void *bytes, size_t size);
ssize_t __wrap_read(int fd, void *bytes, size_t size);
ssize_t __wrap___read_chk(int fd, void *bytes, size_t size, size_t space);

ssize_t __wrap_read(int fd, void *bytes, size_t size) {
    ssize_t n = __real_read(fd, bytes, size);

    if (writes_meanwhile)
        run("echo deny any >> admin/a.conf");
    return n;
}

/* What it becomes with _FORTIFY_SOURCE. */
ssize_t __wrap___read_chk(int fd, void *bytes, size_t size, size_t space) {
    assert_true(size <= space);
    return __wrap_read(fd, bytes, size);
}

static void a_file_that_changes_meanwhile_refuses_everything(void **state) {
    CLEANUP_POLICY struct policy policy = POLICY_NULL;
    struct errors errors;

    (void)state;
    run("rm -rf admin vendor; umask 022; mkdir admin; echo permit any hostname a > admin/a.conf");
    writes_meanwhile = true;
    assert_int_equal(load(&policy, &errors), POLICY_E_INVALID);
    writes_meanwhile = false;
    assert_string_equal(errors.file, "admin/a.conf");
    assert_non_null(strstr(errors.message, "it changed meanwhile"));
}

/* Replaces readdir(3): a file is renamed while its folder is listed. */
static bool renames_meanwhile;

struct dirent *__real_readdir(DIR *folder) REAL_OF_FILES("readdir");
struct dirent *__wrap_readdir(DIR *folder) WRAP_OF_FILES("readdir");

struct dirent *__wrap_readdir(DIR *folder) {
    if (renames_meanwhile)
        run("mv admin/0.conf admin/1.conf");
    renames_meanwhile = false;
    return __real_readdir(folder);
}

static void a_folder_that_changes_meanwhile_refuses_everything(void **state) {
    CLEANUP_POLICY struct policy policy = POLICY_NULL;
    struct errors errors;

    (void)state;
    run("rm -rf admin vendor; umask 022; mkdir admin; echo permit any hostname a > admin/a.conf;"
        "echo deny any > admin/0.conf");
    renames_meanwhile = true;
    assert_int_equal(load(&policy, &errors), POLICY_E_INVALID);
    assert_string_equal(errors.file, "admin");
    assert_non_null(strstr(errors.message, "it changed meanwhile"));
}

/* Replaces openat(2): the administrator changes files right before the second file is opened. */
static const char *work_meanwhile;
static unsigned n_opened;

int __real_openat(int folder, const char *path, int flags, ...) REAL_OF_FILES("openat");
int __wrap_openat(int folder, const char *path, int flags, ...) WRAP_OF_FILES("openat");
/* What it becomes where the compiler checks for a missing mode (_FORTIFY_SOURCE of newer glibc). */
int __wrap___openat_2(int folder, const char *path, int flags);
int __wrap___openat64_2(int folder, const char *path, int flags);

int __wrap_openat(int folder, const char *path, int flags, ...) {
    if (++n_opened == 2 && work_meanwhile != NULL)
        run("%s", work_meanwhile);
    return __real_openat(folder, path, flags);
}

int __wrap___openat_2(int folder, const char *path, int flags) {
    return __wrap_openat(folder, path, flags);
}

int __wrap___openat64_2(int folder, const char *path, int flags) {
    return __wrap_openat(folder, path, flags);
}

/*
 * A deny rule is moved from one file to another. The old version of one and the new version of the
 * other never existed together, and would deny nothing.
 */
static void files_that_never_existed_together_refuse_everything(void **state) {
    static const struct {
        const char *meanwhile, *file;
    } cases[] = {
        {"echo deny any hostname b > new; mv new admin/1.conf;"
         "echo permit any hostname b > new; mv new admin/2.conf",
         "admin/1.conf"},
        {"echo deny any hostname b > admin/1.conf; echo permit any hostname b > admin/2.conf",
         "admin/1.conf"},
        {"mkdir vendor; echo deny any hostname b > vendor/0.conf;"
         "echo permit any hostname b > admin/2.conf",
         "vendor"},
        {"mkdir other; echo deny any hostname b > other/0.conf; mv admin old; mv other admin",
         "admin"},
    };

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        CLEANUP_POLICY struct policy policy = POLICY_NULL;
        struct errors errors;

        run("rm -rf admin vendor old other; umask 022; mkdir admin;"
            "echo permit any hostname a > admin/1.conf;"
            "(echo deny any hostname b; echo permit any hostname b) > admin/2.conf");
        n_opened = 0;
        work_meanwhile = cases[i].meanwhile;
        if (load(&policy, &errors) != POLICY_E_INVALID)
            fail_msg("'%s': loaded", cases[i].meanwhile);
        work_meanwhile = NULL;
        assert_string_equal(errors.file, cases[i].file);
        assert_non_null(strstr(errors.message, "it changed meanwhile"));
    }
}

static void no_descriptor_is_left_open(void **state) {
    CLEANUP_POLICY struct policy policy = POLICY_NULL;
    struct errors errors;
    int before = dup(0), after;

    (void)state;
    assert_true(before >= 0);
    close(before);
    run("rm -rf admin vendor; umask 022; mkdir admin; echo permit any hostname a > admin/a.conf;"
        "mkfifo admin/b.conf");
    assert_int_equal(load(&policy, &errors), POLICY_E_INVALID);
    after = dup(0);
    assert_int_equal(before, after);
    close(after);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(files_are_one_list_sorted_by_name),
    cmocka_unit_test(a_file_that_cannot_be_trusted_refuses_everything),
    cmocka_unit_test(an_unreadable_file_refuses_everything),
    cmocka_unit_test(what_some_users_cannot_read_is_an_error_for_all),
    cmocka_unit_test(a_given_text_counts_as_if_it_were_installed),
    cmocka_unit_test(a_file_that_changes_meanwhile_refuses_everything),
    cmocka_unit_test(a_folder_that_changes_meanwhile_refuses_everything),
    cmocka_unit_test(files_that_never_existed_together_refuse_everything),
    cmocka_unit_test(no_descriptor_is_left_open),
};

TEST_MAIN_AS_ROOT(tests, make_root, remove_root)
