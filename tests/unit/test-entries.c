/* The entries of the ledger, with a log that takes no line: ends wait then. */

#include "broker/ledger/entries.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "tests/test.h"
#include "tests/unit/live-path.h"

static void live_write(pid_t pid) {
    FILE *file = fopen(path, "we");

    assert_non_null(file);
    assert_true(fprintf(file,
                        LIVE_HEADER
                        "+ %d i1 1000 d 1700000000 77 1 \"f\" \"lab1\" \"\" \"\" \"sh\"\n",
                        (int)pid) > 0);
    assert_int_equal(fclose(file), 0);
}

static int own_pidfd(void) {
    int fd = (int)syscall(SYS_pidfd_open, getpid(), 0);

    assert_true(fd >= 0);
    return fd;
}

/* A command ended while there was no ledger, its end could not be logged yet, and its pid is
 * another process's now: that one can be entered. */
static void a_reused_pid_can_be_entered_while_an_end_waits_for_the_log(void **state) {
    static const struct ledger_event event = {
        .kind = LEDGER_ENTER, .names = 1, .rule_key = 77, .rule_line = 1, .hostname = "lab1"};
    static struct accounts accounts;
    static struct entries entries;
    struct loop loop = LOOP_NULL;
    struct batch batch;
    struct book book;
    struct account *account;
    struct identity identity;
    struct entry *entry;
    int pidfd = own_pidfd(), again = own_pidfd();
    bool tells_status;

    (void)state;
    assert_int_equal(identity_init(&tells_status), 0);
    assert_int_equal(loop_init(&loop), 0);
    assert_int_equal(book_open(&book, "/dev/full"), 0);
    assert_int_equal(batch_init(&batch, &loop), 0);
    entries_init(&entries, &loop, &batch, &accounts, &book);
    live_write(getpid());
    assert_int_equal(entries_recover(&entries, path), 0);
    assert_int_equal(entries.all.n, 1);
    assert_null(((struct entry *)entries.all.first->owner)->counter);

    assert_int_equal(account_take(&accounts, 1000, &account), 0);
    assert_int_equal(identity_read(&identity, pidfd, getuid()), 0);
    assert_int_equal(entries_add(&entries, account, &identity, &pidfd, &event, &entry), 0);
    assert_int_equal(pidfd, -1);
    assert_ptr_equal(entries_find(&entries, getpid()), entry);
    assert_int_equal(counter_n_live(account, 77), 1);
    assert_int_equal(account->n_entries, 2);
    /* The process has one entry. */
    assert_int_equal(entries_add(&entries, account, &identity, &again, &event, &entry),
                     ENTRY_E_IN_USE);
    close(again);
    loop_deinit(&batch.loop);
    loop_deinit(&loop);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_reused_pid_can_be_entered_while_an_end_waits_for_the_log),
};

int main(void) {
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
