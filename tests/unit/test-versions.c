/*
 * The records of each version of the protocol that is served, byte for byte: what a launcher of
 * that version sends is understood, and it gets what it understands.
 */

#include <errno.h>

#include "broker/session/launch.h"
#include "launcher/options.h"
#include "launcher/request.h"
#include "tests/record.h"
#include "tests/test.h"
#include "utsbroker/protocol.h"

static unsigned char bytes[RECORD_SIZE_MAX];

static void requests_of_each_version_are_understood(void **state) {
    static const struct {
        const char *name;
        uint32_t names, flags;
        const char *hostname, *domainname, *command;
        size_t n_fds;
    } cases[] = {
        {"request-service", PROTOCOL_HOSTNAME, PROTOCOL_TO_SERVICE, "x.test", "", "sh", 2},
        {"request-direct", PROTOCOL_NAMES_ALL,
         PROTOCOL_DIES_WITH_LAUNCHER | PROTOCOL_ASKS_FOR_NAMESPACE, "node1.test", "lab.example",
         "/usr/bin/make", 1},
    };

    (void)state;
    for (uint32_t version = PROTOCOL_VERSION_MIN; version <= PROTOCOL_VERSION; version++)
        for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
            size_t size = record_read(version, cases[i].name, bytes);
            struct protocol_request request;

            assert_int_equal(protocol_decode_request(bytes, size, cases[i].n_fds, &request), 0);
            assert_int_equal(protocol_choose_version(bytes, size), version);
            assert_int_equal(request.version, version);
            assert_int_equal(request.names, cases[i].names);
            assert_int_equal(request.flags, cases[i].flags);
            assert_string_equal(request.hostname, cases[i].hostname);
            assert_string_equal(request.domainname, cases[i].domainname);
            assert_string_equal(request.command, cases[i].command);
        }
}

/* utsrun sends the records of its version, and no other byte. */
static void utsrun_sends_the_records_of_its_version(void **state) {
    char *make[] = {"/usr/bin/make", NULL}, *sh[] = {"sh", NULL};
    const struct {
        const char *name;
        struct options options;
        uint32_t flags; /* that utsrun adds */
    } cases[] = {
        {"request-service",
         {.hostname = "x.test", .command = sh, .status_fd = -1},
         PROTOCOL_TO_SERVICE},
        {"request-direct",
         {.hostname = "node1.test",
          .domainname = "lab.example",
          .command = make,
          .dies_with_parent = true,
          .status_fd = 7},
         0},
    };

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        struct protocol_request request;

        request_init(&request, &cases[i].options);
        request.flags |= cases[i].flags;
        assert_int_equal(record_read(PROTOCOL_VERSION, cases[i].name, bytes), sizeof(request));
        assert_memory_equal(&request, bytes, sizeof(request));
    }
}

static const struct {
    const char *name;
    struct protocol_reply reply;
    uint32_t since; /* the first version that has it */
} replies[] = {
    {"reply-granted",
     {.status = PROTOCOL_GRANTED,
      .pid = 4711,
      .rule_line = 12,
      .groups_lost = 2,
      .group = 100,
      .inherited = PROTOCOL_DOMAINNAME,
      .uts_namespace = 4026532001,
      .rule_file = "/etc/utsbroker/policy.d/10-lab.conf"},
     4},
    {"reply-limit",
     {.status = PROTOCOL_LIMIT_REACHED,
      .rule_line = 3,
      .n_live = 16,
      .limit = 16,
      .rule_file = "/usr/lib/utsbroker/policy.d/50-default.conf"},
     4},
    {"reply-confined", {.status = PROTOCOL_CALLER_CONFINED, .confinement = PROTOCOL_UNPROVED}, 4},
    {"reply-namespace",
     {.status = PROTOCOL_CALLER_CONFINED,
      .confinement = PROTOCOL_OTHER_NAMESPACE,
      .namespace_kind = PROTOCOL_MOUNT_NAMESPACE},
     4},
    {"reply-prove", {.status = PROTOCOL_PROVE, .pid = 4712}, 5},
};

static void replies_are_those_of_the_requests_version(void **state) {
    (void)state;
    for (uint32_t version = PROTOCOL_VERSION_MIN; version <= PROTOCOL_VERSION; version++)
        for (size_t i = 0; i < BASE_ARRAY_SIZE(replies); i++) {
            struct protocol_reply reply = replies[i].reply;

            if (version < replies[i].since)
                continue;
            protocol_adapt_reply(&reply, version);
            assert_int_equal(record_read(version, replies[i].name, bytes), sizeof(reply));
            assert_memory_equal(&reply, bytes, sizeof(reply));
        }
}

/* A launcher of version 4 refuses a reply with a number that it does not know. */
static void an_old_launcher_gets_no_new_confinement(void **state) {
    const uint32_t last = PROTOCOL_UNREADABLE; /* of version 4 */

    (void)state;
    for (uint32_t confinement = 0; confinement < PROTOCOL_CONFINEMENT_COUNT; confinement++) {
        struct protocol_reply reply = {.status = PROTOCOL_CALLER_CONFINED,
                                       .confinement = confinement};

        protocol_adapt_reply(&reply, 4);
        assert_true(reply.confinement <= last);
        assert_true(confinement > last || reply.confinement == confinement);
        reply.confinement = confinement;
        protocol_adapt_reply(&reply, PROTOCOL_VERSION);
        assert_int_equal(reply.confinement, confinement);
    }
}

/* utsrun understands the replies of its own version only. */
static void utsrun_understands_its_own_version(void **state) {
    (void)state;
    for (uint32_t version = PROTOCOL_VERSION_MIN; version <= PROTOCOL_VERSION; version++) {
        int expected = version == PROTOCOL_VERSION ? 0 : PROTOCOL_BAD_VERSION;
        struct protocol_notice notice;
        size_t size = record_read(version, "notice", bytes);

        assert_int_equal(protocol_decode_notice(bytes, size, 0, &notice), expected);
        for (size_t i = 0; i < BASE_ARRAY_SIZE(replies); i++) {
            struct protocol_reply reply;

            if (version < replies[i].since)
                continue;
            size = record_read(version, replies[i].name, bytes);
            assert_int_equal(protocol_decode_reply(bytes, size, replies[i].reply.pid != 0, &reply),
                             expected);
        }
    }
}

static void launch_descriptions_of_each_version_are_understood(void **state) {
    (void)state;
    for (uint32_t version = PROTOCOL_VERSION_MIN; version <= PROTOCOL_VERSION; version++) {
        static _Alignas(16) unsigned char text[RECORD_SIZE_MAX];
        struct launch launch = LAUNCH_NULL;
        size_t size = record_read(version, "launch", text);

        assert_int_equal(launch_parse(&launch, (char *)text, size), 0);
        assert_int_equal(launch.header.closed_stdio, 7);
        assert_int_equal(launch.header.umask, 022);
        assert_int_equal(launch.header.stack_limit, 8 << 20);
        assert_int_equal(launch.header.memory_policy, LAUNCH_MEMORY_POLICY_UNKNOWN);
        assert_string_equal(launch.arguments[2], "exit 7");
        assert_null(launch.arguments[3]);
        assert_string_equal(launch.environment[0], "PATH=/usr/bin:/bin");
        assert_null(launch.environment[1]);
        launch_deinit(&launch);
    }
}

/* A request of version 4 cannot ask for what came after it. */
static void an_old_request_has_old_flags_only(void **state) {
    (void)state;
    for (uint32_t bit = 0; bit < 32; bit++) {
        struct protocol_request request = {.version = 4,
                                           .names = PROTOCOL_HOSTNAME,
                                           .flags = PROTOCOL_TO_SERVICE | 1U << bit,
                                           .hostname = "x.test"},
                                out;

        assert_int_equal(protocol_decode_request(&request, sizeof(request), 4, &out) == 0, bit < 4);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(requests_of_each_version_are_understood),
    cmocka_unit_test(utsrun_sends_the_records_of_its_version),
    cmocka_unit_test(replies_are_those_of_the_requests_version),
    cmocka_unit_test(an_old_launcher_gets_no_new_confinement),
    cmocka_unit_test(utsrun_understands_its_own_version),
    cmocka_unit_test(launch_descriptions_of_each_version_are_understood),
    cmocka_unit_test(an_old_request_has_old_flags_only),
};

int main(void) {
    if (!record_has_byte_order()) {
        puts("the records are of little-endian machines");
        return 0;
    }
    return cmocka_run_group_tests_name(__FILE__, tests, NULL, NULL);
}
