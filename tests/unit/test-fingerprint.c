/* Whether the policy's folders and files look unchanged. */

#include "policy/fingerprint.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <time.h>

#include "tests/test.h"
#include "tests/wrap.h"

enum { SETTLED = 10 }; /* seconds after which each file is old enough */

static const char *const folders[] = {"etc/policy.d", "vendor", "missing"};

static char root[] = "/tmp/test-fingerprint-XXXXXX";

/* Replaces time(2) (ld's --wrap), so that new files can be treated as old ones. */
static time_t now_is; /* 0: the real time */

time_t __real_time(time_t *nowp) REAL_OF_TIMES("__time64");
time_t __wrap_time(time_t *nowp) WRAP_OF_TIMES("__time64");

time_t __wrap_time(time_t *nowp) {
    time_t now = now_is != 0 ? now_is : __real_time(NULL);

    if (nowp != NULL)
        *nowp = now;
    return now;
}

/* Replace opendir(3) and readdir(3): the errno with which they fail, or 0. */
static int open_error, read_error;

DIR *__real_opendir(const char *path);
DIR *__wrap_opendir(const char *path);
struct dirent *__real_readdir(DIR *folder) REAL_OF_FILES("readdir");
struct dirent *__wrap_readdir(DIR *folder) WRAP_OF_FILES("readdir");

DIR *__wrap_opendir(const char *path) {
    errno = open_error;
    return open_error != 0 ? NULL : __real_opendir(path);
}

struct dirent *__wrap_readdir(DIR *folder) {
    errno = read_error != 0 ? read_error : errno;
    return read_error != 0 ? NULL : __real_readdir(folder);
}

static void run(const char *command) {
    if (system(command) != 0)
        fail_msg("%s", command);
}

static int make_root(void **state) {
    (void)state;
    return mkdtemp(root) == NULL ? -1 : chdir(root);
}

static int remove_root(void **state) {
    char command[64];

    (void)state;
    (void)snprintf(command, sizeof(command), "rm -rf %s", root);
    return chdir("/") == 0 ? system(command) : -1;
}

/*
 * The kernel sets a file's times to its last tick, at most 10 ms ago. Waits, so that later changes
 * have another time.
 */
static void tree_make(void) {
    const struct timespec ticks = {.tv_nsec = 20000000};

    now_is = 0;
    run("set -e; rm -rf * .[!.]*; umask 022; mkdir -p etc/policy.d vendor-1/policy.d;"
        "cd etc/policy.d; echo permit any hostname a > a.conf; echo deny any > b.conf;"
        "ln -s /dev/null mask.conf; echo hello > readme; echo hello > .hidden.conf; cd ../..;"
        "echo permit any hostname v > vendor-1/policy.d/v.conf; cp -a vendor-1 vendor-2;"
        "ln -s vendor-1/policy.d vendor; echo hello > etc/unrelated");
    assert_int_equal(nanosleep(&ticks, NULL), 0);
}

static void take_settled(struct fingerprint *fingerprint) {
    now_is = __real_time(NULL) + SETTLED;
    assert_int_equal(fingerprint_take(fingerprint, folders, BASE_ARRAY_SIZE(folders)), 0);
    now_is = 0;
}

struct change {
    const char *what, *command;
};

static bool is_current_after(const struct change *change) {
    struct fingerprint fingerprint = FINGERPRINT_NULL;
    bool is_current;

    tree_make();
    take_settled(&fingerprint);
    if (!fingerprint_is_current(&fingerprint))
        fail_msg("before: %s", change->what);
    run(change->command);
    is_current = fingerprint_is_current(&fingerprint);
    fingerprint_deinit(&fingerprint);
    return is_current;
}

static void a_change_makes_it_outdated(void **state) {
    static const struct change changes[] = {
        {"content", "echo permit any hostname b > etc/policy.d/a.conf"},
        {"the same content once more", "echo permit any hostname a > etc/policy.d/a.conf"},
        {"size", "echo deny any >> etc/policy.d/a.conf"},
        {"emptied", ": > etc/policy.d/a.conf"},
        {"content, and its time set back",
         "cd etc/policy.d && touch -r a.conf ../time && echo permit any hostname b > a.conf &&"
         "touch -r ../time a.conf"},
        {"time", "touch etc/policy.d/b.conf"},
        {"mode", "chmod 666 etc/policy.d/a.conf"},
        {"mode of a folder", "chmod 775 etc/policy.d"},
        {"through another name",
         "ln etc/policy.d/a.conf a && echo permit any hostname b > a && rm a"},
        {"another file in its place, of the same content and time",
         "cp -p etc/policy.d/a.conf new && mv new etc/policy.d/a.conf"},
        {"two files with each other's names",
         "cd etc/policy.d && mv a.conf x && mv b.conf a.conf && mv x b.conf"},
        {"a new file", "echo deny any > etc/policy.d/c.conf"},
        {"a new file in the second folder", ": > vendor/c.conf"},
        {"a new link", "ln -s nowhere etc/policy.d/c.conf"},
        {"a file less", "rm etc/policy.d/a.conf"},
        {"a file with another name", "mv etc/policy.d/a.conf etc/policy.d/a.bak"},
        {"all files less", "rm etc/policy.d/*.conf"},
        {"a file masked", "ln -sf /dev/null etc/policy.d/a.conf"},
        {"a file of the second folder masked", "ln -s /dev/null etc/policy.d/v.conf"},
        {"a mask less", "rm etc/policy.d/mask.conf"},
        {"a file for a mask", "rm etc/policy.d/mask.conf && : > etc/policy.d/mask.conf"},
        {"a mask that leads elsewhere", "ln -sfn /dev/zero etc/policy.d/mask.conf"},
        {"a folder in its place, of the same content and times",
         "cp -a etc/policy.d new && mv etc/policy.d old && mv new etc/policy.d"},
        {"a folder less", "rm -r etc/policy.d"},
        {"a folder with another name", "mv etc/policy.d etc/old"},
        {"a file for a folder", "rm -r etc/policy.d && : > etc/policy.d"},
        {"a parent with another name", "mv etc old"},
        {"a parent in its place, of the same content and times",
         "cp -a etc new && mv etc old && mv new etc"},
        {"a parent that is a link to the same content",
         "cp -a etc new && mv etc old && ln -s new etc"},
        {"a link that leads elsewhere, to the same content", "ln -sfn vendor-2/policy.d vendor"},
        {"a link that leads nowhere", "mv vendor-1 old"},
        {"a file in a link's target", "echo deny any > vendor-1/policy.d/v.conf"},
        {"another parent of a link's target", "mv vendor-1 old && mv vendor-2 vendor-1"},
        {"a missing folder that appears", "mkdir missing"},
        {"a missing folder that appears as a link", "ln -s vendor missing"},
    };

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(changes); i++)
        if (is_current_after(&changes[i]))
            fail_msg("%s", changes[i].what);
}

/* Two folders can have the same times; then only their inode numbers differ. */
static void a_folder_of_the_same_moment_is_another(void **state) {
    struct fingerprint fingerprint = FINGERPRINT_NULL;
    struct stat one, other;
    bool are_alike = false;

    (void)state;
    tree_make();
    for (int i = 0; i < 100 && !are_alike; i++) {
        (void)rmdir("one");
        (void)rmdir("other");
        assert_int_equal(mkdir("one", 0755), 0);
        assert_int_equal(mkdir("other", 0755), 0);
        assert_int_equal(stat("one", &one), 0);
        assert_int_equal(stat("other", &other), 0);
        are_alike = memcmp(&one.st_mtim, &other.st_mtim, sizeof(one.st_mtim)) == 0 &&
                    memcmp(&one.st_ctim, &other.st_ctim, sizeof(one.st_ctim)) == 0;
    }
    run("ln -sfn one vendor");
    take_settled(&fingerprint);
    assert_true(fingerprint_is_current(&fingerprint));
    run("ln -sfn other vendor");
    assert_false(fingerprint_is_current(&fingerprint));
    fingerprint_deinit(&fingerprint);
}

static void other_files_change_nothing(void **state) {
    static const struct change changes[] = {
        {"nothing", ":"},
        {"everything is read", "cat etc/policy.d/*.conf vendor/* > /dev/null; ls -lR > /dev/null"},
        {"a file that is not *.conf", "echo more >> etc/policy.d/readme"},
        {"a hidden file", "echo more >> etc/policy.d/.hidden.conf"},
        {"a file beside the folder", "echo more > etc/unrelated; : > etc/new.conf"},
        {"where a link led to never", "echo deny any > vendor-2/policy.d/v.conf"},
        {"the same link once more", "rm vendor && ln -s vendor-1/policy.d vendor"},
        {"there and back again", "mv etc old && mv old etc"},
    };

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(changes); i++)
        if (!is_current_after(&changes[i]))
            fail_msg("%s", changes[i].what);
}

static void another_owner_makes_it_outdated(void **state) {
    static const struct change changes[] = {
        {"owner", "chown 12345 etc/policy.d/a.conf"},
        {"group", "chgrp 12345 etc/policy.d/a.conf"},
        {"owner of a folder", "chown 12345 etc/policy.d"},
        {"owner of a link", "chown -h 12345 etc/policy.d/mask.conf"},
    };

    (void)state;
    if (geteuid() != 0 && !test_is_in_ci()) {
        print_message("skipped: to give a file away needs root\n");
        skip();
    }
    for (size_t i = 0; i < BASE_ARRAY_SIZE(changes); i++)
        if (is_current_after(&changes[i]))
            fail_msg("%s", changes[i].what);
}

/* The newest change of all files and folders in the fingerprint. */
static time_t newest_change(void) {
    static const char *const paths[] = {"etc/policy.d",        "etc/policy.d/a.conf",
                                        "etc/policy.d/b.conf", "etc/policy.d/mask.conf",
                                        "vendor-1/policy.d",   "vendor-1/policy.d/v.conf"};
    time_t newest = 0;

    for (size_t i = 0; i < BASE_ARRAY_SIZE(paths); i++) {
        struct stat status;

        assert_int_equal(lstat(paths[i], &status), 0);
        if (status.st_ctim.tv_sec > newest)
            newest = status.st_ctim.tv_sec;
    }
    return newest;
}

/*
 * Within two seconds a file may change again and look the same, so the fingerprint is never
 * current.
 */
static void a_file_that_is_too_new_is_never_current(void **state) {
    static const struct {
        int age; /* of the newest change, in seconds */
        bool is_current;
    } cases[] = {{-3600, false}, {-1, false}, {0, false}, {1, false},
                 {2, false},     {3, true},   {4, true},  {3600, true}};

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        struct fingerprint fingerprint = FINGERPRINT_NULL;

        tree_make();
        now_is = newest_change() + cases[i].age;
        assert_int_equal(fingerprint_take(&fingerprint, folders, BASE_ARRAY_SIZE(folders)), 0);
        if (fingerprint_is_current(&fingerprint) != cases[i].is_current)
            fail_msg("age: %d", cases[i].age);
        /* It does not become current later. */
        now_is += 3600;
        assert_int_equal(fingerprint_is_current(&fingerprint), cases[i].is_current);
        fingerprint_deinit(&fingerprint);
    }
    now_is = 0;
}

/* With the real clock. */
static void new_files_are_not_current(void **state) {
    struct fingerprint fingerprint = FINGERPRINT_NULL;

    (void)state;
    tree_make();
    assert_int_equal(fingerprint_take(&fingerprint, folders, BASE_ARRAY_SIZE(folders)), 0);
    assert_false(fingerprint_is_current(&fingerprint));
    /* Taken again, when it is old enough. */
    take_settled(&fingerprint);
    assert_true(fingerprint_is_current(&fingerprint));
    fingerprint_deinit(&fingerprint);
}

static void each_file_and_folder_must_be_old_enough(void **state) {
    static const struct {
        const char *path;
        bool is_current;
    } cases[] = {
        {"etc/policy.d", false},        {"etc/policy.d/a.conf", false},
        {"etc/policy.d/b.conf", false}, {"etc/policy.d/mask.conf", false},
        {"vendor-1/policy.d", false},   {"vendor-1/policy.d/v.conf", false},
        {"etc/policy.d/readme", true},  {"etc", true},
        {"vendor-2/policy.d", true},    {"vendor", true}, /* the link itself */
    };

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        struct fingerprint fingerprint = FINGERPRINT_NULL;
        const struct timespec future[] = {{.tv_sec = __real_time(NULL) + 3600},
                                          {.tv_sec = __real_time(NULL) + 3600}};

        tree_make();
        assert_int_equal(utimensat(AT_FDCWD, cases[i].path, future, AT_SYMLINK_NOFOLLOW), 0);
        take_settled(&fingerprint);
        if (fingerprint_is_current(&fingerprint) != cases[i].is_current)
            fail_msg("%s", cases[i].path);
        fingerprint_deinit(&fingerprint);
    }
}

static void a_fingerprint_that_was_not_taken_is_not_current(void **state) {
    struct fingerprint fingerprint = FINGERPRINT_NULL;

    (void)state;
    assert_false(fingerprint_is_current(&fingerprint));
    fingerprint_deinit(&fingerprint);
    tree_make();
    take_settled(&fingerprint);
    assert_true(fingerprint_is_current(&fingerprint));
    fingerprint_deinit(&fingerprint);
    assert_false(fingerprint_is_current(&fingerprint));
    fingerprint_deinit(&fingerprint);
}

static int n_open(void) {
    int n = 0;

    for (int fd = 0; fd < 1024; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

/* A folder that could not be listed does not count as empty. */
static void without_a_descriptor_nothing_is_current(void **state) {
    struct fingerprint fingerprint = FINGERPRINT_NULL;
    struct rlimit limit, none;
    int before = n_open(), r;

    (void)state;
    tree_make();
    take_settled(&fingerprint);
    assert_int_equal(n_open(), before);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    none = (struct rlimit){.rlim_cur = 0, .rlim_max = limit.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    r = fingerprint_take(&fingerprint, folders, BASE_ARRAY_SIZE(folders));
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(r, -EMFILE);
    assert_false(fingerprint_is_current(&fingerprint));
    assert_int_equal(fingerprint.n_entries, 0);
}

static void without_a_list_of_files_nothing_is_current(void **state) {
    static const int errors[] = {EPERM, EACCES, EINTR, EIO, ENOMEM};

    (void)state;
    for (size_t i = 0; i < 2 * BASE_ARRAY_SIZE(errors); i++) {
        int error = errors[i / 2], r;
        struct fingerprint fingerprint = FINGERPRINT_NULL;

        tree_make();
        take_settled(&fingerprint);
        *(i % 2 == 0 ? &open_error : &read_error) = error;
        r = fingerprint_take(&fingerprint, folders, BASE_ARRAY_SIZE(folders));
        open_error = read_error = 0;
        assert_int_equal(r, -error);
        assert_false(fingerprint_is_current(&fingerprint));
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_change_makes_it_outdated),
    cmocka_unit_test(a_folder_of_the_same_moment_is_another),
    cmocka_unit_test(other_files_change_nothing),
    cmocka_unit_test(another_owner_makes_it_outdated),
    cmocka_unit_test(a_file_that_is_too_new_is_never_current),
    cmocka_unit_test(new_files_are_not_current),
    cmocka_unit_test(each_file_and_folder_must_be_old_enough),
    cmocka_unit_test(a_fingerprint_that_was_not_taken_is_not_current),
    cmocka_unit_test(without_a_descriptor_nothing_is_current),
    cmocka_unit_test(without_a_list_of_files_nothing_is_current),
};

int main(void) {
    return cmocka_run_group_tests_name(__FILE__, tests, make_root, remove_root);
}
