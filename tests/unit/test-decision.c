#include "policy/decision.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>

#include "tests/test.h"
#include "tests/unit/parse.h"

/*
 * The user database of these tests replaces that of the C library (ld's --wrap): it counts lookups,
 * and can fail. test-subject.c tests the real one.
 */
static unsigned n_lookups;

static const struct {
    const char *name;
    uint32_t id;
} users[] = {{"alice", 1000}, {"bob", 1001}, {"bobby", 1001}, {"root", 0}},
  groups[] = {{"students", 2000}, {"staff", 2001}};

int __wrap_getpwnam_r(const char *name, struct passwd *entry, char *buffer, size_t size,
                      struct passwd **foundp);
int __wrap_getgrnam_r(const char *name, struct group *entry, char *buffer, size_t size,
                      struct group **foundp);

static int database_answer(const char *name, size_t size) {
    n_lookups++;
    if (strcmp(name, "broken") == 0)
        return EIO;
    return strcmp(name, "large") == 0 && size < 100000 ? ERANGE : 0;
}

int __wrap_getpwnam_r(const char *name, struct passwd *entry, char *buffer, size_t size,
                      struct passwd **foundp) {
    (void)buffer;
    *foundp = NULL;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(users); i++) {
        if (strcmp(users[i].name, name) == 0) {
            *entry = (struct passwd){.pw_uid = users[i].id};
            *foundp = entry;
        }
    }
    return database_answer(name, size);
}

int __wrap_getgrnam_r(const char *name, struct group *entry, char *buffer, size_t size,
                      struct group **foundp) {
    int r = database_answer(name, size);

    (void)buffer;
    *foundp = NULL;
    if (r == 0 && strcmp(name, "large") == 0) {
        *entry = (struct group){.gr_gid = 2001};
        *foundp = entry;
    }
    for (size_t i = 0; i < BASE_ARRAY_SIZE(groups); i++) {
        if (strcmp(groups[i].name, name) == 0) {
            *entry = (struct group){.gr_gid = groups[i].id};
            *foundp = entry;
        }
    }
    return r;
}

struct world {
    struct policy policy;
    struct subject subject;
    struct selection selection;
    const struct policy_rule *failed;
    int result;
};

static gid_t *gids_of(gid_t a, gid_t b) {
    gid_t *gids = malloc(2 * sizeof(*gids));

    assert_non_null(gids);
    gids[0] = a;
    gids[1] = b;
    return gids;
}

/* Makes a user (uid, with the groups uid and 2000, sorted) and the policy @text. */
static void world_init(struct world *world, const char *text, uid_t uid) {
    *world = (struct world){.subject = {.uid = uid, .n_gids = 2}};
    world->subject.gids = uid < 2000 ? gids_of(uid, 2000) : gids_of(2000, uid);
    n_lookups = 0;
    parse_valid(&world->policy, "x.conf", text);
    world->result =
        selection_init(&world->selection, &world->policy, &world->subject, &world->failed);
}

static void world_deinit(struct world *world) {
    selection_deinit(&world->selection);
    subject_deinit(&world->subject);
    policy_deinit(&world->policy);
}

#define P DECISION_PERMITTED
#define D DECISION_DENIED
#define B DECISION_BAD_NAME
#define H DECISION_HOSTNAME
#define N DECISION_DOMAINNAME

static void the_first_rule_that_matches_decides(void **state) {
    static const char lab[] = "deny any hostname licence* www*\n" /* 1 */
                              "permit group students hostname lab-?? node[0-9]* "
                              "domainname lab.example\n"                              /* 2 */
                              "permit user alice bob hostname \"In Namespace\" a_b\n" /* 3 */
                              "permit user root hostname * domainname * setuid\n"     /* 4 */
                              "deny user 1000 hostname node9*\n"                      /* 5 */
                              "permit any hostname *.test domainname *.test\n";       /* 6 */
    static const struct {
        const char *policy;
        uid_t uid;
        const char *hostname, *domainname;
        enum decision_verdict verdict;
        unsigned line; /* of the rule; 0: none */
        unsigned names;
    } cases[] = {
        {lab, 1000, "node1.test", NULL, P, 2, 0},
        {lab, 1000, "NODE1", NULL, P, 2, 0},
        {lab, 1000, "a.test", NULL, P, 6, 0},
        {lab, 1000, "licence1", NULL, D, 1, H},
        {lab, 1000, "LICENCE1.test", NULL, D, 1, H},
        {lab, 1000, "www.test", NULL, D, 1, H},
        {lab, 1000, "other", NULL, D, 0, H},
        {lab, 1000, "In Namespace", NULL, P, 3, 0},
        {lab, 1000, "in namespace", NULL, P, 3, 0},
        {lab, 1000, "a_b", NULL, P, 3, 0},
        {lab, 1000, "a_c", NULL, B, 0, H},
        {lab, 1000, "node_1", NULL, B, 0, H}, /* a wildcard does not match what is not RFC 1123 */
        {lab, 1000, "node1 .test", NULL, B, 0, H},
        {lab, 1000, "", NULL, B, 0, H},
        {lab, 1000, "a\nb.test", NULL, B, 0, H},
        {lab, 1000, "node99", NULL, P, 2, 0}, /* rule 5 comes too late */
        {lab, 1000, NULL, "lab.example", P, 2, 0},
        {lab, 1000, NULL, "x.test", P, 6, 0},
        {lab, 1000, NULL, "node1", D, 0, N}, /* a hostname pattern permits no NIS domain name */
        {lab, 1000, NULL, "evil", D, 0, N},
        {lab, 1000, "node1", "lab.example", P, 2, 0},
        {lab, 1000, "a.test", "b.test", P, 6, 0},
        {lab, 1000, "node1", "b.test", D, 0,
         H | N}, /* each by one rule, but no rule permits both */
        {lab, 1000, "In Namespace", "lab.example", D, 0, H | N}, /* spelled out by its rule */
        {lab, 1000, "In Namespace", "evil", D, 0, N},
        {lab, 1000, "node1", "evil", D, 0, N},
        {lab, 1000, "evil", "lab.example", D, 0, H},
        {lab, 1000, "evil", "evil", D, 0, H | N},
        {lab, 1000, "www", "lab.example", D, 1, H},
        {lab, 1000, "node1", "bad_name", B, 0, N},
        {lab, 1000, "bad_name", "x\x01", B, 0,
         N}, /* a name that cannot be printed is reported first */
        {lab, 0, "anything", NULL, P, 4, 0},
        {lab, 0, "anything", "at.all", P, 4, 0},
        {lab, 0, "www", NULL, D, 1, H},
        {lab, 0, "not rfc", NULL, B, 0, H},
        {lab, 4711, "lab-07", NULL, P, 2, 0}, /* by the group */
        {lab, 4711, "In Namespace", NULL, B, 0, H},
        {"permit any hostname a", 7, "a", NULL, P, 1, 0},
        {"permit any hostname a", 7, "a", "d", D, 0,
         N}, /* the NIS domain name needs a pattern, too */
        {"permit any hostname a\npermit any hostname a domainname d", 7, "a", "d", P, 2, 0},
        {"", 7, "a", NULL, D, 0, H},
        {"deny any\npermit any hostname *", 7, "a", NULL, D, 1, H},
        {"deny user 8\npermit any hostname *", 7, "a", NULL, P, 2, 0},
        {"deny user 7\npermit any hostname *", 7, "a", NULL, D, 1, H},
        {"deny group 7\npermit any hostname *", 7, "a", NULL, D, 1, H},
        {"deny any hostname b\npermit any hostname *", 7, "a", NULL, P, 2, 0},
        {"deny any domainname d\npermit any hostname * domainname *", 7, "a", "d", D, 1, N},
        {"deny any hostname *\npermit any hostname \"a b\"", 7, "a b", NULL, D, 1, H},
        {"deny user bobby\npermit any hostname *", 1001, "a", NULL, D, 1, H}, /* bob by his id */
        /* With an unknown name a deny rule applies to everybody, a permit rule to nobody. */
        {"deny user nosuch\npermit any hostname *", 1001, "a", NULL, D, 1, H},
        {"deny group nosuch\npermit any hostname *", 1001, "a", NULL, D, 1, H},
        {"deny user alice nosuch\npermit any hostname *", 1001, "a", NULL, D, 1, H},
        {"deny user nosuch 5\npermit any hostname *", 1001, "a", NULL, D, 1, H},
        {"deny group nosuch hostname b*\npermit any hostname *", 1001, "a", NULL, P, 2, 0},
        {"deny group nosuch hostname b*\npermit any hostname *", 1001, "b", NULL, D, 1, H},
        {"permit user nosuch hostname a", 1001, "a", NULL, D, 0, H},
        {"permit user nosuch bob hostname a", 1001, "a", NULL, P, 1, 0},
        {"deny user students\npermit any hostname *", 2000, "a", NULL, D, 1, H}, /* no user */
        {"permit user students hostname *", 2000, "a", NULL, D, 0, H},
        {"permit group large hostname a", 2001, "a", NULL, P, 1, 0},
    };

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        struct world world;
        struct decision decision;
        unsigned line;

        world_init(&world, cases[i].policy, cases[i].uid);
        assert_int_equal(world.result, 0);
        decision = selection_decide(&world.selection, cases[i].hostname, cases[i].domainname);
        line = decision.rule != NULL ? decision.rule->line : 0;
        if (decision.verdict != cases[i].verdict || line != cases[i].line ||
            decision.names != cases[i].names)
            fail_msg("case %zu (%s, %s): verdict %d, rule %u, names %u", i, cases[i].hostname,
                     cases[i].domainname, decision.verdict, line, decision.names);
        world_deinit(&world);
    }
}

/* One rule, and for a deny rule `permit any hostname * domainname *` after it. */
static void ranges_and_first_labels_decide(void **state) {
    static const struct {
        const char *rule;
        const char *refused, *granted; /* host names */
    } cases[] = {
        /* Both readings are denied, each in every domain. */
        {"deny any hostname lab[01-16]",
         "lab01 lab09 lab10 lab12 LAB16 lab0 lab1 lab6 lab12.test lab01.a.b lab6.test lab1.",
         "lab lab00 lab17 lab2 lab7 lab010 lab001 xlab01 lab01x lab17.test x.lab01 lab-01"},
        {"deny any hostname \"lab[1-40]\"", "lab1 lab40 lab0 lab3 lab4.test", "lab01 lab41 lab00"},
        {"deny any hostname [1-4,7,10-12]", "1 4 7 10 12 12.test", "0 5 13 01 112 1-1"},
        {"deny any hostname rack[1-4]n[01-32]", "rack1n01 rack4n32 rack2n0 rack2n3 rack1n1.x",
         "rack5n01 rack1n33 rack1n4 rack14n01 rack1n00"},
        {"deny any hostname n[8-12]", "n8 n9 n12", "n1 n2 n7 n13"},
        {"deny any hostname lab[01-16].test", "lab01.test lab6.test", "lab01 lab01.x lab01.test.x"},
        {"deny any hostname licence1",
         "licence1 LICENCE1.test licence1.corp.example licence1. licence1..",
         "licence12 licence12.test a.licence1 licence.1 xlicence1 licence1-a"},
        {"deny any hostname licence1.corp.example", "licence1.corp.example",
         "licence1 licence1.test licence1.corp.example.x"},
        {"deny any hostname lab-??", "lab-01 lab-01.test", "lab-001 lab-001.test lab-a.b"},
        {"deny any hostname *1", "a1 1 a1.test a.b1", "a1b a.b"},
        {"deny any hostname \"In Namespace\" x", "x.y", "a"},
        /* Permit rules say what they say. */
        {"permit any hostname node1", "node1.test node", "node1 NODE1"},
        {"permit any hostname node[01-16]", "node0 node1 node6 node17 node01.test node00",
         "node01 node16 node10"},
        {"permit any hostname \"node[9-11]\"", "node1 node8 node12", "node9 node10 node11"},
        {"permit any hostname [1-10]", "0 11 01", "1 5 10"},
        {"permit any hostname [1-12]", "0 13 01 2.test", "1 2 10 12"},
        {"permit any hostname [0-15]", "16 00 05", "0 5 9 15"},
        {"permit any hostname [1-20]", "0 21", "2 20"},
        {"permit any hostname [1-40]", "0 41", "4 40"},
        {"permit any hostname [1-64]", "0 65", "6 64"},
        {"permit any hostname [01-32]", "0 1 2 3 00 33", "01 32"},
        {"permit any hostname n[12]", "n12 n3", "n1 n2"},
        {"permit any hostname n[0-9]", "n10", "n0 n9"},
        /* A range spells out no name, so it matches valid host names only. */
        {"permit any hostname n_[1,3] n_[01-16]", "n_1 n_3 n_01", ""},
        {"permit any hostname [01-16]-", "01-", ""},
        {"permit any hostname [01-16]-x", "01-", "01-x"},
    };

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        struct world world;
        char text[256];

        (void)snprintf(text, sizeof(text), "%s\n%s", cases[i].rule,
                       cases[i].rule[0] == 'd' ? "permit any hostname * domainname *" : "");
        world_init(&world, text, 7);
        for (int is_granted = 0; is_granted < 2; is_granted++) {
            const char *name = is_granted ? cases[i].granted : cases[i].refused;

            for (; *name != '\0'; name += strspn(name, " ")) {
                struct decision decision;
                char one[65];
                size_t n = strcspn(name, " ");

                (void)snprintf(one, sizeof(one), "%.*s", (int)n, name);
                name += n;
                decision = selection_decide(&world.selection, one, NULL);
                if ((decision.verdict == DECISION_PERMITTED) != is_granted)
                    fail_msg("%s: %s: %d", cases[i].rule, one, decision.verdict);
            }
        }
        world_deinit(&world);
    }
}

static void an_nis_domain_name_has_no_first_label(void **state) {
    static const struct {
        const char *domainname;
        enum decision_verdict verdict;
    } cases[] = {{"lab", D}, {"lab.example", P}, {"n01", D}, {"n1", D}, {"n01.example", P}};

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        struct world world;

        world_init(&world, "deny any domainname lab n[01-16]\npermit any domainname *", 7);
        assert_int_equal(selection_decide(&world.selection, NULL, cases[i].domainname).verdict,
                         cases[i].verdict);
        world_deinit(&world);
    }
}

static void only_names_that_rules_need_are_looked_up_and_each_once(void **state) {
    static const struct {
        const char *policy;
        unsigned n_lookups;
        const char *known_name;
    } cases[] = {
        {"permit any hostname *", 0, NULL},
        {"permit user 1000 group 5 hostname *", 0, NULL},
        {"deny any\npermit user alice hostname *", 0, NULL}, /* never tried */
        {"deny user 1000\npermit user alice hostname *", 0, NULL},
        {"permit user 1000 alice hostname *", 0, NULL}, /* matches before alice is looked up */
        {"permit user alice bob hostname *", 1, "alice"},
        {"permit user bob alice hostname *", 2, "alice"},
        {"permit user bob hostname *", 1, NULL},
        {"permit user bob hostname a\npermit user bob hostname b\ndeny user bob", 1, NULL},
        {"permit group staff hostname a\npermit user staff hostname b", 2, NULL},
        {"deny user alice\npermit group students hostname *", 1, "alice"},
        {"deny user alice hostname x\npermit group students hostname *", 2, "alice"},
    };

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        struct world world;
        const char *name;

        world_init(&world, cases[i].policy, 1000);
        assert_int_equal(world.result, 0);
        if (n_lookups != cases[i].n_lookups)
            fail_msg("case %zu: %u lookups", i, n_lookups);
        name = world.subject.known_name;
        if (cases[i].known_name == NULL)
            assert_null(name);
        else
            assert_string_equal(name, cases[i].known_name);
        world_deinit(&world);
    }
}

static void a_database_that_fails_refuses(void **state) {
    static const char *const policies[] = {
        "permit any hostname a\ndeny user broken\npermit any hostname *",
        "permit any hostname a\ndeny group broken\npermit any hostname *",
    };

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(policies); i++) {
        struct world world;

        world_init(&world, policies[i], 1000);
        assert_int_equal(world.result, -EIO);
        assert_non_null(world.failed);
        assert_int_equal(world.failed->line, 2);
        world_deinit(&world);
    }
}

static void a_selection_knows_whether_setuid_is_possible(void **state) {
    static const struct {
        const char *policy;
        bool has_setuid;
    } cases[] = {
        {"permit any hostname a", false},
        {"permit any hostname a setuid", true},
        {"permit user 5 hostname a setuid", false},
        {"deny any\npermit any hostname a setuid", false},
    };

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        struct world world;

        world_init(&world, cases[i].policy, 1000);
        assert_int_equal(world.selection.has_setuid, cases[i].has_setuid);
        world_deinit(&world);
    }
}

/* A deny rule before others never permits more: for random policies, users and names. */
static void a_deny_rule_before_never_permits_more(void **state) {
    static const char *const rules[] = {"permit any hostname *.test",
                                        "permit user 1000 hostname a* domainname *",
                                        "deny any hostname ab*",
                                        "deny user 1000 domainname d",
                                        "permit group 2000 hostname \"a b\"",
                                        "deny group 2000",
                                        "permit any hostname * domainname *",
                                        "deny any hostname \"a b\" [!a]*"};
    static const char *const names[] = {NULL, "a", "ab", "a.test", "a b", "d", "zz", "a_"};
    unsigned seed = 7, n_permitted = 0;

    (void)state;
    for (int i = 0; i < 3000; i++) {
        struct world plain, stricter;
        char text[512] = "", strict[1024];
        uid_t uid = rand_r(&seed) % 2 == 0 ? 1000 : 5;

        for (int n = rand_r(&seed) % 4; n >= 0; n--) {
            strcat(text, rules[(size_t)rand_r(&seed) % BASE_ARRAY_SIZE(rules)]);
            strcat(text, "\n");
        }
        do {
            snprintf(strict, sizeof(strict), "%s\n%s",
                     rules[(size_t)rand_r(&seed) % BASE_ARRAY_SIZE(rules)], text);
        } while (strict[0] != 'd');
        world_init(&plain, text, uid);
        world_init(&stricter, strict, uid);
        for (size_t h = 0; h < BASE_ARRAY_SIZE(names); h++) {
            for (size_t d = h == 0; d < BASE_ARRAY_SIZE(names); d++) {
                bool before = selection_decide(&plain.selection, names[h], names[d]).verdict ==
                              DECISION_PERMITTED;
                bool after = selection_decide(&stricter.selection, names[h], names[d]).verdict ==
                             DECISION_PERMITTED;

                if (after && !before)
                    fail_msg("more is permitted by:\n%s", strict);
                n_permitted += before;
            }
        }
        world_deinit(&plain);
        world_deinit(&stricter);
    }
    assert_true(n_permitted > 1000);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(the_first_rule_that_matches_decides),
    cmocka_unit_test(ranges_and_first_labels_decide),
    cmocka_unit_test(an_nis_domain_name_has_no_first_label),
    cmocka_unit_test(only_names_that_rules_need_are_looked_up_and_each_once),
    cmocka_unit_test(a_database_that_fails_refuses),
    cmocka_unit_test(a_selection_knows_whether_setuid_is_possible),
    cmocka_unit_test(a_deny_rule_before_never_permits_more),
};

TEST_MAIN(tests)
