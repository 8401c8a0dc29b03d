#include "tests/fuse-file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "tests/test.h"

/* @error is 0 or a negative errno. */
static void answer(int device, uint64_t unique, int error, const void *body, size_t size) {
    struct {
        struct fuse_out_header header;
        char body[256];
    } record = {.header = {.len = (uint32_t)(sizeof(record.header) + size),
                           .error = error,
                           .unique = unique}};

    if (size > 0)
        memcpy(record.body, body, size);
    (void)!write(device, &record, record.header.len);
}

static void answer_one(int device, const struct fuse_in_header *in, enum fuse_silence silence) {
    const struct fuse_init_out init = {.major = FUSE_KERNEL_VERSION,
                                       .minor = 31,
                                       .max_write = 4096,
                                       .flags =
                                           silence == FUSE_NO_WRITE ? FUSE_WRITEBACK_CACHE : 0};
    const struct fuse_attr_out attributes = {
        .attr_valid = 3600,
        .attr = {.ino = 1, .size = 4096, .mode = S_IFREG | 0666, .nlink = 1, .blksize = 4096}};
    const struct fuse_open_out opened = {.open_flags = FOPEN_KEEP_CACHE};
    static const char page[4096];

    if (in->opcode == FUSE_INIT)
        answer(device, in->unique, 0, &init, sizeof(init));
    else if (in->opcode == FUSE_GETATTR || in->opcode == FUSE_SETATTR)
        answer(device, in->unique, 0, &attributes, sizeof(attributes));
    else if (in->opcode == FUSE_OPEN)
        answer(device, in->unique, 0, &opened, sizeof(opened));
    else if (in->opcode == FUSE_READ)
        answer(device, in->unique, 0, page, 200);
    else if (in->opcode == FUSE_RELEASE || (in->opcode == FUSE_FLUSH && silence != FUSE_NO_FLUSH))
        answer(device, in->unique, 0, NULL, 0);
    else if (in->opcode != FUSE_FLUSH && in->opcode != FUSE_WRITE && in->opcode != FUSE_FORGET &&
             in->opcode != FUSE_BATCH_FORGET && in->opcode != FUSE_INTERRUPT)
        answer(device, in->unique, -ENOSYS, NULL, 0);
}

static _Noreturn void serve(int device, enum fuse_silence silence) {
    static union {
        struct fuse_in_header header;
        char bytes[1 << 17];
    } request;

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    while (read(device, &request, sizeof(request)) > 0 || errno == EINTR || errno == ENOENT)
        answer_one(device, &request.header, silence);
    _exit(0);
}

/* Mounts it. Returns false where there is no FUSE. The caller must abort it. */
bool fuse_file_open(struct fuse_file *file, enum fuse_silence silence) {
    char options[128];
    int device = open("/dev/fuse", O_RDWR | O_CLOEXEC), fd;

    *file = (struct fuse_file){.path = "/tmp/test-fuse-XXXXXX"};
    if (device < 0)
        return false;
    fd = mkstemp(file->path);
    assert_true(fd >= 0);
    close(fd);
    snprintf(options, sizeof(options), "fd=%d,rootmode=100666,user_id=0,group_id=0,allow_other",
             device);
    assert_int_equal(mount("test", file->path, "fuse", MS_NOSUID | MS_NODEV, options), 0);
    file->server = fork();
    if (file->server == 0)
        serve(device, silence);
    close(device); /* when the server ends, what waits for it goes on */
    return true;
}

/* Ends the file system: what waits for it goes on. */
void fuse_file_abort(struct fuse_file *file) {
    assert_int_equal(kill(file->server, SIGKILL), 0);
    assert_int_equal(waitpid(file->server, NULL, 0), file->server);
    assert_int_equal(umount2(file->path, MNT_DETACH), 0);
    assert_int_equal(unlink(file->path), 0);
}
