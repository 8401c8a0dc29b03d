#include "launcher/terminal/output.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "launcher/terminal/mode.h"

/* Removes the first @n of the *@np @bytes. */
static void bytes_remove(char *bytes, size_t *np, size_t n) {
    memmove(bytes, bytes + n, *np - n);
    *np -= n;
}

/*
 * Reads what the command wrote, as far as there is room. Returns true if there may be more. A
 * read(2) of the master waits for bytes that are on their way in the kernel.
 */
bool terminal_read_output(struct terminal *terminal) {
    for (;;) {
        size_t room = sizeof(terminal->output) - terminal->n_output;
        ssize_t n;

        if (room == 0)
            return true;
        n = read(terminal->master, terminal->output + terminal->n_output, room);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        terminal->n_output += (size_t)n;
    }
}

/*
 * Copies to @converted the @n @bytes without the carriage returns that the terminal adds again, and
 * at most @max bytes. Returns how many bytes it took; *@n_convertedp is how many it wrote.
 */
static size_t returns_remove(char *converted, size_t max, size_t *n_convertedp, const char *bytes,
                             size_t n) {
    size_t taken = 0, written = 0;

    while (taken < n && written < max) {
        if (bytes[taken] == '\r' && taken + 1 < n && bytes[taken + 1] == '\n')
            taken++;
        converted[written++] = bytes[taken++];
    }
    *n_convertedp = written;
    return taken;
}

/* Writes as much of the output as the terminal takes. */
void terminal_write_output(struct terminal *terminal) {
    char converted[TERMINAL_OUTPUT_SIZE];

    while (terminal->n_output > 0 && !terminal->is_lost) {
        const char *bytes = terminal->output;
        size_t n = terminal->n_output;
        bool converts = terminal_adds_returns(terminal);
        ssize_t n_written;

        if (converts) {
            (void)returns_remove(converted, sizeof(converted), &n, bytes, terminal->n_output);
            bytes = converted;
        }
        n_written = write(terminal->fd, bytes, n);
        if (n_written > 0 && converts)
            bytes_remove(terminal->output, &terminal->n_output,
                         returns_remove(converted, (size_t)n_written, &n, terminal->output,
                                        terminal->n_output));
        else if (n_written > 0)
            bytes_remove(terminal->output, &terminal->n_output, (size_t)n_written);
        else if (n_written < 0 && errno != EAGAIN && errno != EINTR)
            terminal->is_lost = true;
        else if (n_written == 0 || errno == EAGAIN)
            return;
    }
    if (terminal->is_lost)
        terminal->n_output = 0;
}

/* The command may have set a mode for what it wrote: the terminal gets it before the bytes. */
void terminal_relay_output(struct terminal *terminal) {
    bool may_be_more;
    size_t n_before;

    do {
        may_be_more = terminal_read_output(terminal);
        terminal_mirror(terminal);
        n_before = terminal->n_output;
        terminal_write_output(terminal);
    } while (may_be_more && terminal->n_output < n_before);
    terminal_mirror(terminal);
}
