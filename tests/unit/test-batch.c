/* When the ledger hears what can wait. */

#include "broker/ledger/batch.h"

#include <fcntl.h>
#include <sys/epoll.h>

#include "tests/test.h"

enum { SOURCES = 100, TURN = 16 };

struct stage {
    struct loop outer;
    struct batch batch;
    struct loop_source sources[SOURCES];
    int ends[SOURCES][2];
    int n_heard;
};

static struct stage stage;

static void hear(void *argument, uint32_t events) {
    (void)events;
    loop_remove_source(&stage.batch.loop, argument);
    stage.n_heard++;
}

static void sources_add(int first, int n) {
    for (int i = first; i < first + n; i++) {
        assert_int_equal(pipe2(stage.ends[i], O_CLOEXEC), 0);
        stage.sources[i] = (struct loop_source){
            .fd = stage.ends[i][0], .function = hear, .argument = &stage.sources[i]};
        assert_int_equal(loop_add_source(&stage.batch.loop, &stage.sources[i], EPOLLIN), 0);
        assert_int_equal(write(stage.ends[i][1], "x", 1), 1);
    }
}

static int stage_open(void **state) {
    (void)state;
    stage = (struct stage){.outer = LOOP_NULL};
    return loop_init(&stage.outer) < 0 ? -1 : batch_init(&stage.batch, &stage.outer);
}

static int stage_close(void **state) {
    (void)state;
    for (int i = 0; i < SOURCES; i++)
        if (stage.ends[i][1] > 0) {
            close(stage.ends[i][0]);
            close(stage.ends[i][1]);
        }
    loop_deinit(&stage.batch.loop);
    loop_deinit(&stage.outer);
    return 0;
}

/* The pause ends by itself: nobody has to ask. */
static void the_first_is_heard_at_once_and_others_together(void **state) {
    int64_t begin;

    (void)state;
    sources_add(0, 1);
    assert_int_equal(loop_run_once(&stage.outer, true), 0);
    assert_int_equal(stage.n_heard, 1);
    while (loop_run_once(&stage.outer, false) == 0)
        ;
    sources_add(1, 3);
    begin = loop_now();
    while (stage.n_heard < 4) {
        int n = stage.n_heard;

        assert_true(loop_run_once(&stage.outer, true) >= 0);
        assert_true(stage.n_heard == n || stage.n_heard == 4);
        assert_true(loop_now() < begin + 2000);
    }
}

static void who_cannot_wait_hears_all(void **state) {
    (void)state;
    sources_add(0, 1);
    assert_int_equal(loop_run_once(&stage.outer, true), 0);
    sources_add(1, 50);
    batch_take(&stage.batch);
    assert_int_equal(stage.n_heard, 51);
}

static int n_turns_of_others;

static void have_a_turn(void *argument, uint32_t events) {
    (void)argument;
    (void)events;
    n_turns_of_others++;
}

/* A user ends all commands at once: another's launch is served in between. */
static void many_do_not_keep_others_from_their_turn(void **state) {
    struct loop_source other = {.function = have_a_turn};
    int ends[2];

    (void)state;
    n_turns_of_others = 0;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    other.fd = ends[0];
    sources_add(0, SOURCES);
    assert_int_equal(write(ends[1], "x", 1), 1);
    assert_int_equal(loop_add_source(&stage.outer, &other, EPOLLIN), 0);
    for (int i = 0; i < 2 * (SOURCES / TURN + 1) + 2; i++) {
        int n = stage.n_heard;

        assert_true(loop_run_once(&stage.outer, true) >= 0);
        assert_true(stage.n_heard <= n + TURN);
    }
    assert_int_equal(stage.n_heard, SOURCES);
    assert_true(n_turns_of_others >= SOURCES / TURN);
    loop_remove_source(&stage.outer, &other);
    close(ends[0]);
    close(ends[1]);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown(the_first_is_heard_at_once_and_others_together, stage_open,
                                    stage_close),
    cmocka_unit_test_setup_teardown(who_cannot_wait_hears_all, stage_open, stage_close),
    cmocka_unit_test_setup_teardown(many_do_not_keep_others_from_their_turn, stage_open,
                                    stage_close),
};

TEST_MAIN(tests)
