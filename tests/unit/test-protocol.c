#include "utsbroker/protocol.h"

#include "tests/test.h"

static struct protocol_request good_request(void) {
    return (struct protocol_request){.version = PROTOCOL_VERSION,
                                     .names = PROTOCOL_NAMES_ALL,
                                     .hostname = "node1.test",
                                     .domainname = "lab.test"};
}

static struct protocol_reply good_reply(void) {
    return (struct protocol_reply){.version = PROTOCOL_VERSION,
                                   .status = PROTOCOL_GRANTED,
                                   .pid = 4711,
                                   .rule_line = 12,
                                   .rule_file = "/etc/x.conf"};
}

static void only_a_request_of_exact_form_is_accepted(void **state) {
    enum { SIZE = sizeof(struct protocol_request) };
    const struct protocol_request good = good_request();
    unsigned char bytes[2 * SIZE] = {0};

    (void)state;
    memcpy(bytes, &good, SIZE);
    for (size_t size = 0; size <= 2 * SIZE; size++) {
        for (size_t n_fds = 0; n_fds <= 8; n_fds++) {
            struct protocol_request request;
            int r = protocol_decode_request(bytes, size, n_fds, &request);

            assert_int_equal(r == PROTOCOL_GRANTED, size == SIZE && n_fds == 1);
            if (r == PROTOCOL_GRANTED)
                assert_memory_equal(&request, &good, SIZE);
        }
    }
}

static const char command_without_end[PROTOCOL_COMMAND_SIZE + 1] =
    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/* Each case is one change to a valid request. */
static void malformed_requests_are_refused(void **state) {
    const struct { /* not static, for WORD() */
        const char *what;
        size_t offset;
        const char *bytes;
        size_t n_bytes;
        int result;
    } cases[] = {
#define AT(field) offsetof(struct protocol_request, field)
#define WORD(value) (const char *)&(const uint32_t){value}, sizeof(uint32_t)
        {"nothing", 0, "", 0, PROTOCOL_GRANTED},
        {"version 0", AT(version), WORD(0), PROTOCOL_BAD_VERSION},
        {"version 1", AT(version), WORD(1), PROTOCOL_BAD_VERSION},
        {"version 2", AT(version), WORD(2), PROTOCOL_BAD_VERSION},
        {"the last version that is not served", AT(version), WORD(3), PROTOCOL_BAD_VERSION},
        {"the version before", AT(version), WORD(4), PROTOCOL_GRANTED},
        {"the version after", AT(version), WORD(6), PROTOCOL_BAD_VERSION},
        {"a command without NUL", AT(command), command_without_end, PROTOCOL_COMMAND_SIZE,
         PROTOCOL_BAD_REQUEST},
        {"bytes after the command's NUL", AT(command) + 9, "x", 1, PROTOCOL_BAD_REQUEST},
        {"version 2^31", AT(version), WORD(0x80000000), PROTOCOL_BAD_VERSION},
        {"to the service, without a working directory", AT(flags), WORD(1), PROTOCOL_BAD_REQUEST},
        {"a terminal in direct mode", AT(flags), WORD(2), PROTOCOL_BAD_REQUEST},
        {"what is wanted besides", AT(flags), WORD(0xc), PROTOCOL_GRANTED},
        {"a flag that is not known", AT(flags), WORD(0x20), PROTOCOL_BAD_REQUEST},
        {"a high flag that is not known", AT(flags), WORD(0x80000001), PROTOCOL_BAD_REQUEST},
        {"no name", AT(names), WORD(0), PROTOCOL_BAD_REQUEST},
        {"an unknown flag", AT(names), WORD(7), PROTOCOL_BAD_REQUEST},
        {"a high unknown flag", AT(names), WORD(0x80000003), PROTOCOL_BAD_REQUEST},
        {"a host name not asked for", AT(names), WORD(2), PROTOCOL_BAD_REQUEST},
        {"a domain name not asked for", AT(names), WORD(1), PROTOCOL_BAD_REQUEST},
        {"an empty host name", AT(hostname), "\0\0\0\0\0\0\0\0\0\0", 10, PROTOCOL_BAD_REQUEST},
        {"an empty domain name", AT(domainname), "\0\0\0\0\0\0\0\0", 8, PROTOCOL_BAD_REQUEST},
        {"a byte behind the NUL", AT(hostname) + 64, "x", 1, PROTOCOL_BAD_REQUEST},
        {"a byte right behind the NUL", AT(hostname) + 11, "x", 1, PROTOCOL_BAD_REQUEST},
        {"a byte behind the domain's NUL", AT(domainname) + 64, "x", 1, PROTOCOL_BAD_REQUEST},
        {"a name that begins with NUL", AT(hostname), "", 1, PROTOCOL_BAD_REQUEST},
        {"a reserved byte", AT(reserved), "\1", 1, PROTOCOL_BAD_REQUEST},
        {"the last reserved byte", AT(reserved) + 1, "\1", 1, PROTOCOL_BAD_REQUEST},
        {"control characters: the policy's to refuse", AT(hostname), "\x1b\n", 2, PROTOCOL_GRANTED},
#undef WORD
#undef AT
    };

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        struct protocol_request request = good_request(), out;

        memcpy((char *)&request + cases[i].offset, cases[i].bytes, cases[i].n_bytes);
        if (protocol_decode_request(&request, sizeof(request), 1, &out) != cases[i].result)
            fail_msg("%s", cases[i].what);
    }
}

/* Each descriptor of a request has a fixed place: there must be at least as many as the flags need.
 */
static void the_number_of_descriptors_must_fit_the_flags(void **state) {
    static const struct {
        uint32_t flags;
        size_t min, max;
    } cases[] = {{0, 1, 1},
                 {PROTOCOL_TO_SERVICE, 2, 253},
                 {PROTOCOL_TO_SERVICE | PROTOCOL_HAS_TERMINAL, 4, 253},
                 {PROTOCOL_HAS_TERMINAL, 1, 0},
                 {PROTOCOL_DIES_WITH_LAUNCHER | PROTOCOL_ASKS_FOR_NAMESPACE, 1, 1},
                 {PROTOCOL_DIES_WITH_LAUNCHER | PROTOCOL_TO_SERVICE, 2, 253},
                 {PROTOCOL_ASKS_FOR_NAMESPACE | PROTOCOL_HAS_TERMINAL, 1, 0},
                 {PROTOCOL_HANGS_UP | PROTOCOL_ASKS_FOR_NAMESPACE, 1, 1},
                 {PROTOCOL_HANGS_UP | PROTOCOL_TO_SERVICE, 2, 253},
                 {PROTOCOL_HANGS_UP | PROTOCOL_TO_SERVICE | PROTOCOL_HAS_TERMINAL, 4, 253},
                 {PROTOCOL_HANGS_UP | PROTOCOL_DIES_WITH_LAUNCHER, 1, 0},
                 {1U << 5, 1, 0},
                 {PROTOCOL_TO_SERVICE | 1U << 31, 1, 0}};

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        for (size_t n_fds = 0; n_fds <= 253; n_fds++) {
            struct protocol_request request = good_request(), out;
            bool is_good = n_fds >= cases[i].min && n_fds <= cases[i].max;

            request.flags = cases[i].flags;
            if ((protocol_decode_request(&request, sizeof(request), n_fds, &out) == 0) != is_good)
                fail_msg("flags %x with %zu descriptors", (unsigned)cases[i].flags, n_fds);
        }
    }
}

static void only_a_notice_of_exact_form_is_accepted(void **state) {
    static const struct {
        int32_t wait_status;
        bool is_good;
    } cases[] = {{0, true},         {7 << 8, true},         {255 << 8, true}, {9, true},
                 {11 | 0x80, true}, {19 << 8 | 0x7f, true}, {0xffff, false}};

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        struct protocol_notice notice[2] = {
            {.version = PROTOCOL_VERSION, .wait_status = cases[i].wait_status}};
        struct protocol_notice out;

        for (size_t size = 4; size <= sizeof(notice); size++)
            for (size_t n_fds = 0; n_fds < 3; n_fds++)
                assert_int_equal(protocol_decode_notice(notice, size, n_fds, &out) == 0,
                                 cases[i].is_good && size == sizeof(out) && n_fds == 0);
        for (uint32_t version = 0; version < PROTOCOL_VERSION + 2; version++) {
            notice[0].version = version;
            assert_int_equal(protocol_decode_notice(notice, sizeof(out), 0, &out) ==
                                 PROTOCOL_BAD_VERSION,
                             version != PROTOCOL_VERSION);
        }
    }
}

static void names_must_end_with_nul(void **state) {
    struct protocol_request request = good_request(), out;

    (void)state;
    memset(request.hostname, 'a', sizeof(request.hostname));
    assert_int_equal(protocol_decode_request(&request, sizeof(request), 1, &out),
                     PROTOCOL_BAD_REQUEST);
    request.hostname[64] = '\0';
    assert_int_equal(protocol_decode_request(&request, sizeof(request), 1, &out), PROTOCOL_GRANTED);
    memset(request.domainname, 'a', sizeof(request.domainname));
    assert_int_equal(protocol_decode_request(&request, sizeof(request), 1, &out),
                     PROTOCOL_BAD_REQUEST);
}

/* The version is checked first: the records of a later protocol may have another size. */
static void another_version_is_reported_as_such(void **state) {
    static const uint32_t versions[] = {0, 1, 2, 3, PROTOCOL_VERSION + 1, UINT32_MAX};

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(versions); i++) {
        uint32_t record[100] = {versions[i]};
        struct protocol_request request;
        struct protocol_reply reply;

        for (size_t size = 4; size <= sizeof(record); size += 4) {
            assert_int_equal(protocol_decode_request(record, size, 0, &request),
                             PROTOCOL_BAD_VERSION);
            assert_int_equal(protocol_decode_reply(record, size, 0, &reply), PROTOCOL_BAD_VERSION);
        }
        assert_int_equal(protocol_decode_request(record, 3, 0, &request), PROTOCOL_BAD_REQUEST);
    }
}

static void random_records_are_refused_and_never_change_the_result(void **state) {
    unsigned seed = 3;

    (void)state;
    for (int i = 0; i < 100000; i++) {
        struct protocol_request request = good_request(), out, untouched;
        size_t at = (size_t)rand_r(&seed) % sizeof(request);
        int r;

        memset(&out, 0xa5, sizeof(out));
        untouched = out;
        ((unsigned char *)&request)[at] ^= (unsigned char)(1 + rand_r(&seed) % 255);
        r = protocol_decode_request(&request, sizeof(request), 1, &out);
        if (r != PROTOCOL_GRANTED) {
            assert_memory_equal(&out, &untouched, sizeof(out));
            continue;
        }
        /* An accepted record differs only in its flags or in the bytes of a name, and is canonical.
         */
        if (at >= offsetof(struct protocol_request, flags) &&
            at < offsetof(struct protocol_request, hostname)) {
            assert_int_equal(out.flags & ~(PROTOCOL_DIES_WITH_LAUNCHER |
                                           PROTOCOL_ASKS_FOR_NAMESPACE | PROTOCOL_HANGS_UP),
                             0);
            continue;
        }
        if (at < sizeof(uint32_t)) {
            assert_int_equal(out.version, PROTOCOL_VERSION_MIN);
            continue;
        }
        assert_true(at >= offsetof(struct protocol_request, hostname));
        assert_true(at < offsetof(struct protocol_request, reserved));
        assert_true(protocol_string_is_canonical(out.hostname, sizeof(out.hostname)));
        assert_true(protocol_string_is_canonical(out.domainname, sizeof(out.domainname)));
    }
}

static void malformed_replies_are_refused(void **state) {
    struct protocol_reply cases[17], out;

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++)
        cases[i] = good_reply();
    assert_int_equal(protocol_decode_reply(&cases[0], sizeof(cases[0]), 1, &out), 0);
    assert_int_equal(protocol_decode_reply(&cases[0], sizeof(cases[0]), 0, &out),
                     PROTOCOL_BAD_REQUEST); /* granted without a pidfd */
    assert_int_equal(protocol_decode_reply(&cases[0], sizeof(cases[0]) - 1, 1, &out),
                     PROTOCOL_BAD_REQUEST);
    cases[1].status = PROTOCOL_STATUS_COUNT;
    cases[2].pid = 0;
    cases[3].pid = -1;
    cases[4].status = PROTOCOL_DENIED; /* with a pid */
    cases[5].names = 4;
    cases[6].error = -1;
    memset(cases[7].rule_file, 'x', sizeof(cases[7].rule_file));
    cases[8].group = 5;                   /* of no group that differs */
    cases[9].confinement = PROTOCOL_GONE; /* although granted */
    cases[10] =
        (struct protocol_reply){.version = PROTOCOL_VERSION, .status = PROTOCOL_CALLER_CONFINED};
    cases[11] = cases[10];
    cases[11].confinement = PROTOCOL_CONFINEMENT_COUNT;
    cases[12] = (struct protocol_reply){
        .version = PROTOCOL_VERSION, .status = PROTOCOL_DENIED, .uts_namespace = 1};
    cases[13] = cases[10];
    cases[13].confinement = PROTOCOL_OTHER_NAMESPACE; /* of no kind */
    cases[14] = cases[13];
    cases[14].namespace_kind = PROTOCOL_NAMESPACE_COUNT;
    cases[15].namespace_kind = PROTOCOL_MOUNT_NAMESPACE; /* although granted */
    cases[16].status = PROTOCOL_PROVE;
    cases[16].uts_namespace = 0;
    assert_int_equal(protocol_decode_reply(&cases[16], sizeof(cases[16]), 0, &out),
                     PROTOCOL_BAD_REQUEST); /* without a pidfd */
    assert_int_equal(protocol_decode_reply(&cases[16], sizeof(cases[16]), 1, &out), 0);
    cases[16].pid = 0;
    for (size_t i = 1; i < BASE_ARRAY_SIZE(cases); i++)
        for (size_t n_fds = 0; n_fds < 3; n_fds++)
            if (protocol_decode_reply(&cases[i], sizeof(cases[i]), n_fds, &out) !=
                PROTOCOL_BAD_REQUEST)
                fail_msg("case %zu, %zu descriptors", i, n_fds);
    cases[14].namespace_kind = PROTOCOL_CGROUP_NAMESPACE;
    assert_int_equal(protocol_decode_reply(&cases[14], sizeof(cases[14]), 0, &out), 0);
    cases[8].groups_lost = 1;
    assert_int_equal(protocol_decode_reply(&cases[8], sizeof(cases[8]), 1, &out), 0);
    cases[4].pid = 0;
    assert_int_equal(protocol_decode_reply(&cases[4], sizeof(cases[4]), 0, &out), 0);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(only_a_request_of_exact_form_is_accepted),
    cmocka_unit_test(malformed_requests_are_refused),
    cmocka_unit_test(the_number_of_descriptors_must_fit_the_flags),
    cmocka_unit_test(only_a_notice_of_exact_form_is_accepted),
    cmocka_unit_test(names_must_end_with_nul),
    cmocka_unit_test(another_version_is_reported_as_such),
    cmocka_unit_test(random_records_are_refused_and_never_change_the_result),
    cmocka_unit_test(malformed_replies_are_refused),
};

TEST_MAIN(tests)
