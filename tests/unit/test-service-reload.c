/* What a service does before it executes the new program, and when that is not possible. */

#include "broker/service/service-reload.h"

#include <errno.h>
#include <sys/socket.h>

#include "broker/service/reload.h"
#include "tests/test.h"
#include "utsbroker/channel.h"

static struct service service;
static struct service_setup setup;
static struct client *ended;
static int result;       /* of the next reload_execute() */
static unsigned n_tries; /* how often it was called */

/* In place of broker/service/reload.c. What it returns is told only if the service is prepared. */
int reload_execute(const struct handover *handover, const char **whatp) {
    n_tries++;
    *whatp = "the test";
    assert_int_equal(handover->n_clients, 0);
    assert_int_equal(service.closer.n, 0); /* else the execve(2) closes them, which can block */
    return result;
}

static int set_up(void **state) {
    (void)state;
    service = (struct service){.setup = &setup, .listener.fd = 0};
    n_tries = 0;
    assert_int_equal(loop_init(&service.loop), 0);
    reaper_init(&service.reaper, &service.loop);
    closer_init(&service.closer, &service.reaper);
    end_reports_init(&service.end_reports);
    session_pool_init(&service.pool, &service.loop, &service.reaper, &service.policy);
    service.clients = (struct clients){.loop = &service.loop,
                                       .reaper = &service.reaper,
                                       .pool = &service.pool,
                                       .closer = &service.closer,
                                       .end_reports = &service.end_reports};
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    closer_deinit(&service.closer);
    loop_deinit(&service.loop);
    return 0;
}

/* A client of which all was said, but whose connection has something unread, so that it is not
 * closed yet. Returns the other end. */
static int add_ended_client(void) {
    int ends[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    assert_int_equal(channel_send(ends[1], "x", 1, NULL, 0), 0);
    ended = calloc(1, sizeof(*ended));
    assert_non_null(ended);
    *ended = (struct client){.clients = &service.clients,
                             .state = CLIENT_RUNNING,
                             .connection.fd = ends[0],
                             .has_hung_up = true,
                             .has_ended = true};
    list_append(&service.clients.in_state[CLIENT_RUNNING], &ended->link, ended);
    service.clients.n++;
    return ends[1];
}

static void connections_that_could_block_are_closed_before(void **state) {
    int peer = add_ended_client();

    (void)state;
    result = -EPERM;
    service.closer.n_holders = 4; /* so that the next connection waits for more */
    service_want_reload(&service);
    service_reload_if_possible(&service);
    assert_int_equal(n_tries, 1);
    assert_int_equal(service.clients.n, 0);
    for (int i = 0; i < 5000 && service.closer.n_holders > 4; i++) /* its holder ends */
        if (loop_run_once(&service.loop, false) != 0)
            usleep(1000);
    assert_int_equal(service.closer.n_holders, 4);
    close(peer);
}

/* Runs the service's loop until the time of the next try has come. */
static void wait_for_pause(void) {
    assert_false(service_is_reloading(&service));
    assert_true(service.reload.due > loop_now());
    loop_set_timer(&service.loop, &service.reload, loop_now()); /* no test waits for minutes */
    (void)loop_run_once(&service.loop, false);
}

static void what_a_shortage_prevents_is_tried_again(void **state) {
    static const struct {
        int result;
        bool is_tried_again;
    } cases[] = {
        {-EAGAIN, true},  {-ENOMEM, true},  {-EMFILE, true}, {-ENFILE, true},
        {-EPROTO, false}, {-ENOENT, false}, {-EPERM, false},
    };

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        result = cases[i].result;
        n_tries = 0;
        service_want_reload(&service);
        for (unsigned n = 1; n < 12; n++) {
            service_reload_if_possible(&service);
            if (n_tries != (cases[i].is_tried_again ? n : 1))
                fail_msg("%s: %u tries", strerror(-result), n_tries);
            if (cases[i].is_tried_again)
                wait_for_pause();
        }
        assert_true(service.reload_pause <= 300000);
    }
}

/* Who asks meanwhile need not wait; and who ends the service ends that, too. */
static void a_further_signal_ends_the_pause(void **state) {
    (void)state;
    result = -EAGAIN;
    service_want_reload(&service);
    service_reload_if_possible(&service);
    service_reload_if_possible(&service);
    assert_int_equal(n_tries, 1);
    service_want_reload(&service);
    service_reload_if_possible(&service);
    assert_int_equal(n_tries, 2);
    service.clients.is_ending = true;
    service_want_reload(&service);
    service_reload_if_possible(&service);
    assert_int_equal(n_tries, 2);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown(connections_that_could_block_are_closed_before, set_up,
                                    tear_down),
    cmocka_unit_test_setup_teardown(what_a_shortage_prevents_is_tried_again, set_up, tear_down),
    cmocka_unit_test_setup_teardown(a_further_signal_ends_the_pause, set_up, tear_down),
};

TEST_MAIN(tests)
