/* The command line of utsrsh: the shapes in which programs call ssh(1), and all of its options. */

#include "launcher/rsh-options.h"

#include "tests/test.h"

enum { WORDS = 24 };

/* What a command line means, in one line: only what differs from a plain run is written. */
static void describe(char *text, size_t size, const struct rsh_options *options) {
    static const char *const actions[] = {"run", "nothing", "config", "version", "help"};
    static const char *const terminals[] = {"", " never", " wanted", " forced"};
    size_t n = (size_t)snprintf(
        text, size, "%s%s%s%s%s%s%s%s%s%s", actions[options->action], terminals[options->terminal],
        options->has_null_input ? " null" : "", options->goes_to_background ? " background" : "",
        options->is_subsystem ? " subsystem" : "", options->is_verbose ? " verbose" : "",
        options->is_quiet ? " quiet" : "", options->user[0] != '\0' ? " user=" : "", options->user,
        options->log_file != NULL ? " log" : "");

    if (options->port[0] != '\0')
        n += (size_t)snprintf(text + n, size - n, " port=%s", options->port);
    if (options->host_name[0] != '\0')
        n += (size_t)snprintf(text + n, size - n, " name=%s", options->host_name);
    if (options->remote_command[0] != '\0')
        n += (size_t)snprintf(text + n, size - n, " remote=%s", options->remote_command);
    n += (size_t)snprintf(text + n, size - n, " %s:", options->host);
    for (size_t i = 0; options->words != NULL && options->words[i] != NULL && n < size; i++)
        n += (size_t)snprintf(text + n, size - n, " <%s>", options->words[i]);
}

struct command_line {
    char *argv[WORDS];
    const char *meaning; /* of describe(); or the beginning of the error */
};

static void assert_meanings(const struct command_line *lines, size_t n_lines, int result) {
    for (size_t i = 0; i < n_lines; i++) {
        char *argv[WORDS + 2] = {"utsrsh"};
        struct rsh_options options;
        char seen[1024];
        int r;

        memcpy(argv + 1, lines[i].argv, sizeof(lines[i].argv));
        r = rsh_options_parse(&options, argv);
        if (r == 0)
            describe(seen, sizeof(seen), &options);
        else
            (void)snprintf(seen, sizeof(seen), "%s", options.error);
        if (r != result ||
            (r == 0 ? strcmp(seen, lines[i].meaning) != 0
                    : strncmp(seen, lines[i].meaning, strlen(lines[i].meaning)) != 0))
            fail_msg("line %zu: expected '%s', got %d '%s'", i, lines[i].meaning, r, seen);
    }
}

static void the_lines_of_real_clients_are_understood(void **state) {
    static const struct command_line lines[] = {
        /* OpenMPI, and its probe */
        {{"n1", " orted -mca ess env"}, "run n1: < orted -mca ess env>"},
        {{"-x", "n1.test", " orted -mca ess env"}, "run n1.test: < orted -mca ess env>"},
        {{"n1.test", "echo $SHELL"}, "run n1.test: <echo $SHELL>"},
        /* MPICH */
        {{"-x", "n1.test", "\"/usr/bin/hydra_pmi_proxy\"", "--control-port", "n0:1"},
         "run n1.test: <\"/usr/bin/hydra_pmi_proxy\"> <--control-port> <n0:1>"},
        /* pdsh */
        {{"-oConnectTimeout=10", "-2", "-a", "-x", "-lalice", "n1.test", "uname -n"},
         "run user=alice n1.test: <uname -n>"},
        /* clush */
        {{"-oForwardAgent=no", "-oForwardX11=no", "-oConnectTimeout=15", "-oBatchMode=yes",
          "n1.test", "uname -n"},
         "run n1.test: <uname -n>"},
        /* dsh, rsync */
        {{"-l", "alice", "n1.test", "rsync", "--server", "-vlogDtpre.iLsfxCIvu", ".", "/tmp"},
         "run user=alice n1.test: <rsync> <--server> <-vlogDtpre.iLsfxCIvu> <.> </tmp>"},
        /* GNU parallel */
        {{"-l", "alice", "n1.test", "--", "exec perl -e '...'"},
         "run user=alice n1.test: <exec perl -e '...'>"},
        {{"-S", "/tmp/path", "-MT", "n1.test", "--", "sleep 9"}, "run never n1.test: <sleep 9>"},
        /* Ansible */
        {{"-C", "-o", "ControlMaster=auto", "-o", "ControlPersist=60s", "-o", "User=\"alice\"",
          "-o", "ConnectTimeout=10", "-o", "ControlPath=\"/home/a b/c\"", "-tt", "n1.test",
          "/bin/sh -c 'echo ~'"},
         "run forced user=alice n1.test: </bin/sh -c 'echo ~'>"},
        {{"-o", "ControlPath=\"/home/a b/c\"", "-s", "n1.test", "sftp"},
         "run subsystem n1.test: <sftp>"},
        /* git, and its probe */
        {{"-G", "-o", "SendEnv=GIT_PROTOCOL", "-p", "22", "alice@n1.test"},
         "config user=alice port=22 n1.test:"},
        {{"-o", "SendEnv=GIT_PROTOCOL", "-p", "22", "alice@n1.test", "git-upload-pack 'a.git'"},
         "run user=alice port=22 n1.test: <git-upload-pack 'a.git'>"},
        /* scp, sftp */
        {{"-x", "-oPermitLocalCommand=no", "-oClearAllForwardings=yes", "-oRemoteCommand=none",
          "-oRequestTTY=no", "-oForwardAgent=no", "-l", "alice", "-s", "--", "n1.test", "sftp"},
         "run never subsystem user=alice n1.test: <sftp>"},
        {{"-oForwardX11 no", "-oForwardAgent no", "-oProtocol 2", "-s", "n1.test", "sftp"},
         "run subsystem n1.test: <sftp>"},
        /* Erlang */
        {{"n1", "erl", "-detached", "-noinput", "-sname", "a@n1"},
         "run n1: <erl> <-detached> <-noinput> <-sname> <a@n1>"},
    };

    (void)state;
    assert_meanings(lines, BASE_ARRAY_SIZE(lines), 0);
}

static void options_stand_before_and_after_the_host(void **state) {
    static const struct command_line lines[] = {
        {{"n1"}, "run n1:"},
        {{"n1", "-t"}, "run wanted n1:"},
        {{"n1", "-tt", "sh"}, "run forced n1: <sh>"},
        {{"-t", "n1", "-t", "sh", "-t"}, "run forced n1: <sh> <-t>"},
        {{"-ttT", "n1"}, "run never n1:"},
        {{"n1", "-l", "alice", "sh"}, "run user=alice n1: <sh>"},
        {{"n1", "-lalice", "sh"}, "run user=alice n1: <sh>"},
        {{"n1", "-xq", "sh"}, "run quiet n1: <sh>"},
        {{"-xqlalice", "n1"}, "run quiet user=alice n1:"},
        {{"--", "n1", "sh"}, "run n1: <sh>"},
        {{"-n", "--", "n1", "-v", "--", "-x"}, "run null verbose n1: <-x>"},
        {{"n1", "--", "--", "sh"}, "run n1: <--> <sh>"},
        {{"n1", "sh", "--", "-n"}, "run n1: <sh> <--> <-n>"},
        {{"n1", ""}, "run n1: <>"},
        {{"n1", "-", "sh"}, "run n1: <-> <sh>"},
        {{"-fn", "-v", "-E", "/tmp/log", "n1", "sh"}, "run null background verbose log n1: <sh>"},
        {{"-vvv", "-E/tmp/log", "n1"}, "run verbose log n1:"},
        {{"-V", "n1", "-Z"}, "version : <n1> <-Z>"},
        {{"-xV"}, "version :"},
        {{"--version"}, "version :"},
        {{"--help", "n1"}, "help :"},
        {{"n1", "--", "--help"}, "run n1: <--help>"},
        {{"-O", "check", "n1"}, "nothing n1:"},
        {{"-Oexit", "-S", "none", "n1"}, "nothing n1:"},
        {{"-Q", "cipher"}, "nothing :"},
        {{"-fNM", "n1"}, "nothing background n1:"},
    };

    (void)state;
    assert_meanings(lines, BASE_ARRAY_SIZE(lines), 0);
}

/* ssh(1) in Debian 12, and what newer and older ones have: with the right number of words each. */
static void all_options_of_ssh_are_taken(void **state) {
    static const char flags[] = "1246AaCgKkMqTXxYy";
    static const char with_argument[] = "BbcEeFIimPpS";

    (void)state;
    for (const char *c = flags; *c != '\0'; c++) {
        char option[] = {'-', *c, '\0'};
        char *const argv[] = {"utsrsh", option, "n1", option, "sh", option, NULL};
        struct rsh_options options;

        if (rsh_options_parse(&options, argv) != 0 || strcmp(options.host, "n1") != 0 ||
            options.words != argv + 4)
            fail_msg("%s", option);
    }
    for (const char *c = with_argument; *c != '\0'; c++) {
        char option[] = {'-', *c, '\0'}, joined[] = {'-', 'x', *c, 'n', '2', '\0'};
        char *const argv[] = {"utsrsh", option, "n2", "n1", joined, option, "-x", "sh", NULL};
        struct rsh_options options;

        if (rsh_options_parse(&options, argv) != 0 || strcmp(options.host, "n1") != 0 ||
            options.words != argv + 7)
            fail_msg("%s", option);
    }
}

static void keywords_have_every_form_of_ssh(void **state) {
    static const struct command_line lines[] = {
        {{"-oUser=alice", "n1"}, "run user=alice n1:"},
        {{"-o", "User=alice", "n1"}, "run user=alice n1:"},
        {{"-o", "User alice", "n1"}, "run user=alice n1:"},
        {{"-oUser alice", "n1"}, "run user=alice n1:"},
        {{"-o", " user =\t\"alice\" ", "n1"}, "run user=alice n1:"},
        {{"n1", "-oUSER=alice", "sh"}, "run user=alice n1: <sh>"},
        {{"-oUser=alice", "-l", "bob", "carol@n1"}, "run user=alice n1:"}, /* the first */
        {{"-l", "bob", "-oUser=alice", "n1"}, "run user=bob n1:"},
        {{"-oRequestTTY=yes", "n1", "sh"}, "run wanted n1: <sh>"},
        {{"-oRequestTTY=force", "n1", "sh"}, "run forced n1: <sh>"},
        {{"-T", "-oRequestTTY=force", "n1"}, "run never n1:"},
        {{"-oRequestTTY=auto", "n1"}, "run n1:"},
        {{"-oHostName=n2.test", "n1"}, "run name=n2.test n1:"},
        {{"-oPort=2222", "-p", "22", "n1"}, "run port=2222 n1:"},
        {{"-oStdinNull=yes", "-oForkAfterAuthentication=yes", "n1", "sh"},
         "run null background n1: <sh>"},
        {{"-oStdinNull=no", "-oForkAfterAuthentication=no", "n1", "sh"}, "run n1: <sh>"},
        {{"-oSessionType=subsystem", "n1", "sftp"}, "run subsystem n1: <sftp>"},
        {{"-oSessionType=none", "n1"}, "nothing n1:"},
        {{"-oRemoteCommand=uname -n", "n1"}, "run remote=uname -n n1:"},
        {{"-oLogLevel=QUIET", "n1"}, "run quiet n1:"},
        {{"-oLogLevel=DEBUG3", "n1"}, "run verbose n1:"},
        {{"-oProxyJump=none", "-oProxyCommand=none", "-oTunnel=no", "-Jnone", "n1"}, "run n1:"},
        {{"-oWhatEver=1", "-o", "StrictHostKeyChecking no", "n1"}, "run n1:"},
    };

    (void)state;
    assert_meanings(lines, BASE_ARRAY_SIZE(lines), 0);
}

static void hosts_have_the_forms_of_ssh(void **state) {
    static const struct command_line lines[] = {
        {{"alice@n1.test"}, "run user=alice n1.test:"},
        {{"alice@realm@n1.test"}, "run user=alice@realm n1.test:"},
        {{"ssh://n1.test"}, "run n1.test:"},
        {{"ssh://alice@n1.test:2222", "sh"}, "run user=alice port=2222 n1.test: <sh>"},
        {{"ssh://n1.test:22/"}, "run port=22 n1.test:"},
        {{"In Namespace"}, "run In Namespace:"},
    };

    (void)state;
    assert_meanings(lines, BASE_ARRAY_SIZE(lines), 0);
}

static void what_cannot_be_done_is_refused(void **state) {
    static const struct command_line lines[] = {
        {{"-L", "8080:a:80", "n1"}, "-L asks to forward a connection"},
        {{"-R8080:a:80", "n1"}, "-R asks to forward a connection"},
        {{"n1", "-D", "1080"}, "-D asks to forward a connection"},
        {{"-W", "a:80", "n1"}, "-W asks to forward a connection"},
        {{"-xJ", "a", "n1"}, "-J asks to forward a connection"},
        {{"-w0:0", "n1"}, "-w asks to forward a connection"},
        {{"-oLocalForward=8080 a:80", "n1"}, "LocalForward=8080 a:80 asks to forward"},
        {{"-o", "remoteforward 8080 a:80", "n1"}, "remoteforward 8080 a:80 asks to forward"},
        {{"-oDynamicForward=1080", "n1"}, "DynamicForward=1080 asks to forward"},
        {{"-oProxyJump=a", "n1"}, "ProxyJump=a asks to forward"},
        {{"-oProxyCommand=nc %h", "n1"}, "ProxyCommand=nc %h asks to forward"},
        {{"-oTunnel=yes", "n1"}, "Tunnel=yes asks to forward"},
        {{NULL}, "no host is given"},
        {{"-n"}, "no host is given"},
        {{"-G"}, "no host is given"},
        {{"--"}, "no host is given"},
        {{""}, "'' is no host"},
        {{"alice@"}, "'alice@' is no host"},
        {{"@n1"}, "'@n1' is no host"},
        {{"ssh://alice@:22"}, "'ssh://alice@:22' is no host"},
        {{"-l", "", "n1"}, "-l '' is no user"},
        {{"-l"}, "-l needs an argument"},
        {{"n1", "-xo"}, "-o needs an argument"},
        {{"-o", "User", "n1"}, "-o 'User' has no value"},
        {{"-o", "=alice", "n1"}, "-o '=alice' has no value"},
        {{"-z", "n1"}, "-z is no option of ssh"},
        {{"--verbose", "n1"}, "-- is no option of ssh"},
        {{"-s", "n1"}, "-s needs the name of a subsystem"},
        {{"-oRemoteCommand=a", "n1", "b"}, "-o RemoteCommand and a command are given"},
    };
    char long_host[300];
    const struct command_line long_lines[] = {{{long_host}, "'aaaa"}};

    (void)state;
    assert_meanings(lines, BASE_ARRAY_SIZE(lines), RSH_OPTIONS_E_USAGE);
    memset(long_host, 'a', sizeof(long_host));
    long_host[sizeof(long_host) - 1] = '\0';
    assert_meanings(long_lines, 1, RSH_OPTIONS_E_USAGE);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_lines_of_real_clients_are_understood),
        cmocka_unit_test(options_stand_before_and_after_the_host),
        cmocka_unit_test(all_options_of_ssh_are_taken),
        cmocka_unit_test(keywords_have_every_form_of_ssh),
        cmocka_unit_test(hosts_have_the_forms_of_ssh),
        cmocka_unit_test(what_cannot_be_done_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
