#include "launcher/refusal.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "launcher/diagnose.h"
#include "launcher/error.h"
#include "launcher/exec-failure.h"
#include "launcher/message.h"
#include "launcher/policy-query.h"
#include "launcher/program.h"

struct described_name {
    const char *what, *name;
    bool is_inherited;
};

/*
 * Writes "host name 'a' and NIS domain name 'b'": the names in @names, or all if @names is 0. A
 * name that was not asked for is this UTS namespace's, and the broker counts it as asked for.
 */
static void names_describe(char *text, size_t size, const struct options *options, unsigned names,
                           unsigned inherited) {
    struct utsname own = {.nodename = ""};
    struct described_name all[] = {{"host name", options->hostname, false},
                                   {"NIS domain name", options->domainname, false}};
    size_t length = 0;

    if (inherited != 0 && uname(&own) == 0) {
        const char *const inherited_names[] = {own.nodename, own.domainname};

        for (size_t i = 0; i < 2; i++)
            if (all[i].name == NULL && (inherited & (1U << i)) != 0)
                all[i] = (struct described_name){all[i].what, inherited_names[i], true};
    }
    text[0] = '\0';
    for (size_t i = 0; i < 2; i++)
        if (all[i].name != NULL && (names == 0 || (names & (1U << i)) != 0) && length < size)
            length += (size_t)snprintf(text + length, size - length, "%s%s '%s'%s",
                                       length > 0 ? " and " : "", all[i].what, all[i].name,
                                       all[i].is_inherited ? " (inherited)" : "");
}

/* Writes "lab (54329)", or only the number of a group that is not in /etc/group. */
static void group_describe(char *text, size_t size, uint32_t group) {
    FILE *file = fopen("/etc/group", "re");
    char line[1024], name[64];
    unsigned number;

    (void)snprintf(text, size, "%u", (unsigned)group);
    while (file != NULL && fgets(line, sizeof(line), file) != NULL)
        if (sscanf(line, "%63[^:]:%*[^:]:%u", name, &number) == 2 && number == group) {
            (void)snprintf(text, size, "%s (%u)", name, number);
            break;
        }
    if (file != NULL)
        (void)fclose(file);
}

/*
 * True if only the groups of the service, which is tried by the policy, lead to the refusal: this
 * process has more.
 */
static bool is_by_lost_group(const struct options *options, const struct protocol_reply *reply,
                             const sigset_t *mask) {
    return reply->groups_lost != 0 &&
           (reply->status == PROTOCOL_DENIED || reply->status == PROTOCOL_BAD_NAME) &&
           policy_query_is_permitted(options, mask);
}

static void lost_group_print(const char *names, const struct protocol_reply *reply) {
    char group[128], others[48] = "";

    group_describe(group, sizeof(group), reply->group);
    if (reply->groups_lost > 1)
        (void)snprintf(others, sizeof(others), " and %u more of your groups",
                       (unsigned)reply->groups_lost - 1);
    message("%s refused by the service: a rule permits it to you, but the service lacks group "
            "%s%s; log out of all sessions and in again, or use %s",
            names, group, others, program.via_direct);
}

/* Names what utspolicy finds, which can look up groups; without an answer, the default policy. */
static void denial_print(const char *names, const struct options *options,
                         const struct protocol_reply *reply, const sigset_t *mask) {
    char nearest[512], rule[PROTOCOL_RULE_FILE_SIZE + 32];
    bool has_both = reply->names == PROTOCOL_NAMES_ALL;
    bool is_known = policy_query_find_nearest(options, mask, nearest, sizeof(nearest)) == 0;

    if (reply->rule_line != 0)
        (void)snprintf(rule, sizeof(rule), "%s:%u denies it", reply->rule_file, reply->rule_line);
    else
        (void)snprintf(rule, sizeof(rule), "%s",
                       has_both ? "no rule permits both names" : "no rule permits it");
    if (is_known)
        message("%s denied: %s; nearest names that rules permit: %s (all: utsrun -l)", names, rule,
                nearest);
    else
        message("%s denied: %s; the default policy permits names under .test, the rules for "
                "all others are in " POLICY_FOLDER_ADMIN,
                names, rule);
}

/* Names the valid name that was meant, and others; without an answer, who can permit the name. */
static void bad_name_print(const char *names, const struct options *options, const sigset_t *mask) {
    char nearest[512];
    bool is_known = policy_query_find_nearest(options, mask, nearest, sizeof(nearest)) == 0;

    message("%s refused: not a valid host name (RFC 1123: labels of letters, digits and inner "
            "hyphens, joined by dots, 64 bytes at most); %s%s%s",
            names,
            is_known ? "nearest names that rules permit: "
                     : "for any other, a rule in " POLICY_FOLDER_ADMIN " must spell it out",
            is_known ? nearest : "", is_known ? " (all: utsrun -l)" : "");
}

/* Says why the broker refuses, although a rule permits the names: @reply names it. */
static void rule_print(const char *names, const struct protocol_reply *reply) {
    switch (reply->status) {
    case PROTOCOL_NEEDS_LEDGER:
        message("%s refused: %s:%u has a limit, and no ledger counts on this machine; the "
                "administrator can start one (utsbroker-ledger(8)), or leave the limit out",
                names, reply->rule_file, reply->rule_line);
        break;
    case PROTOCOL_NEEDS_DIRECT:
        message("%s refused: %s:%u has setuid, and the service cannot grant new privileges; use %s",
                names, reply->rule_file, reply->rule_line, program.via_direct);
        break;
    case PROTOCOL_LIMIT_REACHED:
    default:
        message("%s refused: limit reached: %u of %u commands are running under %s:%u; end one, "
                "see utsrun --ps",
                names, reply->n_live, reply->limit, reply->rule_file, reply->rule_line);
    }
}

/* Why the service refuses this caller; follows "refused by the service: ", and *@fixp follows. */
static const char *confinement_describe(uint32_t confinement, const char **fixp) {
    *fixp = "";
    switch ((enum protocol_confinement)confinement) {
    case PROTOCOL_OTHER_USER:
        return "it serves another user; run utsrun with equal real and effective user ids";
    case PROTOCOL_NO_NEW_PRIVS:
        return "no_new_privs is set here (a sandbox, a container, or a command of direct mode), "
               "and "
               "the service would start the command outside of it; run utsrun outside of it, or in "
               "a command that was started with --via service";
    case PROTOCOL_UNPROVED:
        return "no_new_privs is set here, and this process may not attach to another of yours, so "
               "a sandbox (Landlock, AppArmor, SELinux) may confine it; run utsrun outside of it";
    case PROTOCOL_NO_TRACING:
        return "no_new_privs is set here, and kernel.yama.ptrace_scope is 2 or 3, so nobody can "
               "prove that nothing else confines this process; run utsrun outside of the command";
    case PROTOCOL_FILTERED:
        return "a seccomp filter is set here (a sandbox or a container), and the service would "
               "start the command outside of it; run utsrun outside of it";
    case PROTOCOL_OTHER_ROOT:
        *fixp = program.via_direct;
        return "utsrun has another root directory than the service, which would start the command "
               "outside of it; use ";
    case PROTOCOL_GONE:
        return "the caller ended before the service had checked it; try again";
    case PROTOCOL_LACKS_GROUP:
    case PROTOCOL_OTHER_NAMESPACE:
    case PROTOCOL_UNREADABLE:
    case PROTOCOL_UNCONFINED:
    case PROTOCOL_CONFINEMENT_COUNT:
    default:
        *fixp = program.via_direct;
        return "it cannot read utsrun's files in /proc (another primary group than at login, by "
               "newgrp?); use ";
    }
}

static void confinement_print(const char *names, const struct protocol_reply *reply) {
    char group[128];

    if (reply->confinement == PROTOCOL_LACKS_GROUP) {
        group_describe(group, sizeof(group), reply->group);
        message("%s refused by the service: it has group %s, which utsrun lacks here; log out of "
                "all sessions and in again, or use %s",
                names, group, program.via_direct);
    } else if (reply->confinement == PROTOCOL_OTHER_NAMESPACE) {
        message("%s refused by the service: utsrun is in another %s namespace than the service, "
                "which would start the command outside of it; %s%s",
                names, protocol_describe_namespace(reply->namespace_kind),
                reply->namespace_kind == PROTOCOL_USER_NAMESPACE ? "run utsrun outside of it"
                                                                 : "use ",
                reply->namespace_kind == PROTOCOL_USER_NAMESPACE ? "" : program.via_direct);
    } else {
        const char *fix, *reason = confinement_describe(reply->confinement, &fix);

        message("%s refused by the service: %s%s", names, reason, fix);
    }
}

/*
 * Direct mode is not possible. If it was chosen because there is no service, the message says how
 * to get one, too: cron and at run without a login, which starts the service's socket.
 */
static void capability_print(const char *names, const struct options *options) {
    const char *reason = diagnose_missing_capability();
    char path[108];

    (void)snprintf(path, sizeof(path), "%s/%u.sock", RUN_FOLDER, (unsigned)getuid());
    /* The service would refuse under no_new_privs, too. */
    if (options->mode == MODE_AUTO && access(path, F_OK) < 0 &&
        prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 0)
        message("%s refused: you have no service here, it starts when you log in (for cron and at, "
                "run: loginctl enable-linger); and %s",
                names, reason);
    else
        message("%s refused: %s", names, reason);
}

static const char *kernel_find_fix(int error) {
    const char *fix = error_find_fix(error);

    if (error == ENOSYS)
        return "Linux 5.3 or newer is needed, outside of any sandbox that blocks clone3";
    if (error == ENOSPC)
        return "too many UTS namespaces exist: end some commands, or raise user.max_uts_namespaces";
    return fix != NULL ? fix : "see the log of utsbroker";
}

static int execution_print(const struct options *options, int error) {
    const char *fix = error_find_fix(error);
    char missing[768];

    if (error == ENOENT && exec_failure_describe(missing, sizeof(missing), options->command[0])) {
        message("'%s' could not be executed: %s", options->command[0], missing);
        return program.status_not_found;
    }
    message("'%s' could not be executed: %s%s%s", options->command[0], error_describe(error),
            fix != NULL ? "; " : "", fix != NULL ? fix : "");
    return error == ENOENT ? program.status_not_found : program.status_cannot_execute;
}

/* Prints why @names are refused, by the status of @reply. */
static void status_print(const char *names, const struct options *options,
                         const struct protocol_reply *reply, const sigset_t *mask) {
    switch ((enum protocol_status)reply->status) {
    case PROTOCOL_DENIED:
        denial_print(names, options, reply, mask);
        break;
    case PROTOCOL_BAD_NAME:
        bad_name_print(names, options, mask);
        break;
    case PROTOCOL_POLICY_INVALID:
        message("%s refused: %s", names, diagnose_invalid_policy());
        break;
    case PROTOCOL_NEEDS_LEDGER:
    case PROTOCOL_NEEDS_DIRECT:
    case PROTOCOL_LIMIT_REACHED:
        rule_print(names, reply);
        break;
    case PROTOCOL_TOO_MANY:
        message("%s refused: limit reached: you have %u of %u running commands; end one, see "
                "utsrun --ps",
                names, reply->n_live, reply->limit);
        break;
    case PROTOCOL_CALLER_CONFINED:
        confinement_print(names, reply);
        break;
    case PROTOCOL_NO_CAPABILITY:
        capability_print(names, options);
        break;
    case PROTOCOL_BAD_VERSION:
    case PROTOCOL_BAD_REQUEST:
        message("%s refused: utsrun and " BROKER_PATH " use different protocols; install both from "
                "the same version",
                names);
        break;
    case PROTOCOL_NOT_LOGGED:
        message("%s refused: the log does not take the line (%s), and the broker grants nothing "
                "that is not logged; try again, or see the status of utsbroker-ledger",
                names, error_describe(reply->error));
        break;
    case PROTOCOL_TOO_LATE:
        message("%s refused: the request reached the broker too late; try again", names);
        break;
    case PROTOCOL_EXEC_FAILED: /* execution_print() */
    case PROTOCOL_KERNEL_REFUSED:
    case PROTOCOL_GRANTED:
    case PROTOCOL_STATUS_COUNT:
    default:
        message("%s refused by the kernel: %s; %s", names, error_describe(reply->error),
                kernel_find_fix(reply->error));
        break;
    }
}

/*
 * Says that the reply of the service, or of the broker, has the protocol version @version, which is
 * not utsrun's.
 */
void refusal_print_version(uint32_t version, bool is_service) {
    if (is_service && version < PROTOCOL_VERSION)
        message("the service runs an older program than utsrun (protocol %u, not %d); ask the "
                "administrator to reload utsbroker@%u.service, or use --via direct",
                (unsigned)version, (int)PROTOCOL_VERSION, (unsigned)getuid());
    else
        message("utsrun and " BROKER_PATH " use different protocols (%d and %u); install both from "
                "the same version",
                (int)PROTOCOL_VERSION, (unsigned)version);
}

/*
 * Says in one line why the request of @options was refused, and what to do. Returns the exit
 * status.
 */
int refusal_print(const struct options *options, const struct refusal *refusal) {
    const struct protocol_reply *reply = &refusal->reply;
    char names[320];

    if (reply->status == PROTOCOL_EXEC_FAILED)
        return execution_print(options, reply->error);
    names_describe(names, sizeof(names), options, reply->names, reply->inherited);
    if (is_by_lost_group(options, reply, &refusal->mask))
        lost_group_print(names, reply);
    else
        status_print(names, options, reply, &refusal->mask);
    return program.status_failed;
}
