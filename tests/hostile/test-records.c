/*
 * Sends the real broker records that no launcher sends. The broker refuses each record or closes
 * its connection; no signal kills the broker, and no descriptor and no process is left.
 *
 * UTSBROKER_TEST_RECORDS sets the number of random records in each mode, UTSBROKER_TEST_SEED
 * selects them.
 */

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "tests/hostile/chance.h"
#include "tests/hostile/speaker.h"
#include "utsbroker/channel.h"

/* The policy permits only the first name. No record of this test may be granted. */
#define PERMITTED "only.test"
#define DENIED "x.test"

enum { REQUEST_SIZE = sizeof(struct protocol_request), RECORDS = 50000, WORKERS = 2 };

_Static_assert(sizeof(struct protocol_reply) <= 2 * sizeof(struct protocol_request),
               "a record has room for either");

/* The record to send, with its descriptors. */
struct record {
    const char *what;
    unsigned char bytes[2 * sizeof(struct protocol_request)];
    size_t size, n_fds;
    int fds[CHANNEL_FDS_MAX];
};

/*
 * Shared by the workers: the number of replies with each status (PROTOCOL_STATUS_COUNT: a closed
 * connection without a reply), and of wrong outcomes.
 */
static struct {
    unsigned of[PROTOCOL_STATUS_COUNT + 1];
    unsigned n_wrong;
} * tally;

/* A worker cannot fail the test itself, so it prints and counts. */
static void report_wrong(const char *problem, const struct record *record) {
    print_error("%s: %s; %zu bytes, %zu descriptors, errno %d\n", record->what, problem,
                record->size, record->n_fds, errno);
    __atomic_add_fetch(&tally->n_wrong, 1, __ATOMIC_RELAXED);
}

static bool is_refusal(enum protocol_status status) {
    return status == PROTOCOL_DENIED || status == PROTOCOL_BAD_REQUEST ||
           status == PROTOCOL_BAD_VERSION || status == PROTOCOL_BAD_NAME ||
           status == PROTOCOL_STATUS_COUNT;
}

/* Waits for the reply and checks it. */
static enum protocol_status judge_record(const struct record *record, struct speaker *speaker) {
    enum protocol_status status = speaker_hear(speaker);

    if (!is_refusal(status))
        report_wrong("the reply is no refusal of the record", record);
    if (!speaker_close(speaker))
        report_wrong("a signal killed the broker", record);
    __atomic_add_fetch(&tally->of[status], 1, __ATOMIC_RELAXED);
    return status;
}

static enum protocol_status try_record(const struct record *record) {
    struct speaker speaker;
    int r =
        speaker_open(&speaker, USER_WITHOUT_NAME)
            ? channel_send(speaker.channel, record->bytes, record->size, record->fds, record->n_fds)
            : -errno;

    if (r < 0 && r != -EPIPE)
        report_wrong("not sent", record);
    return judge_record(record, &speaker);
}

static void record_init(struct record *record, const char *what, const char *hostname,
                        const struct speaker_fds *fds) {
    const struct protocol_request request = speaker_request(hostname);

    *record = (struct record){.what = what, .size = REQUEST_SIZE, .n_fds = speaker_fds_needed()};
    memcpy(record->bytes, &request, sizeof(request));
    record->fds[0] = fds->kinds[0].fd;
    record->fds[1] = fds->kinds[2].fd;
}

/* Runs @act as the user in @n_workers processes; each must end with status 0. */
static void run_as_user(void (*act)(unsigned worker), unsigned n_workers) {
    pid_t workers[WORKERS];
    int status, worst = 0;

    for (unsigned i = 0; i < n_workers; i++) {
        workers[i] = fork();
        if (workers[i] == 0) {
            speaker_become(USER_WITHOUT_NAME, 280);
            act(i);
            _exit(0);
        }
    }
    for (unsigned i = 0; i < n_workers; i++) {
        assert_int_equal(waitpid(workers[i], &status, 0), workers[i]);
        worst = status != 0 ? status : worst;
    }
    assert_int_equal(worst, 0);
}

static size_t count_descriptors(void) {
    return harness_count_descriptors(harness_service_of(USER_WITHOUT_NAME)->pid);
}

static bool has_equally_many_descriptors(void *context) {
    return count_descriptors() == *(const size_t *)context;
}

/* Runs @act. After it nothing is left, and the service has as many descriptors as before. */
static void send_all(void (*act)(unsigned worker), unsigned n_workers) {
    size_t before = 0;

    memset(tally, 0, sizeof(*tally));
    if (harness_is_service()) {
        harness_assert_nothing_left(USER_WITHOUT_NAME);
        before = count_descriptors();
    }
    run_as_user(act, n_workers);
    harness_assert_nothing_left(USER_WITHOUT_NAME);
    if (harness_is_service() && !harness_wait_for(has_equally_many_descriptors, &before))
        fail_msg("the service has %zu descriptors, it had %zu before", count_descriptors(), before);
}

static unsigned tally_print(const char *what) {
    unsigned n = 0;

    for (size_t i = 0; i <= PROTOCOL_STATUS_COUNT; i++)
        n += tally->of[i];
    print_message(
        "tried: %s: %u records in %s mode: %u denied, %u malformed, %u of another version, "
        "%u bad names, %u without a reply; wrong outcomes %u\n",
        what, n, harness_mode(), tally->of[PROTOCOL_DENIED], tally->of[PROTOCOL_BAD_REQUEST],
        tally->of[PROTOCOL_BAD_VERSION], tally->of[PROTOCOL_BAD_NAME],
        tally->of[PROTOCOL_STATUS_COUNT], tally->n_wrong);
    assert_int_equal(tally->n_wrong, 0);
    return n;
}

static void expect(const struct record *record, enum protocol_status expected) {
    if (try_record(record) != expected)
        report_wrong("the reply has the wrong status", record);
}

static void try_lengths(unsigned worker) {
    struct speaker_fds fds;
    struct record record;

    (void)worker;
    speaker_fds_init(&fds);
    record_init(&record, "a record of another length", DENIED, &fds);
    /* The bytes after a valid record look like another record. */
    memcpy(record.bytes + REQUEST_SIZE, record.bytes, REQUEST_SIZE);
    for (record.size = 0; record.size <= 2 * (size_t)REQUEST_SIZE; record.size++)
        /* For the broker an empty record is the end of the connection. */
        expect(&record, record.size == 0              ? PROTOCOL_STATUS_COUNT
                        : record.size == REQUEST_SIZE ? PROTOCOL_DENIED
                                                      : PROTOCOL_BAD_REQUEST);
    record_init(&record, "a reply", DENIED, &fds);
    memset(record.bytes, 0, sizeof(record.bytes));
    memcpy(record.bytes, &(struct protocol_reply){.version = PROTOCOL_VERSION},
           sizeof(struct protocol_reply));
    record.size = sizeof(struct protocol_reply);
    expect(&record, PROTOCOL_BAD_REQUEST);
    record.what = "a notice";
    record.size = sizeof(struct protocol_notice);
    expect(&record, PROTOCOL_BAD_REQUEST);
}

static void a_record_of_any_wrong_length_is_refused(void **state) {
    (void)state;
    send_all(try_lengths, 1);
    assert_int_equal(tally_print("lengths"), 2 * REQUEST_SIZE + 3);
}

static void try_numbers(unsigned worker) {
    struct speaker_fds fds;
    struct record record;

    (void)worker;
    speaker_fds_init(&fds);
    for (size_t n = 0; n <= CHANNEL_FDS_MAX; n = n < 4 ? n + 1 : n == 4 ? 252 : n + 1) {
        /* The session checks the number by the flags, the gate by the launch description. */
        const char *name = n == speaker_fds_needed() ? DENIED : PERMITTED;

        record_init(&record, "a wrong number of descriptors", name, &fds);
        record.n_fds = n;
        for (size_t i = 2; i < n; i++)
            record.fds[i] = fds.kinds[11].fd;
        expect(&record, n == speaker_fds_needed() ? PROTOCOL_DENIED : PROTOCOL_BAD_REQUEST);
    }
}

static void any_wrong_number_of_descriptors_is_refused(void **state) {
    (void)state;
    send_all(try_numbers, 1);
    assert_int_equal(tally_print("numbers of descriptors"), 7);
}

/* The name is permitted, so that only the descriptor can be the reason of the refusal. */
static void try_kinds(unsigned worker) {
    struct speaker_fds fds;
    struct record record;

    (void)worker;
    speaker_fds_init(&fds);
    for (size_t i = 1; i < SPEAKER_KINDS; i++) {
        record_init(&record, fds.kinds[i].what, PERMITTED, &fds);
        record.fds[0] = fds.kinds[i].fd;
        expect(&record, PROTOCOL_BAD_REQUEST);
    }
}

static void any_wrong_kind_of_descriptor_is_refused(void **state) {
    (void)state;
    send_all(try_kinds, 1);
    assert_int_equal(tally_print("kinds of descriptors"), SPEAKER_KINDS - 1);
}

/* A launch description lacks F_SEAL_SHRINK; it shrinks before and after the broker receives it. */
static void try_shrinking(unsigned worker) {
    struct speaker_fds fds;
    struct record record;

    (void)worker;
    speaker_fds_init(&fds);
    for (unsigned i = 0; i < 64; i++) {
        int seals = (i & 1 ? F_SEAL_WRITE : 0) | (i & 2 ? F_SEAL_GROW : 0) |
                    (i & 4 ? F_SEAL_SEAL : 0); /* never F_SEAL_SHRINK */
        int memfd = memfd_create("shrinks", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        pid_t shrinker;

        record_init(&record, "a memfd that shrinks", PERMITTED, &fds);
        record.fds[0] = memfd;
        if (memfd < 0 || ftruncate(memfd, 1 << 20) < 0 || fcntl(memfd, F_ADD_SEALS, seals) < 0)
            report_wrong("the memfd could not be made", &record);
        shrinker = fork();
        if (shrinker == 0) {
            for (off_t size = 1 << 20; size > 0; size -= 4096)
                if (ftruncate(memfd, size) < 0)
                    _exit(1);
            _exit(0);
        }
        expect(&record, PROTOCOL_BAD_REQUEST); /* and reaps the child */
        (void)close(memfd);
    }
}

static void a_launch_description_that_can_shrink_is_refused(void **state) {
    (void)state;
    send_all(try_shrinking, 1);
    assert_int_equal(tally_print("shrinking"), 64);
}

static void try_fields(unsigned worker) {
    struct protocol_request request;
    struct speaker_fds fds;
    struct record record;

    (void)worker;
    speaker_fds_init(&fds);
    for (unsigned bit = 0; bit < 32; bit++) {
        uint32_t mask = 1U << bit;

        record_init(&record, "another version", DENIED, &fds);
        request = speaker_request(DENIED);
        request.version ^= mask;
        memcpy(record.bytes, &request, sizeof(request));
        if (!protocol_serves_version(request.version)) /* tests/unit/test-versions.c */
            expect(&record, PROTOCOL_BAD_VERSION);
        if ((mask & ~(uint32_t)PROTOCOL_FLAGS_ALL) != 0) {
            record.what = "an unknown flag";
            request = speaker_request(DENIED);
            request.flags |= mask;
            memcpy(record.bytes, &request, sizeof(request));
            expect(&record, PROTOCOL_BAD_REQUEST);
        }
        if (mask != PROTOCOL_HOSTNAME) {
            record.what = "a bit of an unknown name";
            request = speaker_request(DENIED);
            request.names |= mask;
            memcpy(record.bytes, &request, sizeof(request));
            expect(&record, PROTOCOL_BAD_REQUEST);
        }
    }
}

static void any_unknown_version_flag_or_name_is_refused(void **state) {
    (void)state;
    send_all(try_fields, 1);
    (void)tally_print("fields");
}

static void expect_bad_request(struct record *record, const struct protocol_request *request) {
    memcpy(record->bytes, request, sizeof(*request));
    expect(record, PROTOCOL_BAD_REQUEST);
}

/* Sets one byte after the NUL, in a name that is not requested, and in the reserved bytes. */
static void try_bytes_of_names(unsigned worker) {
    struct protocol_request request = speaker_request(DENIED);
    struct speaker_fds fds;
    struct record record;

    (void)worker;
    speaker_fds_init(&fds);
    record_init(&record, "a byte in an unused place", DENIED, &fds);
    memset(request.hostname, 'a', sizeof(request.hostname)); /* without a NUL */
    expect_bad_request(&record, &request);
    for (size_t at = 0; at < PROTOCOL_NAME_SIZE; at++) {
        request = speaker_request(DENIED);
        request.domainname[at] = 'a';
        expect_bad_request(&record, &request);
        request = speaker_request(DENIED);
        if (at < sizeof(DENIED))
            continue;
        request.hostname[at] = 'a';
        expect_bad_request(&record, &request);
    }
    for (size_t i = 0; i < sizeof(request.reserved); i++) {
        request = speaker_request(DENIED);
        request.reserved[i] = 1;
        expect_bad_request(&record, &request);
    }
}

static void any_byte_in_an_unused_place_is_refused(void **state) {
    (void)state;
    send_all(try_bytes_of_names, 1);
    assert_int_equal(tally_print("strings"), 1 + 2 * PROTOCOL_NAME_SIZE - sizeof(DENIED) + 2);
}

/* The broker reads one request and ends, so nobody reads a second one. */
static void try_two_requests(unsigned worker) {
    struct speaker_fds fds;
    struct record record;

    (void)worker;
    speaker_fds_init(&fds);
    for (unsigned i = 0; i < 50; i++) {
        const struct protocol_request second = speaker_request(PERMITTED);
        struct speaker speaker;

        record_init(&record, "two requests", DENIED, &fds);
        if (!speaker_open(&speaker, USER_WITHOUT_NAME) ||
            channel_send(speaker.channel, record.bytes, record.size, record.fds, record.n_fds) < 0)
            report_wrong("not sent", &record);
        (void)channel_send(speaker.channel, &second, sizeof(second), record.fds, record.n_fds);
        if (speaker_hear(&speaker) != PROTOCOL_DENIED)
            report_wrong("the first one was not denied", &record);
        if (judge_record(&record, &speaker) != PROTOCOL_STATUS_COUNT)
            report_wrong("the second one was answered", &record);
    }
}

static void only_the_first_of_two_requests_is_answered(void **state) {
    (void)state;
    send_all(try_two_requests, 1);
    assert_int_equal(tally_print("two requests"), 50);
}

struct control {
    int level, type;
    size_t size; /* of the data */
};

/* Makes control data by hand. The kernel itself refuses some of it: then nothing is sent. */
static void try_control_data(struct record *record, const struct control *parts, size_t n_parts) {
    char buffer[256] = {0};
    struct iovec bytes = {.iov_base = record->bytes, .iov_len = record->size};
    struct msghdr message = {.msg_iov = &bytes, .msg_iovlen = 1, .msg_control = buffer};
    struct cmsghdr *header = (struct cmsghdr *)(void *)buffer;
    const struct ucred own = {.pid = getpid(), .uid = getuid(), .gid = getgid()};
    struct speaker speaker;

    for (size_t i = 0; i < n_parts; i++) {
        *header = (struct cmsghdr){.cmsg_level = parts[i].level,
                                   .cmsg_type = parts[i].type,
                                   .cmsg_len = CMSG_LEN(parts[i].size)};
        memcpy(CMSG_DATA(header),
               parts[i].type == SCM_CREDENTIALS ? (const void *)&own : (const void *)record->fds,
               parts[i].size);
        message.msg_controllen += CMSG_SPACE(parts[i].size);
        header = (struct cmsghdr *)(void *)(buffer + message.msg_controllen);
    }
    if (!speaker_open(&speaker, USER_WITHOUT_NAME))
        report_wrong("no connection to a broker", record);
    if (sendmsg(speaker.channel, &message, MSG_NOSIGNAL) < 0)
        (void)shutdown(speaker.channel, SHUT_WR);
    (void)judge_record(record, &speaker);
}

static void try_all_control_data(unsigned worker) {
    static const struct control parts[] = {
        {SOL_SOCKET, SCM_RIGHTS, 0}, {SOL_SOCKET, SCM_RIGHTS, 3},
        {SOL_SOCKET, SCM_RIGHTS, 8}, {SOL_SOCKET, SCM_CREDENTIALS, sizeof(struct ucred)},
        {SOL_SOCKET, 77, 4},         {SOL_SOCKET, SCM_CREDENTIALS, 4},
        {IPPROTO_IP, SCM_RIGHTS, 4},
    };
    struct speaker_fds fds;
    struct record record;

    (void)worker;
    speaker_fds_init(&fds);
    record_init(&record, "control data", DENIED, &fds);
    for (size_t i = 0; i < BASE_ARRAY_SIZE(parts); i++)
        for (size_t j = 0; j < BASE_ARRAY_SIZE(parts); j++)
            try_control_data(&record, (const struct control[]){parts[i], parts[j]}, 2);
}

static void any_two_parts_of_control_data_are_refused(void **state) {
    (void)state;
    send_all(try_all_control_data, 1);
    assert_int_equal(tally_print("control data"), 49);
}

static void randomise_bytes(struct record *record, size_t from, uint64_t *random) {
    for (size_t i = from; i < record->size; i++)
        record->bytes[i] = (unsigned char)chance_next(random);
}

/*
 * Makes one of five kinds: random bytes; a valid record with some bytes changed; one that is too
 * short or has random bytes after it; one with small numbers in its fields; one with wrong
 * descriptors.
 */
static void randomise_record(struct record *record, const struct speaker_fds *fds,
                             uint64_t *random) {
    size_t kind = chance_below(random, 5);
    uint32_t words[3];

    record_init(record, "a random record", kind == 4 ? PERMITTED : DENIED, fds);
    if (kind == 0 || kind == 2)
        record->size = chance_below(random, 2 * (size_t)REQUEST_SIZE + 1);
    if (kind == 0)
        randomise_bytes(record, chance_below(random, 2) * sizeof(uint32_t), random);
    if (kind == 1)
        for (size_t n = 1 + chance_below(random, 8); n > 0; n--)
            record->bytes[chance_below(random, REQUEST_SIZE)] = (unsigned char)chance_next(random);
    if (kind == 2)
        randomise_bytes(record, REQUEST_SIZE, random);
    if (kind == 3) {
        for (size_t i = 0; i < BASE_ARRAY_SIZE(words); i++)
            words[i] = (uint32_t)chance_below(random, 20);
        memcpy(record->bytes + chance_below(random, 2) * sizeof(words[0]), words,
               2 * sizeof(words[0]));
    }
    if (kind == 4 || chance_below(random, 4) == 0)
        record->fds[0] = fds->kinds[1 + chance_below(random, SPEAKER_KINDS - 1)].fd;
    if (chance_below(random, 4) == 0) {
        record->n_fds = chance_below(random, chance_below(random, 16) == 0 ? 254 : 5);
        for (size_t i = 2; i < record->n_fds; i++)
            record->fds[i] = fds->kinds[chance_below(random, SPEAKER_KINDS)].fd;
    }
}

static void try_random(unsigned worker) {
    uint64_t random = 0x9e3779b97f4a7c15U * (harness_number("UTSBROKER_TEST_SEED", 1) + worker);
    struct speaker_fds fds;
    struct record record;

    speaker_fds_init(&fds);
    for (unsigned n = harness_number("UTSBROKER_TEST_RECORDS", RECORDS) / WORKERS; n > 0; n--) {
        randomise_record(&record, &fds, &random);
        (void)try_record(&record);
    }
}

static void random_records_are_refused(void **state) {
    unsigned n = harness_number("UTSBROKER_TEST_RECORDS", RECORDS) / WORKERS * WORKERS;

    (void)state;
    send_all(try_random, WORKERS);
    assert_int_equal(tally_print("random"), n);
}

/* There is no log daemon here: so many lines would flood the machine's log. */
static int set_up(void **state) {
    tally = mmap(NULL, sizeof(*tally), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (tally == MAP_FAILED || harness_mount_dev() < 0 || harness_set_up(state) < 0)
        return -1;
    policy_write("10-test.conf", "permit any hostname " PERMITTED "\ndeny any\n");
    return 0;
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_record_of_any_wrong_length_is_refused),
    cmocka_unit_test(any_wrong_number_of_descriptors_is_refused),
    cmocka_unit_test(any_wrong_kind_of_descriptor_is_refused),
    cmocka_unit_test(a_launch_description_that_can_shrink_is_refused),
    cmocka_unit_test(any_unknown_version_flag_or_name_is_refused),
    cmocka_unit_test(any_byte_in_an_unused_place_is_refused),
    cmocka_unit_test(only_the_first_of_two_requests_is_answered),
    cmocka_unit_test(any_two_parts_of_control_data_are_refused),
    cmocka_unit_test(random_records_are_refused),
};

TEST_MAIN_AS_ROOT(tests, set_up, harness_tear_down)
