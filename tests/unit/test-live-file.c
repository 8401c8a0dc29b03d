/* The file of what lives: what the ledger writes, the next ledger and utsrun --ps read. */

#include "broker/ledger/live-file.h"

#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "tests/test.h"
#include "tests/unit/live-path.h"

enum { COMMANDS_MAX = 64 };

struct found {
    struct live_command commands[COMMANDS_MAX];
    size_t n;
};

static void note(void *context, const struct live_command *command) {
    struct found *found = context;

    assert_true(found->n < COMMANDS_MAX);
    found->commands[found->n++] = *command;
}

static int read_back(struct found *found) {
    found->n = 0;
    return live_file_read(path, note, found);
}

/* Fills @field with @byte up to its last byte, which is NUL. */
static void fill(char *field, size_t size, int byte) {
    memset(field, byte, size - 1);
    field[size - 1] = '\0';
}

static struct live_command command_of(unsigned char byte, pid_t pid) {
    struct live_command command = {.state = LIVE_RUNS,
                                   .pid = pid,
                                   .start_kind = byte % 2 == 0 ? 'i' : 't',
                                   .start = UINT64_MAX - byte,
                                   .uid = UINT32_MAX - 1,
                                   .is_service = byte % 3 == 0,
                                   .since = INT64_MAX,
                                   .rule_key = UINT64_MAX,
                                   .rule_line = UINT32_MAX};

    if (byte != 0) {
        fill(command.rule_file, sizeof(command.rule_file), byte);
        fill(command.hostname, sizeof(command.hostname), byte);
        fill(command.domainname, sizeof(command.domainname), byte);
        fill(command.user, sizeof(command.user), byte);
        fill(command.command, sizeof(command.command), byte);
    }
    return command;
}

/* Every byte in every string, at its greatest length. */
static void what_is_written_is_read(void **state) {
    static struct found found;

    (void)state;
    for (int first = 0; first < 256; first += COMMANDS_MAX) {
        struct live_file file = LIVE_FILE_NULL;
        struct live_place place;
        struct stat status;

        assert_int_equal(live_file_begin(&file, path), 0);
        for (int i = 0; i < COMMANDS_MAX; i++) {
            struct live_command command = command_of((unsigned char)(first + i), i + 1);

            assert_int_equal(live_file_add(&file, &command, &place), 0);
        }
        assert_int_equal(live_file_commit(&file), 0);
        assert_int_equal(stat(path, &status), 0);
        assert_int_equal(status.st_mode & 0777, 0644);
        assert_int_equal(read_back(&found), 0);
        assert_int_equal(found.n, COMMANDS_MAX);
        for (int i = 0; i < COMMANDS_MAX; i++) {
            struct live_command command = command_of((unsigned char)(first + i), i + 1);

            assert_memory_equal(&found.commands[i], &command, sizeof(command));
        }
        live_file_deinit(&file);
    }
}

static void a_state_changes_in_place_and_what_is_gone_is_not_read(void **state) {
    static struct found found;
    struct live_file file = LIVE_FILE_NULL;
    struct live_place places[3];

    (void)state;
    assert_int_equal(live_file_begin(&file, path), 0);
    for (int i = 0; i < 3; i++) {
        struct live_command command = command_of('a', i + 1);

        assert_int_equal(live_file_add(&file, &command, &places[i]), 0);
    }
    assert_int_equal(live_file_commit(&file), 0);
    live_file_mark(&file, &places[0], LIVE_ENDED);
    live_file_mark(&file, &places[1], LIVE_GONE);
    assert_int_equal(read_back(&found), 0);
    assert_int_equal(found.n, 2);
    assert_int_equal(found.commands[0].state, LIVE_ENDED);
    assert_int_equal(found.commands[1].pid, 3);
    assert_int_equal(found.commands[1].state, LIVE_RUNS);
    assert_false(live_file_wants_rewrite(&file));
    live_file_deinit(&file);
}

/* A ledger that was killed while it wrote, and one that is of another version. */
static void what_is_damaged_is_told_and_the_rest_is_read(void **state) {
    static const struct {
        const char *text;
        int result;
        size_t n;
    } cases[] = {
        {"", -EBADMSG, 0},
        {"utsbroker-live 2\n", -EBADMSG, 0},
        {LIVE_HEADER, 0, 0},
        {LIVE_HEADER "+ 5 i1 1 d 1 1 1 \"f\" \"n\" \"\" \"\" \"c\"\n", 0, 1},
        {LIVE_HEADER "+ 5 i1 1 d 1 1 1 \"f\" \"n\" \"\" \"\" \"c\"", 0, 0},
        {LIVE_HEADER "+ 5 i1 1 d 1 1 1 \"f\" \"n\" \"\" \"\" \"c\"\n+ 6 i", 0, 1},
        {LIVE_HEADER "\n+ 5 i1 1 d 1 1 1 \"f\" \"n\" \"\" \"\" \"c\"\n", -EBADMSG, 1},
        {LIVE_HEADER "+ 5 i1 1 d 1 1 1 \"f\" \"n\" \"\" \"c\"\n"
                     "+ 6 i1 1 d 1 1 1 \"f\" \"n\" \"\" \"\" \"c\"\n",
         -EBADMSG, 1},
    };
    static struct found found;

    (void)state;
    assert_true(unlink(path) == 0 || errno == ENOENT);
    assert_int_equal(read_back(&found), 0); /* there is no file */
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        FILE *file = fopen(path, "we");

        assert_non_null(file);
        assert_true(fputs(cases[i].text, file) >= 0);
        assert_int_equal(fclose(file), 0);
        if (read_back(&found) != cases[i].result || found.n != cases[i].n)
            fail_msg("case %zu: %zu commands", i, found.n);
    }
}

/* A file system that is full: a line is there whole or not at all. */
static void a_line_that_does_not_fit_leaves_nothing(void **state) {
    static struct found found;
    struct rlimit before, small;
    struct live_file file = LIVE_FILE_NULL;
    struct live_command command = command_of('a', 1);
    struct live_place place;

    (void)state;
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(live_file_begin(&file, path), 0);
    assert_int_equal(live_file_add(&file, &command, &place), 0);
    small = (struct rlimit){(rlim_t)file.size + place.length / 2, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    assert_true(live_file_add(&file, &command, &place) < 0);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    command.pid = 2;
    assert_int_equal(live_file_add(&file, &command, &place), 0);
    assert_int_equal(live_file_commit(&file), 0);
    assert_int_equal(read_back(&found), 0);
    assert_int_equal(found.n, 2);
    assert_int_equal(found.commands[1].pid, 2);
    live_file_deinit(&file);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(what_is_written_is_read),
    cmocka_unit_test(a_state_changes_in_place_and_what_is_gone_is_not_read),
    cmocka_unit_test(what_is_damaged_is_told_and_the_rest_is_read),
    cmocka_unit_test(a_line_that_does_not_fit_leaves_nothing),
};

int main(void) {
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
