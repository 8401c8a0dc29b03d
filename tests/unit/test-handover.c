/*
 * What a service hands over to the program that it executes in its own place: what is written is
 * read, and nothing else is.
 */

#include "broker/service/handover.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "broker/service/client-state.h"
#include "broker/service/reload.h"
#include "tests/test.h"
#include "utsbroker/protocol.h"

static const char whole[] = "utsbroker=1\nclients=2\nlistener=3\nis-managed=1\nidle-exit=60\n"
                            "path=/run/x\ninode=18446744073709551615\npolicy-dir=/a\n"
                            "policy-dir=/b\nlink=9\n\nstate=0\nconnection=7\n\nstate=4\n"
                            "connection=8\nsession=12\ngate=13\nversion=4\n\n";

/* handover_parse() takes the text over. */
static int parse(struct handover *handover, const char *text) {
    return handover_parse(handover, strdup(text));
}

static struct handover_client client_make(unsigned n) {
    return (struct handover_client){.state = n % CLIENT_STATE_COUNT,
                                    .version = PROTOCOL_VERSION - n % 2,
                                    .connection = (int32_t)(10 + n),
                                    .control = n % 3 == 0 ? -1 : INT32_MAX,
                                    .session = n % 2 == 0 ? 0 : 1000 + n,
                                    .gate = 2000 + n,
                                    .has_hung_up = n % 2 == 0,
                                    .signal_at_hangup = n % 3 == 0 ? 9 : 0,
                                    .wants_status = n % 5 == 0,
                                    .has_ended = n % 7 == 0,
                                    .wait_status = n % 7 == 0 ? 0x7f00 : 0,
                                    .stop_signal = n % 4 == 0 ? 19 : 0};
}

static void assert_same_client(const struct handover_client *a, const struct handover_client *b) {
    assert_int_equal(a->state, b->state);
    assert_int_equal(a->version, b->version);
    assert_int_equal(a->connection, b->connection);
    assert_int_equal(a->control, b->control);
    assert_int_equal(a->session, b->session);
    assert_int_equal(a->gate, b->gate);
    assert_int_equal(a->has_hung_up, b->has_hung_up);
    assert_int_equal(a->signal_at_hangup, b->signal_at_hangup);
    assert_int_equal(a->wants_status, b->wants_status);
    assert_int_equal(a->has_ended, b->has_ended);
    assert_int_equal(a->wait_status, b->wait_status);
    assert_int_equal(a->stop_signal, b->stop_signal);
}

/* Writes @n_clients clients, reads them back, and compares all. */
static void go_round(unsigned n_clients, const char *path) {
    struct handover written = HANDOVER_NULL, read = HANDOVER_NULL;
    int memfd = -1;

    written.idle_exit_seconds = n_clients;
    written.listener = 5;
    written.is_managed = path == NULL;
    written.path = path;
    written.inode = path == NULL ? 0 : UINT64_MAX;
    written.folders[written.n_folders++] = "/etc/utsbroker/policy.d";
    written.folders[written.n_folders++] = "/with = and blank/\t\x80";
    for (int i = 0; i < HANDOVER_LINKS_MAX; i++)
        written.links[written.n_links++] = i;
    for (unsigned i = 0; i < n_clients; i++) {
        const struct handover_client client = client_make(i);

        assert_int_equal(handover_add_client(&written, &client), 0);
    }
    assert_int_equal(handover_write(&written, &memfd), 0);
    assert_int_equal(fcntl(memfd, F_GETFD), FD_CLOEXEC);
    assert_int_equal(handover_read(&read, memfd), 0);
    assert_int_equal(read.idle_exit_seconds, n_clients);
    assert_int_equal(read.listener, 5);
    assert_int_equal(read.is_managed, path == NULL);
    assert_true((read.path == NULL) == (path == NULL));
    if (path != NULL)
        assert_string_equal(read.path, path);
    assert_true(read.inode == written.inode);
    assert_int_equal(read.n_folders, 2);
    assert_string_equal(read.folders[1], written.folders[1]);
    assert_int_equal(read.n_links, HANDOVER_LINKS_MAX);
    assert_int_equal(read.links[HANDOVER_LINKS_MAX - 1], HANDOVER_LINKS_MAX - 1);
    assert_int_equal(read.n_clients, n_clients);
    for (unsigned i = 0; i < n_clients; i++)
        assert_same_client(&read.clients[i], &written.clients[i]);
    close(memfd);
    handover_deinit(&written);
    handover_deinit(&read);
}

static void what_is_written_is_read(void **state) {
    (void)state;
    go_round(0, NULL);
    go_round(1, "/run/utsbroker/1000/socket");
    go_round(1000, NULL);
}

/* The next version may know more. */
static void unknown_keys_are_skipped(void **state) {
    struct handover handover = HANDOVER_NULL;

    (void)state;
    assert_int_equal(parse(&handover, "utsbroker=1\nclients=1\nnew=\nlistener=3\nx=-1=2\n\n"
                                      "state=1\nnewer=words and = more\nconnection=7\n\n"),
                     0);
    assert_int_equal(handover.listener, 3);
    assert_int_equal(handover.clients[0].state, 1);
    assert_int_equal(handover.clients[0].connection, 7);
    assert_int_equal(handover.clients[0].control, -1);
    handover_deinit(&handover);
}

/* A text that was cut off anywhere must not be taken for one with fewer clients. */
static void each_cut_is_refused(void **state) {
    (void)state;
    for (size_t n = 0; n <= strlen(whole); n++) {
        struct handover handover = HANDOVER_NULL;
        char text[sizeof(whole)];
        int r;

        memcpy(text, whole, n);
        text[n] = '\0';
        r = parse(&handover, text);
        if (r != (n == strlen(whole) ? 0 : -EBADMSG))
            fail_msg("%zu bytes: %d", n, r);
        handover_deinit(&handover);
    }
}

static void what_is_wrong_is_refused(void **state) {
    static const struct {
        const char *what, *text;
        int result;
    } cases[] = {
#define HEAD "utsbroker=1\nclients=0\n"
        {"the least", HEAD "listener=3\n\n", 0},
        {"the version after", "utsbroker=2\nclients=0\nlistener=3\n\n", -EBADMSG},
        {"version 0", "utsbroker=0\nclients=0\nlistener=3\n\n", -EBADMSG},
        {"no version", "clients=0\nlistener=3\n\n", -EBADMSG},
        {"the version later", "clients=0\nutsbroker=1\nlistener=3\n\n", -EBADMSG},
        {"no listener", HEAD "\n", -EBADMSG},
        {"a client too many", HEAD "listener=3\n\nstate=0\n\n", -EBADMSG},
        {"a client too few", "utsbroker=1\nclients=2\nlistener=3\n\nstate=0\n\n", -EBADMSG},
        {"the largest number", HEAD "listener=2147483647\n\n", 0},
        {"a number that is too large", HEAD "listener=2147483648\n\n", -EBADMSG},
        {"a number that wraps around", HEAD "listener=4294967299\n\n", -EBADMSG},
        {"a negative number", HEAD "listener=-1\n\n", -EBADMSG},
        {"a sign", HEAD "listener=+3\n\n", -EBADMSG},
        {"a blank", HEAD "listener= 3\n\n", -EBADMSG},
        {"a hexadecimal number", HEAD "listener=0x3\n\n", -EBADMSG},
        {"no number", HEAD "listener=\n\n", -EBADMSG},
        {"more behind the number", HEAD "listener=3 \n\n", -EBADMSG},
        {"a flag that is set", HEAD "listener=3\nis-managed=1\n\n", 0},
        {"a flag of 2", HEAD "listener=3\nis-managed=2\n\n", -EBADMSG},
        {"the largest inode", HEAD "listener=3\ninode=18446744073709551615\n\n", 0},
        {"an inode that is too large", HEAD "listener=3\ninode=18446744073709551616\n\n", -EBADMSG},
        {"a negative inode", HEAD "listener=3\ninode=-1\n\n", -EBADMSG},
        {"a link that is no number", HEAD "listener=3\nlink=x\n\n", -EBADMSG},
        {"a line without =", HEAD "listener=3\nword\n\n", -EBADMSG},
        {"a client's flag of 2", "utsbroker=1\nclients=1\nlistener=3\n\nhas-ended=2\n\n", -EBADMSG},
        {"a client's pid that is too large",
         "utsbroker=1\nclients=1\nlistener=3\n\ngate=2147483648\n\n", -EBADMSG},
#undef HEAD
    };

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        struct handover handover = HANDOVER_NULL;

        if (parse(&handover, cases[i].text) != cases[i].result)
            fail_msg("%s", cases[i].what);
        handover_deinit(&handover);
    }
}

/* More folders or links than there is room for. */
static void too_many_are_refused(void **state) {
    static const struct {
        const char *line;
        int max;
    } cases[] = {{"policy-dir=/a\n", HANDOVER_FOLDERS_MAX}, {"link=3\n", HANDOVER_LINKS_MAX}};

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++)
        for (int more = 0; more < 2; more++) {
            struct handover handover = HANDOVER_NULL;
            char text[2048] = "utsbroker=1\nclients=0\nlistener=3\n";

            for (int n = 0; n < cases[i].max + more; n++)
                strcat(text, cases[i].line);
            strcat(text, "\n");
            assert_int_equal(parse(&handover, text), more == 0 ? 0 : -EBADMSG);
            handover_deinit(&handover);
        }
}

/* Only what nobody can change any more is read. */
static void a_file_that_is_not_sealed_is_refused(void **state) {
    static const int seals[] = {F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_WRITE};
    const int all = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
    FILE *ordinary = tmpfile();

    (void)state;
    assert_non_null(ordinary);
    assert_true(fputs(whole, ordinary) >= 0 && fflush(ordinary) == 0);
    for (size_t i = 0; i <= BASE_ARRAY_SIZE(seals); i++) {
        struct handover handover = HANDOVER_NULL;
        int memfd = memfd_create("x", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        bool is_sealed = i == BASE_ARRAY_SIZE(seals);

        assert_int_equal(write(memfd, whole, strlen(whole)), strlen(whole));
        assert_int_equal(fcntl(memfd, F_ADD_SEALS, is_sealed ? all : all & ~seals[i]), 0);
        assert_int_equal(handover_read(&handover, memfd), is_sealed ? 0 : -EPERM);
        handover_deinit(&handover);
        close(memfd);
    }
    for (int i = 0; i < 2; i++) {
        struct handover handover = HANDOVER_NULL;

        assert_int_equal(handover_read(&handover, i == 0 ? fileno(ordinary) : -1), -EPERM);
        handover_deinit(&handover);
    }
    fclose(ordinary);
}

/* A NUL hides nothing behind it. */
static void a_text_with_a_nul_is_refused(void **state) {
    static const char text[] = "utsbroker=1\nclients=0\nlistener=3\n\n\0state=0\n";
    struct handover handover = HANDOVER_NULL;
    int memfd = memfd_create("x", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    (void)state;
    assert_int_equal(write(memfd, text, sizeof(text)), sizeof(text));
    assert_int_equal(
        fcntl(memfd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE), 0);
    assert_int_equal(handover_read(&handover, memfd), -EBADMSG);
    close(memfd);
}

/* A path that no line can hold is not handed over in part. */
static void a_path_with_a_newline_is_refused(void **state) {
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct handover handover = HANDOVER_NULL;
        int memfd = -1;

        handover.listener = 3;
        if (i == 0)
            handover.path = "/run/x\nlistener=4";
        else
            handover.folders[handover.n_folders++] = "/a\n";
        assert_int_equal(handover_write(&handover, &memfd), -EINVAL);
        assert_int_equal(memfd, -1);
    }
}

/* Runs what a program does that cannot go on, with these signals pending and a child. Returns its
 * wait status. */
static int wait_for_children_with(const int *signals, size_t n) {
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        sigset_t all;

        (void)sigfillset(&all);
        (void)sigprocmask(SIG_SETMASK, &all, NULL);
        if (fork() == 0) {
            usleep(100000);
            _exit(0);
        }
        for (size_t i = 0; i < n; i++)
            (void)raise(signals[i]);
        reload_wait_for_children();
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

/* A signal that a service reads, and does not end by, does not end it after a reload either. */
static void who_cannot_go_on_waits_for_the_commands(void **state) {
    static const int harmless[] = {SIGHUP, SIGPIPE, SIGQUIT, SIGCHLD}, end[] = {SIGTERM};

    (void)state;
    assert_int_equal(wait_for_children_with(harmless, BASE_ARRAY_SIZE(harmless)), 1 << 8);
    assert_int_equal(wait_for_children_with(end, BASE_ARRAY_SIZE(end)), SIGTERM);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(what_is_written_is_read),
    cmocka_unit_test(unknown_keys_are_skipped),
    cmocka_unit_test(each_cut_is_refused),
    cmocka_unit_test(what_is_wrong_is_refused),
    cmocka_unit_test(too_many_are_refused),
    cmocka_unit_test(a_file_that_is_not_sealed_is_refused),
    cmocka_unit_test(a_text_with_a_nul_is_refused),
    cmocka_unit_test(a_path_with_a_newline_is_refused),
    cmocka_unit_test(who_cannot_go_on_waits_for_the_commands),
};

TEST_MAIN(tests)
