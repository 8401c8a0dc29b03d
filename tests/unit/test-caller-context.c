/* The caller's context, taken by a process that does not descend from the caller. */

#include "broker/session/caller-context.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pty.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "tests/test.h"
#include "utsbroker/compat.h"
#include "utsbroker/protocol.h"

/* In a child, where cmocka's assertions do not reach. */
#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            dprintf(SPARE_STDERR, "%s:%d: " #condition ": %m\n", __FILE__, __LINE__);              \
            _exit(1);                                                                              \
        }                                                                                          \
    } while (0)

enum { SPARE_STDERR = 200, FAR_END = 201, CWD = 202, END = -1 };

static char root[] = "/tmp/test-context-XXXXXX";

static int make_root(void **state) {
    char path[64];

    (void)state;
    if (mkdtemp(root) == NULL || chmod(root, 01777) < 0)
        return -1;
    (void)snprintf(path, sizeof(path), "%s/folder", root);
    return mkdir(path, 0755);
}

static int remove_root(void **state) {
    char command[64];

    (void)state;
    (void)snprintf(command, sizeof(command), "rm -rf %s", root);
    return system(command);
}

/* A request, and the process that takes the context. It runs as nobody if root runs this test. */
struct player {
    struct launch launch;
    struct channel_fds fds;
    uint32_t flags;
    struct limits limits;
    struct caller_channels channels; /* but for the session's, which is @channel */
    int channel;
};

static int move_to_number(int fd, int number) {
    CHECK(fd >= 0 && dup3(fd, number, O_CLOEXEC) == number && close(fd) == 0);
    return number;
}

/* Like the gate: only 0, 1, 2 and the request's descriptors are open; all values are defaults. */
static void player_init(struct player *player) {
    int ends[2];

    CHECK(fcntl(2, F_GETFD) >= 0 && dup3(2, SPARE_STDERR, O_CLOEXEC) == SPARE_STDERR);
    CHECK(syscall(SYS_close_range, 3, SPARE_STDERR - 1, 0) == 0);
    CHECK(syscall(SYS_close_range, SPARE_STDERR + 1, ~0U, 0) == 0);
    CHECK(geteuid() != 0 || setresuid(65534, 65534, 65534) == 0);
    CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
    (void)move_to_number(ends[0], FAR_END);
    memset(player, 0, sizeof(*player));
    player->channels = (struct caller_channels)CALLER_CHANNELS_NULL;
    player->launch.header.umask = 022;
    player->launch.header.memory_policy = LAUNCH_MEMORY_POLICY_UNKNOWN;
    player->limits.nice = getpriority(PRIO_PROCESS, 0);
    player->limits.policy = player->limits.io_priority = LIMITS_UNCHANGED;
    player->limits.oom_score_adj = player->limits.coredump_filter = LIMITS_UNCHANGED;
    for (int resource = 0; resource < RLIM_NLIMITS; resource++)
        CHECK(getrlimit((resource_limit)resource, &player->limits.all[resource]) == 0);
    player->channel = move_to_number(ends[1], FAR_END + 10);
    player->fds.fds[player->fds.n_fds++] = FAR_END + 11; /* the launch description: not used here */
    player->fds.fds[player->fds.n_fds++] =
        move_to_number(open(root, O_PATH | O_DIRECTORY | O_CLOEXEC), CWD);
}

/* While the gate has its capability. */
static void player_open_files(struct player *player) {
    CHECK(caller_context_open_files(&player->limits, &player->channels) == 0);
}

static int player_apply(struct player *player) {
    int r;

    player->channels.session = player->channel;
    r = caller_context_apply(&player->launch, &player->fds, player->flags, &player->limits,
                             &player->channels);
    player->channel = player->channels.session;
    return r;
}

static bool in_child(void (*play)(const void *), const void *script) {
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        (void)alarm(10);
        play(script);
        _exit(0);
    }
    assert_true(pid > 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status == 0;
}

/* The numbers at which descriptors arrive, and those that the command expects; ends with -1. */
struct move {
    const char *what;
    int received[8], wanted[8];
    int channel, cwd;
};

static ino_t inode(int fd) {
    struct stat status;

    CHECK(fstat(fd, &status) == 0);
    return status.st_ino;
}

static bool is_wanted(const struct move *move, int fd) {
    for (size_t i = 0; move->wanted[i] != END; i++)
        if (move->wanted[i] == fd)
            return true;
    return false;
}

static void check_channel(const struct player *player, ino_t channel) {
    char byte = 0;

    CHECK(inode(player->channel) == channel && fcntl(player->channel, F_GETFD) == FD_CLOEXEC);
    CHECK(send(player->channel, "x", 1, 0) == 1 && recv(FAR_END, &byte, 1, 0) == 1 && byte == 'x');
}

static void play_move(const void *script) {
    const struct move *move = script;
    struct player player;
    int32_t numbers[8];
    ino_t inodes[8], channel;
    size_t n = 0;

    player_init(&player);
    channel = inode(player.channel);
    player.channel = move_to_number(player.channel, move->channel);
    player.fds.fds[PROTOCOL_CWD_FD] = move_to_number(CWD, move->cwd);
    for (; move->wanted[n] != END; n++) {
        int fd = memfd_create("received", MFD_CLOEXEC);

        inodes[n] = inode(fd);
        if (fd != move->received[n])
            fd = move_to_number(fd, move->received[n]);
        player.fds.fds[player.fds.n_fds++] = fd;
        numbers[n] = move->wanted[n];
    }
    player.launch.descriptors = numbers;
    player.launch.header.n_descriptors = (uint32_t)n;

    CHECK(player_apply(&player) == 0);
    for (size_t i = 0; i < n; i++)
        CHECK(fcntl(numbers[i], F_GETFD) == 0 && inode(numbers[i]) == inodes[i]);
    /* After execve(2) nothing else would be open. */
    for (int fd = 0; fd < 1024; fd++)
        CHECK(is_wanted(move, fd) || fcntl(fd, F_GETFD) != 0);
    for (int fd = 0; fd <= 2; fd++)
        CHECK(is_wanted(move, fd) || fcntl(fd, F_GETFD) < 0);
    check_channel(&player, channel);
}

static void each_descriptor_gets_its_number(void **state) {
    static const struct move cases[] = {
        {"none", {END}, {END}, 10, 11},
        {"none, and the channel is below", {END}, {END}, 3, 4},
        {"the usual", {5, 6, 7, END}, {0, 1, 2, END}, 3, 4},
        {"only standard output", {5, END}, {1, END}, 3, 4},
        {"no standard input", {5, 6, END}, {1, 2, END}, 3, 4},
        {"none of the standard ones", {5, 6, END}, {3, 9, END}, 10, 11},
        {"at their numbers already", {3, 4, 5, END}, {3, 4, 5, END}, 10, 11},
        {"each one up", {3, 4, 5, END}, {4, 5, 6, END}, 10, 11},
        {"each one down", {4, 5, 6, END}, {3, 4, 5, END}, 10, 11},
        {"round: 3 to 5, 4 to 3, 5 to 4", {4, 5, 3, END}, {3, 4, 5, END}, 10, 11},
        {"round: 3 to 4, 4 to 5, 5 to 3", {5, 3, 4, END}, {3, 4, 5, END}, 10, 11},
        {"two change places", {4, 3, END}, {3, 4, END}, 10, 11},
        {"0, 1 and 2 round", {1, 2, 0, END}, {0, 1, 2, END}, 10, 11},
        {"0 and 2 change places", {2, 1, 0, END}, {0, 1, 2, END}, 10, 11},
        {"0 and 2 change places, 1 is closed", {2, 0, END}, {0, 2, END}, 10, 11},
        {"the channel is in the way", {5, 6, 7, END}, {0, 3, 4, END}, 3, 11},
        {"the channel is the highest", {5, 6, END}, {3, 9, END}, 9, 11},
        {"the channel is one above", {5, 6, END}, {3, 9, END}, 10, 11},
        {"the channel is standard error", {5, 6, 7, END}, {0, 1, 2, END}, 2, 11},
        {"the channel is standard error, and nothing is inherited", {END}, {END}, 2, 11},
        {"the channel is standard error, and only input is inherited", {5, END}, {0, END}, 2, 11},
        {"the channel is standard input, which is closed", {5, 6, END}, {1, 2, END}, 0, 11},
        {"the working directory is in the way", {5, 6, END}, {3, 4, END}, 10, 4},
        {"the working directory is standard input, which is closed", {5, END}, {2, END}, 10, 0},
        {"all are in each other's way",
         {9, 8, 7, 6, 5, 4, 3, END},
         {3, 4, 5, 6, 7, 8, 9, END},
         1,
         2},
        {"far away", {3, 4, END}, {0, 900, END}, 5, 6},
    };

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++)
        if (!in_child(play_move, &cases[i]))
            fail_msg("%s", cases[i].what);
}

static void play_too_high(const void *script) {
    const rlim_t limit = *(const rlim_t *)script;
    const int32_t number = (int32_t)limit;
    struct player player;

    player_init(&player);
    CHECK(setrlimit(RLIMIT_NOFILE, &(struct rlimit){limit, limit}) == 0);
    player.fds.fds[player.fds.n_fds++] = open("/dev/null", O_RDWR | O_CLOEXEC);
    player.launch.descriptors = &number;
    player.launch.header.n_descriptors = 1;
    CHECK(player_apply(&player) < 0);
    CHECK(send(player.channel, "x", 1, 0) == 1);
}

static void a_number_above_the_limit_is_an_error(void **state) {
    (void)state;
    assert_true(in_child(play_too_high, &(const rlim_t){500}));
}

/* The highest number below the limit is wanted, and the other descriptor has it. */
static void play_highest(const void *script) {
    const int32_t numbers[] = {3, 499};
    struct player player;
    ino_t inodes[2];

    (void)script;
    player_init(&player);
    for (int i = 0; i < 2; i++) {
        int fd = memfd_create("received", MFD_CLOEXEC);

        if (i == 0)
            fd = move_to_number(fd, 10);
        CHECK(i == 0 || fd == 3);

        inodes[i] = inode(fd);
        player.fds.fds[player.fds.n_fds++] = fd;
    }
    CHECK(setrlimit(RLIMIT_NOFILE, &(struct rlimit){500, 500}) == 0);
    player.launch.descriptors = numbers;
    player.launch.header.n_descriptors = 2;
    CHECK(player_apply(&player) == 0);
    CHECK(inode(3) == inodes[0] && inode(499) == inodes[1]);
}

static void the_highest_number_can_be_used(void **state) {
    (void)state;
    assert_true(in_child(play_highest, NULL));
}

struct count {
    uint32_t flags;
    size_t n_fds;
    uint32_t n_descriptors;
};

static void play_count(const void *script) {
    const struct count *count = script;
    static const int32_t numbers[] = {0, 1, 2, 3};
    struct player player;
    pid_t group = getpgrp();

    (void)umask(0123);
    player_init(&player);
    for (size_t i = player.fds.n_fds; i < count->n_fds; i++)
        player.fds.fds[i] = open("/dev/null", O_RDWR | O_CLOEXEC);
    player.fds.n_fds = count->n_fds;
    player.flags = count->flags;
    player.launch.descriptors = numbers;
    player.launch.header.n_descriptors = count->n_descriptors;
    CHECK(player_apply(&player) == -EBADMSG);
    CHECK(getpgrp() == group && umask(0) == 0123 && fcntl(0, F_GETFD) >= 0);
}

static void a_wrong_number_of_descriptors_is_refused_unchanged(void **state) {
    static const uint32_t plain = PROTOCOL_TO_SERVICE,
                          terminal = PROTOCOL_TO_SERVICE | PROTOCOL_HAS_TERMINAL;
    const struct count cases[] = {
        {plain, 0, 0},    {plain, 1, 0},    {plain, 2, 1},    {plain, 3, 0},
        {plain, 4, 1},    {plain, 4, 3},    {plain, 2, 253},  {plain, 3, UINT32_MAX},
        {terminal, 0, 0}, {terminal, 3, 0}, {terminal, 4, 1}, {terminal, 5, 0},
        {terminal, 5, 2}, {plain, 253, 0},
    };

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++)
        if (!in_child(play_count, &cases[i]))
            fail_msg("flags %u, %zu came, %u wanted", cases[i].flags, cases[i].n_fds,
                     cases[i].n_descriptors);
}

static void play_umask(const void *script) {
    const mode_t *mask = script;
    struct player player;

    player_init(&player);
    player.launch.header.umask = *mask;
    CHECK(player_apply(&player) == 0);
    CHECK(umask(0) == *mask);
}

static void the_umask_is_taken(void **state) {
    static const mode_t masks[] = {0, 022, 077, 0123, 0777};

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(masks); i++)
        assert_true(in_child(play_umask, &masks[i]));
}

/* How much nicer; negative: needs a right that the gate lacks. */
static void play_nice(const void *script) {
    const int *more = script;
    struct player player;
    int before;

    player_init(&player);
    before = getpriority(PRIO_PROCESS, 0);
    /* A gate may not lower its nice value. */
    CHECK(setrlimit(RLIMIT_NICE, &(struct rlimit){0, 0}) == 0);
    player.limits.all[RLIMIT_NICE] = (struct rlimit){0, 0};
    player.limits.nice = before + *more;
    CHECK(player_apply(&player) == 0);
    CHECK(getpriority(PRIO_PROCESS, 0) == (*more > 0 ? before + *more : before));
}

static void the_nice_value_is_taken_but_never_lowered(void **state) {
    static const int more[] = {0, 1, 3, -1, -40};

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(more); i++)
        assert_true(in_child(play_nice, &more[i]));
}

enum {
    SAME = LIMITS_UNCHANGED,
    IO_REAL_TIME = 1 << 13,
    IO_IDLE = 3 << 13,
    MEMORY_BIND = 2,
    MEMORY_INTERLEAVE = 3,
};

/* What a process has besides its limits. In a script SAME, or a slack of 0: nothing is told. */
struct settings {
    const char *what;
    int32_t policy, io_priority, oom_score_adj, coredump_filter;
    uint64_t slack;
    int64_t memory_policy;
    uint64_t nodes; /* the first 64 */
};

static int32_t file_number(const char *path, int base) {
    char text[32] = "";
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    CHECK(fd >= 0 && read(fd, text, sizeof(text) - 1) > 0 && close(fd) == 0);
    return (int32_t)strtol(text, NULL, base);
}

static void settings_read(struct settings *now) {
    uint64_t nodes[LAUNCH_MEMORY_NODES_MAX / 64] = {0};
    long io_priority = syscall(SYS_ioprio_get, 1, 0);
    int policy = SAME;

    (void)syscall(SYS_get_mempolicy, &policy, nodes, LAUNCH_MEMORY_NODES_MAX + 1, NULL, 0);
    *now = (struct settings){.policy = (int32_t)syscall(SYS_sched_getscheduler, 0),
                             .io_priority = (int32_t)io_priority,
                             .oom_score_adj = file_number("/proc/self/oom_score_adj", 10),
                             .coredump_filter = file_number("/proc/self/coredump_filter", 16),
                             .slack = (uint64_t)prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0),
                             .memory_policy = policy,
                             .nodes = nodes[0]};
}

/* @after: what the process has then. SAME, or a slack of 0: what it had before. */
struct setting {
    struct settings told, after;
};

static int32_t settings_choose(int32_t wanted, int32_t before) {
    return wanted == SAME ? before : wanted;
}

static void play_setting(const void *script) {
    const struct settings *told = &((const struct setting *)script)->told;
    const struct settings *after = &((const struct setting *)script)->after;
    struct player player;
    struct settings before, now;

    player_init(&player);
    settings_read(&before);
    player.limits.policy = told->policy;
    player.limits.priority = told->policy == SCHED_FIFO ? 10 : 0;
    player.limits.io_priority = told->io_priority;
    player.limits.oom_score_adj = told->oom_score_adj;
    player.limits.coredump_filter = told->coredump_filter;
    player.launch.header.timer_slack = told->slack;
    if (told->memory_policy != SAME)
        player.launch.header.memory_policy = told->memory_policy;
    player.launch.header.memory_nodes[0] = told->nodes;
    player_open_files(&player);
    CHECK(player_apply(&player) == 0);
    settings_read(&now);
    CHECK(now.policy == settings_choose(after->policy, before.policy));
    CHECK(now.io_priority == settings_choose(after->io_priority, before.io_priority));
    CHECK(now.oom_score_adj == settings_choose(after->oom_score_adj, before.oom_score_adj));
    CHECK(now.coredump_filter == settings_choose(after->coredump_filter, before.coredump_filter));
    CHECK(now.slack == (after->slack != 0 ? after->slack : before.slack));
    if (before.memory_policy == SAME) /* this kernel has none */
        return;
    CHECK(now.memory_policy ==
          settings_choose((int32_t)after->memory_policy, before.memory_policy));
    CHECK(now.nodes == (after->memory_policy == SAME ? before.nodes : after->nodes));
}

/* A gate must not be attached to, also not after it has written its own files. */
static void play_attach(const void *script) {
    const struct settings *told = script;
    struct player player;

    player_init(&player);
    CHECK(prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0);
    player.limits.oom_score_adj = told->oom_score_adj;
    player.limits.coredump_filter = told->coredump_filter;
    player_open_files(&player);
    CHECK(player_apply(&player) == 0);
    CHECK(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0);
}

#define NOTHING SAME, SAME, SAME, SAME, 0, SAME, 0

static void settings_are_taken_and_what_is_refused_stays(void **state) {
    static const struct setting cases[] = {
        {{"nothing", NOTHING}, {"", NOTHING}},
        {{"batch", SCHED_BATCH, SAME, SAME, SAME, 0, SAME, 0},
         {"", SCHED_BATCH, SAME, SAME, SAME, 0, SAME, 0}},
        {{"idle", SCHED_IDLE, SAME, SAME, SAME, 0, SAME, 0},
         {"", SCHED_IDLE, SAME, SAME, SAME, 0, SAME, 0}},
        {{"reset on fork", SCHED_BATCH | SCHED_RESET_ON_FORK, SAME, SAME, SAME, 0, SAME, 0},
         {"", SCHED_BATCH | SCHED_RESET_ON_FORK, SAME, SAME, SAME, 0, SAME, 0}},
        {{"real time", SCHED_FIFO, SAME, SAME, SAME, 0, SAME, 0}, {"", NOTHING}},
        {{"an unknown policy", 99, SAME, SAME, SAME, 0, SAME, 0}, {"", NOTHING}},
        {{"idle I/O", SAME, IO_IDLE, SAME, SAME, 0, SAME, 0},
         {"", SAME, IO_IDLE, SAME, SAME, 0, SAME, 0}},
        {{"real-time I/O", SAME, IO_REAL_TIME, SAME, SAME, 0, SAME, 0}, {"", NOTHING}},
        {{"oom", SAME, SAME, 1000, SAME, 0, SAME, 0}, {"", SAME, SAME, 1000, SAME, 0, SAME, 0}},
        {{"a lower oom", SAME, SAME, -1000, SAME, 0, SAME, 0}, {"", NOTHING}},
        {{"no oom", SAME, SAME, 1001, SAME, 0, SAME, 0}, {"", NOTHING}},
        {{"core", SAME, SAME, SAME, 0x1ff, 0, SAME, 0}, {"", SAME, SAME, SAME, 0x1ff, 0, SAME, 0}},
        {{"no core", SAME, SAME, SAME, 0, 0, SAME, 0}, {"", SAME, SAME, SAME, 0, 0, SAME, 0}},
        {{"slack", SAME, SAME, SAME, SAME, 1, SAME, 0}, {"", SAME, SAME, SAME, SAME, 1, SAME, 0}},
        {{"interleave", SAME, SAME, SAME, SAME, 0, MEMORY_INTERLEAVE, 1},
         {"", SAME, SAME, SAME, SAME, 0, MEMORY_INTERLEAVE, 1}},
        {{"default", SAME, SAME, SAME, SAME, 0, 0, 0}, {"", SAME, SAME, SAME, SAME, 0, 0, 0}},
        {{"no such node", SAME, SAME, SAME, SAME, 0, MEMORY_BIND, UINT64_C(1) << 63},
         {"", NOTHING}},
        {{"no such memory policy", SAME, SAME, SAME, SAME, 0, 77, 1}, {"", NOTHING}},
        {{"all", SCHED_IDLE, IO_IDLE, 999, 0x7f, 70000, MEMORY_BIND, 1},
         {"", SCHED_IDLE, IO_IDLE, 999, 0x7f, 70000, MEMORY_BIND, 1}},
    };

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++)
        if (!in_child(play_setting, &cases[i]) || !in_child(play_attach, &cases[i].told))
            fail_msg("%s", cases[i].told.what);
}

enum processors { ALL_AS_BEFORE, LAST_ONLY, NONE_OF_OURS, BEYOND_COUNT };

/* Writes the processors of @set to the launch description. */
static void processors_fill(struct launch_header *header, const cpu_set_t *set) {
    for (size_t i = 0; i < LAUNCH_PROCESSORS_MAX; i++)
        if (CPU_ISSET(i, set))
            header->processors[i / 64] |= UINT64_C(1) << (i % 64);
}

static void play_processors(const void *script) {
    const enum processors *processors = script;
    struct player player;
    struct launch_header *header = &player.launch.header;
    cpu_set_t before, last, now;
    int highest = 0;

    CHECK(sched_getaffinity(0, sizeof(before), &before) == 0);
    for (int i = 0; i < LAUNCH_PROCESSORS_MAX; i++)
        if (CPU_ISSET(i, &before))
            highest = i;
    CPU_ZERO(&last);
    CPU_SET(highest, &last);
    player_init(&player);
    if (*processors == LAST_ONLY || *processors == BEYOND_COUNT)
        processors_fill(header, &last);
    header->n_processors = *processors == ALL_AS_BEFORE  ? 0
                           : *processors == BEYOND_COUNT ? (uint32_t)highest
                                                         : LAUNCH_PROCESSORS_MAX;
    if (*processors == NONE_OF_OURS)
        header->processors[BASE_ARRAY_SIZE(header->processors) - 1] = UINT64_C(1) << 63;
    CHECK(player_apply(&player) == 0);
    CHECK(sched_getaffinity(0, sizeof(now), &now) == 0);
    CHECK(CPU_EQUAL(&now, *processors == LAST_ONLY ? &last : &before));
}

static void the_processors_are_taken_if_the_cpuset_permits_them(void **state) {
    static const enum processors cases[] = {ALL_AS_BEFORE, LAST_ONLY, NONE_OF_OURS, BEYOND_COUNT};

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++)
        if (!in_child(play_processors, &cases[i]))
            fail_msg("case %zu", i);
}

struct masks {
    uint64_t ignored, blocked;
};

#define BIT(number) (UINT64_C(1) << ((number)-1))

/* Two signals that cannot be ignored or blocked, and two or three that the C library uses itself.
 */
static uint64_t unchangeable_signals(void) {
    uint64_t signals = BIT(SIGKILL) | BIT(SIGSTOP);

    for (int number = 32; number < SIGRTMIN; number++)
        signals |= BIT(number);
    return signals;
}

static uint64_t ignored_now(void) {
    uint64_t ignored = 0;

    for (int number = 1; number <= 64; number++) {
        struct sigaction action;

        if (sigaction(number, NULL, &action) == 0 && action.sa_handler == SIG_IGN)
            ignored |= BIT(number);
    }
    return ignored;
}

static uint64_t blocked_now(void) {
    uint64_t blocked = 0;
    sigset_t mask;

    CHECK(sigprocmask(SIG_SETMASK, NULL, &mask) == 0);
    for (int number = 1; number <= 64; number++)
        if (sigismember(&mask, number) == 1)
            blocked |= BIT(number);
    return blocked;
}

static void play_signals(const void *script) {
    const uint64_t unchangeable = unchangeable_signals();
    const struct masks *masks = script;
    struct player player;
    sigset_t own;

    player_init(&player);
    for (int number = 1; number <= 64; number++)
        if ((unchangeable & BIT(number)) == 0)
            CHECK(signal(number, SIG_DFL) != SIG_ERR);
    /* The service's own mask must not reach the command. */
    (void)sigemptyset(&own);
    (void)sigaddset(&own, SIGHUP);
    (void)sigaddset(&own, SIGALRM);
    CHECK(sigprocmask(SIG_SETMASK, &own, NULL) == 0);
    player.launch.header.ignored_signals = masks->ignored;
    player.launch.header.blocked_signals = masks->blocked;
    CHECK(player_apply(&player) == 0);
    CHECK(ignored_now() == (masks->ignored & ~unchangeable));
    CHECK(blocked_now() == (masks->blocked & ~unchangeable));
}

static void signals_are_ignored_and_blocked_as_for_the_caller(void **state) {
    const uint64_t unchangeable = unchangeable_signals();
    const int first = SIGRTMIN;
    const struct masks cases[] = {
        {0, 0},
        {BIT(SIGINT) | BIT(SIGQUIT), 0},
        {0, BIT(SIGUSR1) | BIT(SIGTERM)},
        {BIT(SIGPIPE), BIT(SIGPIPE)},
        {BIT(SIGHUP), 0},
        {BIT(SIGCHLD), BIT(SIGALRM)},
        {BIT(first) | BIT(64), BIT(first + 1) | BIT(63)},
        {BIT(1), BIT(64)},
        {unchangeable, unchangeable},
        {~UINT64_C(0), ~UINT64_C(0)},
    };

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++)
        if (!in_child(play_signals, &cases[i]))
            fail_msg("ignored: %jx, blocked: %jx", (uintmax_t)cases[i].ignored,
                     (uintmax_t)cases[i].blocked);
}

enum where { A_FOLDER, A_DELETED_FOLDER, A_FILE, NOWHERE, FORBIDDEN_FOLDER };

static void play_cwd(const void *script) {
    const enum where where = *(const enum where *)script;
    static const int results[] = {0, 0, -ENOTDIR, -EBADF, -EACCES};
    char folder[64], now[64];
    struct player player;
    ino_t wanted;
    int fd;

    (void)snprintf(folder, sizeof(folder), "%s/folder", root);
    if (where == A_DELETED_FOLDER || where == FORBIDDEN_FOLDER) {
        (void)snprintf(folder, sizeof(folder), "%s/%d", root, (int)getpid());
        CHECK(mkdir(folder, 0700) == 0);
        CHECK(geteuid() != 0 || chown(folder, 65534, 65534) == 0);
    }
    player_init(&player);
    fd = move_to_number(open(where == A_FILE ? "/etc/passwd" : folder, O_PATH | O_CLOEXEC), 20);
    wanted = inode(fd);
    CHECK(where != A_DELETED_FOLDER || rmdir(folder) == 0);
    CHECK(where != FORBIDDEN_FOLDER || chmod(folder, 0) == 0);
    player.fds.fds[PROTOCOL_CWD_FD] = where == NOWHERE ? 21 : fd;
    CHECK(player_apply(&player) == results[where]);
    if (results[where] != 0)
        return;
    CHECK(inode(open(".", O_PATH | O_CLOEXEC)) == wanted);
    if (where == A_DELETED_FOLDER)
        CHECK(getcwd(now, sizeof(now)) == NULL && errno == ENOENT);
    else
        CHECK(getcwd(now, sizeof(now)) == now && strcmp(now, folder) == 0);
}

static void the_command_starts_in_the_callers_directory(void **state) {
    static const enum where cases[] = {A_FOLDER, A_DELETED_FOLDER, A_FILE, NOWHERE,
                                       FORBIDDEN_FOLDER};

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++)
        if (!in_child(play_cwd, &cases[i]))
            fail_msg("%d", (int)cases[i]);
}

static void play_no_terminal(const void *script) {
    struct player player;
    pid_t session = getsid(0);

    (void)script;
    player_init(&player);
    player.flags = PROTOCOL_TO_SERVICE;
    CHECK(getpgrp() != getpid());
    CHECK(player_apply(&player) == 0);
    CHECK(getpgrp() == getpid() && getsid(0) == session);
}

static void without_a_terminal_the_command_leads_a_process_group(void **state) {
    (void)state;
    assert_true(in_child(play_no_terminal, NULL));
}

static int monitors_end(void) {
    int ends[2];

    CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
    return ends[1];
}

static void play_terminal(const void *script) {
    static const int32_t numbers[] = {0, 1, 2};
    struct player player;
    int master, slave;

    (void)script;
    player_init(&player);
    CHECK(openpty(&master, &slave, NULL, NULL, NULL) == 0);
    CHECK(fcntl(slave, F_SETFD, FD_CLOEXEC) == 0);
    player.flags = PROTOCOL_TO_SERVICE | PROTOCOL_HAS_TERMINAL;
    player.fds.fds[player.fds.n_fds++] = slave;
    player.fds.fds[player.fds.n_fds++] = monitors_end();
    for (int i = 0; i < 3; i++)
        player.fds.fds[player.fds.n_fds++] = fcntl(slave, F_DUPFD_CLOEXEC, 3);
    player.launch.descriptors = numbers;
    player.launch.header.n_descriptors = 3;
    CHECK(player_apply(&player) == 0);
    CHECK(getsid(0) == getpid() && getpgrp() == getpid());
    CHECK(tcgetsid(0) == getpid() && tcgetpgrp(1) == getpid() && isatty(2));
    CHECK(open("/dev/tty", O_RDWR | O_CLOEXEC) >= 0);
}

static void with_a_terminal_the_gate_leads_a_session(void **state) {
    (void)state;
    assert_true(in_child(play_terminal, NULL));
}

enum no_terminal { NULL_DEVICE, MEMORY, PIPE, CLOSED, FOREIGN };

static int no_terminal_open(enum no_terminal kind, pid_t *ownerp) {
    int ends[2], ready[2];
    char byte;

    switch (kind) {
    case NULL_DEVICE:
        return open("/dev/null", O_RDWR | O_CLOEXEC);
    case MEMORY:
        return memfd_create("x", MFD_CLOEXEC);
    case PIPE:
        CHECK(pipe(ends) == 0);
        return ends[0];
    case FOREIGN:
        CHECK(openpty(&ends[0], &ends[1], NULL, NULL, NULL) == 0 && pipe(ready) == 0);
        *ownerp = fork();
        if (*ownerp == 0) {
            (void)alarm(10);
            CHECK(setsid() > 0 && ioctl(ends[1], TIOCSCTTY, 0) == 0 &&
                  write(ready[1], "x", 1) == 1);
            (void)pause();
        }
        CHECK(*ownerp > 0 && read(ready[0], &byte, 1) == 1);
        return ends[1];
    default:
        return FAR_END + 20;
    }
}

static void play_wrong_terminal(const void *script) {
    const enum no_terminal kind = *(const enum no_terminal *)script;
    static const int results[] = {-ENOTTY, -ENOTTY, -ENOTTY, -EBADF, -EPERM};
    struct player player;
    pid_t owner = 0;

    player_init(&player);
    player.flags = PROTOCOL_TO_SERVICE | PROTOCOL_HAS_TERMINAL;
    player.fds.fds[player.fds.n_fds++] = no_terminal_open(kind, &owner);
    player.fds.fds[player.fds.n_fds++] = monitors_end();
    CHECK(player_apply(&player) == results[kind]);
    CHECK(send(player.channel, "x", 1, 0) == 1); /* the channel to the session still works */
    if (owner > 0)
        CHECK(kill(owner, SIGKILL) == 0);
}

static void an_invalid_or_foreign_terminal_is_refused(void **state) {
    static const enum no_terminal cases[] = {NULL_DEVICE, MEMORY, PIPE, CLOSED, FOREIGN};

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++)
        if (!in_child(play_wrong_terminal, &cases[i]))
            fail_msg("%d", (int)cases[i]);
}

struct limiting {
    struct rlimit own, wanted, result;
};

static const struct limiting limitings[] = {
    {{300, 400}, {300, 400}, {300, 400}},
    {{300, 400}, {200, 350}, {200, 350}},
    {{300, 400}, {350, 400}, {350, 400}}, /* a soft limit may rise */
    {{300, 400}, {400, 400}, {400, 400}},
    {{300, 400}, {300, 300}, {300, 300}},
    {{300, 400}, {250, 500}, {250, 400}},
    {{300, 400}, {500, 500}, {400, 400}},
    {{300, 400}, {500, 350}, {350, 350}}, /* no kernel reports that */
    {{300, 400}, {0, 0}, {0, 0}},
    {{0, 0}, {300, 400}, {0, 0}},
    {{300, 400}, {RLIM_INFINITY, RLIM_INFINITY}, {400, 400}},
    {{300, 400}, {200, RLIM_INFINITY}, {200, 400}},
};

static void play_limit(const void *script) {
    const struct limiting *limiting = script;
    struct rlimit now;

    CHECK(dup3(2, SPARE_STDERR, O_CLOEXEC) == SPARE_STDERR);
    CHECK(setrlimit(RLIMIT_NOFILE, &limiting->own) == 0);
    CHECK(caller_context_set_limit(RLIMIT_NOFILE, &limiting->wanted) == 0);
    CHECK(getrlimit(RLIMIT_NOFILE, &now) == 0);
    CHECK(now.rlim_cur == limiting->result.rlim_cur && now.rlim_max == limiting->result.rlim_max);
}

/* All other limits stay as they are. */
static void play_limits(const void *script) {
    const struct limiting *limiting = script;
    struct player player;

    player_init(&player);
    player.limits.all[RLIMIT_NOFILE] = limiting->wanted;
    player.limits.all[RLIMIT_FSIZE] = limiting->wanted;
    CHECK(setrlimit(RLIMIT_NOFILE, &limiting->own) == 0);
    CHECK(setrlimit(RLIMIT_FSIZE, &limiting->own) == 0);
    CHECK(player_apply(&player) == 0);
    for (int resource = 0; resource < RLIM_NLIMITS; resource++) {
        bool is_limited = resource == RLIMIT_NOFILE || resource == RLIMIT_FSIZE;
        const struct rlimit *expected =
            is_limited ? &limiting->result : &player.limits.all[resource];
        struct rlimit now;

        CHECK(getrlimit((resource_limit)resource, &now) == 0);
        CHECK(now.rlim_cur == expected->rlim_cur && now.rlim_max == expected->rlim_max);
    }
}

static void a_limit_is_the_lower_of_the_callers_and_the_own_hard_limit(void **state) {
    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(limitings); i++) {
        if (!in_child(play_limit, &limitings[i]) || !in_child(play_limits, &limitings[i]))
            fail_msg("case %zu", i);
    }
}

/* From now on prctl(PR_SET_DUMPABLE, 1) fails with ENOTSUP. */
static void dumpable_forbid(void) {
    const unsigned number = offsetof(struct seccomp_data, nr);
    const unsigned first = offsetof(struct seccomp_data, args[0]);
    const unsigned low = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? 4 : 0;
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, number),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_prctl, 0, 5),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, first + low),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PR_SET_DUMPABLE, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, first + (unsigned)sizeof(uint64_t) + low),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 1, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOTSUP),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog program = {BASE_ARRAY_SIZE(filter), filter};

    CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
          prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
}

/* Without its capability a gate that is dumpable could be attached to, and told what to do. */
static void play_no_attach(const void *script) {
    struct player player;

    (void)script;
    player_init(&player);
    CHECK(prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0);
    player.limits.oom_score_adj = 1000;
    player.limits.coredump_filter = 0x3f;
    player_open_files(&player);
    CHECK(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0);
    dumpable_forbid();
    CHECK(player_apply(&player) == 0);
    CHECK(file_number("/proc/self/oom_score_adj", 10) == 1000);
    CHECK(file_number("/proc/self/coredump_filter", 16) == 0x3f);
}

static void nobody_can_attach_once_the_capability_is_dropped(void **state) {
    (void)state;
    assert_true(in_child(play_no_attach, NULL));
}

/* The command has all numbers below the limit but two, and the service has a higher limit. */
static void play_few_numbers(const void *script) {
    static const int32_t numbers[] = {0, 1, 2, 3, 4, 5};
    struct player player;
    int next;

    (void)script;
    player_init(&player);
    player.fds.fds[PROTOCOL_CWD_FD] = move_to_number(CWD, 3);
    player.fds.fds[PROTOCOL_LAUNCH_FD] = move_to_number(memfd_create("launch", MFD_CLOEXEC), 6);
    for (int fd = 7; fd < 13; fd++)
        player.fds.fds[player.fds.n_fds++] =
            move_to_number(open("/dev/null", O_RDWR | O_CLOEXEC), fd);
    player.launch.descriptors = numbers;
    player.launch.header.n_descriptors = BASE_ARRAY_SIZE(numbers);
    player.limits.all[RLIMIT_NOFILE] = (struct rlimit){8, 8};
    player.limits.oom_score_adj = 1000;
    player_open_files(&player);
    CHECK(player_apply(&player) == 0);
    next = open("/dev/null", O_RDWR | O_CLOEXEC);
    CHECK(next == 6 && close(next) == 0 && file_number("/proc/self/oom_score_adj", 10) == 1000);
}

static void few_numbers_are_enough(void **state) {
    (void)state;
    assert_true(in_child(play_few_numbers, NULL));
}

static void an_unknown_limit_is_an_error(void **state) {
    const struct rlimit limit = {1, 1};

    (void)state;
    assert_int_equal(caller_context_set_limit(RLIM_NLIMITS, &limit), -EINVAL);
    assert_int_equal(caller_context_set_limit(-1, &limit), -EINVAL);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(each_descriptor_gets_its_number),
    cmocka_unit_test(a_number_above_the_limit_is_an_error),
    cmocka_unit_test(the_highest_number_can_be_used),
    cmocka_unit_test(a_wrong_number_of_descriptors_is_refused_unchanged),
    cmocka_unit_test(the_umask_is_taken),
    cmocka_unit_test(the_nice_value_is_taken_but_never_lowered),
    cmocka_unit_test(settings_are_taken_and_what_is_refused_stays),
    cmocka_unit_test(the_processors_are_taken_if_the_cpuset_permits_them),
    cmocka_unit_test(signals_are_ignored_and_blocked_as_for_the_caller),
    cmocka_unit_test(the_command_starts_in_the_callers_directory),
    cmocka_unit_test(without_a_terminal_the_command_leads_a_process_group),
    cmocka_unit_test(with_a_terminal_the_gate_leads_a_session),
    cmocka_unit_test(an_invalid_or_foreign_terminal_is_refused),
    cmocka_unit_test(a_limit_is_the_lower_of_the_callers_and_the_own_hard_limit),
    cmocka_unit_test(nobody_can_attach_once_the_capability_is_dropped),
    cmocka_unit_test(few_numbers_are_enough),
    cmocka_unit_test(an_unknown_limit_is_an_error),
};

int main(void) {
    return cmocka_run_group_tests_name(__FILE__, tests, make_root, remove_root);
}
