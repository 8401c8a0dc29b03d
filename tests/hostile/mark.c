/*
 * A library that an attacker wants a program with a capability to load. When it is loaded, under
 * any name, it writes the program's path and its capabilities to the file that TEST_MARK names.
 */

#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

unsigned la_version(unsigned version);

static __attribute__((constructor)) void leave_mark(void) {
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {{0}};
    const char *path = getenv("TEST_MARK");
    char name[16] = "", line[64];
    int fd = path != NULL ? open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666) : -1;

    if (fd < 0)
        return;
    (void)prctl(PR_GET_NAME, name, 0, 0, 0);
    (void)syscall(SYS_capget, &header, data);
    (void)snprintf(line, sizeof(line), "%s permitted %x\n", name, data[0].permitted);
    (void)!write(fd, line, strlen(line));
    (void)close(fd);
}

/* For LD_AUDIT (rtld-audit(7)). */
unsigned la_version(unsigned version) {
    leave_mark();
    return version;
}
