/*
 * Compiles the session's seccomp filter and prints it as a C table. Runs when the broker is built,
 * without privilege.
 *
 * The broker does not do it itself: a library that the privileged process does not link cannot fail
 * in it, and libseccomp's start-up and compilation take a tenth of a whole launch.
 */

#include <errno.h>
#include <linux/filter.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "utsbroker/base.h"

/*
 * Every system call that a session makes after filter_load(), and why. It allocates no memory then.
 * The kernel also permits uretprobe and uprobe, whatever the filter says; they do nothing outside
 * of its own probes.
 */
static const int allowed_calls[] = {
    SCMP_SYS(recvmsg),    /* the request; the gate's report */
    SCMP_SYS(sendmsg),    /* the verdict, the reply, the log line */
    SCMP_SYS(close),      /* the channels to the service and the gate; surplus descriptors */
    SCMP_SYS(exit_group), /* the end */
    /* The age of the policy. A system call only if the vDSO has no clock (vdso(7)). */
    SCMP_SYS(clock_gettime),
    SCMP_SYS(clock_gettime64),
};

static int add_rules(scmp_filter_ctx filter) {
    int r = 0;

    for (size_t i = 0; i < BASE_ARRAY_SIZE(allowed_calls) && r == 0; i++)
        r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, allowed_calls[i], 0);
    /* filter_load() checks with it that the filter is loaded. No other prctl(2) is permitted. */
    if (r == 0)
        r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(prctl), 1,
                             SCMP_A0(SCMP_CMP_EQ, PR_GET_SECCOMP, 0));
    return r;
}

static int print_table(FILE *program) {
    struct sock_filter step;

    puts("/* Made by filter-table.c. */\n\nstatic const struct sock_filter filter_table[] = {");
    while (fread(&step, sizeof(step), 1, program) == 1)
        printf("    {0x%04x, %u, %u, 0x%08x},\n", step.code, step.jt, step.jf, step.k);
    puts("};");
    return ferror(program) || fflush(stdout) != 0 ? -EIO : 0;
}

int main(void) {
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
    FILE *program = tmpfile();
    int r = filter != NULL && program != NULL ? 0 : -ENOMEM;

    /* A call by another architecture's table (x32, i386 on x86-64) ends the process, too. */
    if (r == 0)
        r = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    if (r == 0)
        r = add_rules(filter);
    if (r == 0)
        r = seccomp_export_bpf(filter, fileno(program));
    if (r == 0) {
        rewind(program);
        r = print_table(program);
    }
    if (r < 0)
        fprintf(stderr, "filter-table: %s\n", strerror(-r));
    seccomp_release(filter);
    return r < 0 ? 1 : 0;
}
