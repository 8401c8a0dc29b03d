#include "launcher/refusal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "launcher/diagnose.h"
#include "launcher/message.h"
#include "launcher/policy-query.h"

/* "host name 'a' and domain name 'b'", of the names in @names, or of all if it is none. */
static void names_describe(char *text, size_t size, const struct options *options, unsigned names) {
    bool host = options->hostname != NULL && (names == 0 || (names & PROTOCOL_HOSTNAME) != 0);
    bool domain = options->domainname != NULL && (names == 0 || (names & PROTOCOL_DOMAINNAME) != 0);

    (void)snprintf(text, size, "%s%s%s%s%s%s%s", host ? "host name '" : "",
                   host ? options->hostname : "", host ? "'" : "", host && domain ? " and " : "",
                   domain ? "domain name '" : "", domain ? options->domainname : "",
                   domain ? "'" : "");
}

/* utspolicy, which can look up groups, knows what else there is; else the default is named. */
static void refusal_report_denial(const char *names, const struct options *options,
                                  const struct protocol_reply *reply, const sigset_t *mask) {
    char nearest[512], rule[PROTOCOL_RULE_FILE_SIZE + 32] = "no rule gives it to you";
    bool is_known = policy_find_nearest(options, mask, nearest, sizeof(nearest)) == 0;

    if (reply->rule_line != 0)
        (void)snprintf(rule, sizeof(rule), "%s:%u forbids it", reply->rule_file, reply->rule_line);
    message("%s denied: %s; %s%s%s", names, rule,
            is_known ? "nearest that you may have: "
                     : "names under .test are free for all by default",
            is_known ? nearest : "",
            is_known ? " (all: utsrun -l)" : ", the rest is given in " POLICY_FOLDER_ADMIN);
}

/* The rule permits, but asks for what is not to be had in this way. */
static void refusal_report_rule(const char *names, const struct protocol_reply *reply) {
    const char *why = reply->status == PROTOCOL_NEEDS_SERVICE
                          ? "has a limit, which only the service can count; use --via service"
                      : reply->status == PROTOCOL_NEEDS_DIRECT
                          ? "says setuid, which the service cannot give; use --via direct"
                          : "allows no more commands at once than are running; end one";

    message("%s refused: %s:%u %s", names, reply->rule_file, reply->rule_line, why);
}

static const char *confinement_describe(uint32_t confinement) {
    switch ((enum protocol_confinement)confinement) {
    case PROTOCOL_OTHER_USER:
        return "it serves another user; run utsrun as one user";
    case PROTOCOL_LACKS_GROUP:
        return "it has a group that you have not here; log out of all sessions and in again, or "
               "use "
               "--via direct";
    case PROTOCOL_NO_NEW_PRIVS:
        return "no_new_privs is set here (a sandbox or a container), and it starts nothing outside "
               "of a sandbox; run utsrun outside of it";
    case PROTOCOL_FILTERED:
        return "a seccomp filter is set here (a sandbox or a container), and it starts nothing "
               "outside of a sandbox; run utsrun outside of it";
    case PROTOCOL_OTHER_NAMESPACE:
        return "this is another namespace than its own, and it starts nothing outside of yours; "
               "use "
               "--via direct";
    case PROTOCOL_OTHER_ROOT:
        return "this is another root directory than its own, and it starts nothing outside of "
               "yours; use --via direct";
    case PROTOCOL_GONE:
        return "whoever asked was gone before it had looked; try again";
    case PROTOCOL_UNREADABLE:
    case PROTOCOL_UNCONFINED:
    case PROTOCOL_CONFINEMENT_COUNT:
    default:
        return "it cannot look at utsrun in /proc (another primary group than at login, by "
               "newgrp?); "
               "use --via direct";
    }
}

static const char *kernel_hint(int error) {
    const char *hint = message_find_shortage_hint(error);

    if (error == ENOSYS)
        return "Linux 5.3 or newer is needed, and no sandbox that hides clone3";
    if (error == ENOSPC)
        return "too many UTS namespaces live: end some commands, or raise user.max_uts_namespaces";
    return hint != NULL ? hint : "the log of utsbroker says more";
}

static int refusal_report_exec_failure(const struct options *options, int error) {
    const char *hint = message_find_shortage_hint(error);

    message("'%s' could not be executed: %s%s%s", options->command[0], message_error_text(error),
            hint != NULL ? "; " : "", hint != NULL ? hint : "");
    return error == ENOENT ? EXIT_NOT_FOUND : EXIT_CANNOT_EXECUTE;
}

/*
 * Says in one line why the request of @options was refused, as @reply has it, and what to do.
 * @mask is the caller's, for a program that knows more. Returns the exit status for it.
 */
int refusal_report(const struct options *options, const struct protocol_reply *reply,
                   const sigset_t *mask) {
    char names[256];

    names_describe(names, sizeof(names), options, reply->names);
    switch ((enum protocol_status)reply->status) {
    case PROTOCOL_EXEC_FAILED:
        return refusal_report_exec_failure(options, reply->error);
    case PROTOCOL_DENIED:
        refusal_report_denial(names, options, reply, mask);
        break;
    case PROTOCOL_BAD_NAME:
        message(
            "%s refused: a name is labels of letters, digits and inner hyphens, joined by dots, "
            "64 bytes at most; any other must be spelled out by a rule in " POLICY_FOLDER_ADMIN,
            names);
        break;
    case PROTOCOL_POLICY_INVALID:
        message("%s refused: %s", names, diagnose_invalid_policy());
        break;
    case PROTOCOL_NEEDS_SERVICE:
    case PROTOCOL_NEEDS_DIRECT:
    case PROTOCOL_LIMIT_REACHED:
        refusal_report_rule(names, reply);
        break;
    case PROTOCOL_CALLER_CONFINED:
        message("%s refused by the service: %s", names, confinement_describe(reply->confinement));
        break;
    case PROTOCOL_NO_CAPABILITY:
        message("%s refused: %s", names, diagnose_missing_capability());
        break;
    case PROTOCOL_BAD_VERSION:
    case PROTOCOL_BAD_REQUEST:
        message("%s refused: utsrun and " BROKER_PATH " do not understand each other; install both "
                "from one version",
                names);
        break;
    case PROTOCOL_NOT_LOGGED:
        message("%s refused: the log daemon does not take the line, and what is not logged is not "
                "given (%s); try again",
                names, message_error_text(reply->error));
        break;
    case PROTOCOL_TOO_LATE:
        message("%s refused: the request reached the broker too late; try again", names);
        break;
    case PROTOCOL_KERNEL_REFUSED:
    case PROTOCOL_GRANTED:
    case PROTOCOL_STATUS_COUNT:
    default:
        message("%s refused by the kernel: %s; %s", names, message_error_text(reply->error),
                kernel_hint(reply->error));
        break;
    }
    return EXIT_UTSRUN_FAILED;
}
