#include "launcher/terminal/line.h"

#include <stdbool.h>
#include <string.h>
#include <unistd.h>

/* True if the pty does something else with @byte than to give it to the command. */
static bool is_special(const struct termios *pty, char byte) {
    static const int editing[] = {VERASE, VKILL, VEOF,  VINTR,  VQUIT,   VSUSP,   VSTART,
                                  VSTOP,  VEOL,  VEOL2, VLNEXT, VWERASE, VREPRINT};

    if (byte == '\r')
        return (pty->c_iflag & (ICRNL | IGNCR)) != 0;
    for (size_t i = 0; i < sizeof(editing) / sizeof(*editing); i++)
        if (pty->c_cc[editing[i]] != _POSIX_VDISABLE && (char)pty->c_cc[editing[i]] == byte)
            return true;
    return false;
}

static bool is_control(char byte) {
    return ((unsigned char)byte < ' ' && byte != '\t') || byte == 0x7f;
}

static void echo_add(struct line *line, const char *bytes, size_t n) {
    memcpy(line->echo + line->n_echo, bytes, n);
    line->n_echo += n;
}

/* What the pty echoes for @byte, which it gives to the command. */
static void echo_add_byte(struct line *line, const struct termios *pty, char byte) {
    const char caret[] = {'^', (char)(byte ^ 0x40)};

    if ((pty->c_lflag & ECHO) == 0)
        return;
    if ((pty->c_lflag & ECHOCTL) != 0 && is_control(byte))
        echo_add(line, caret, sizeof(caret));
    else
        echo_add(line, &byte, 1);
}

/* Has the pty take the next byte as it is, if it has a key for that (VLNEXT). */
static void quote_add(struct line *line, const struct termios *pty) {
    if ((pty->c_lflag & IEXTEN) == 0 || pty->c_cc[VLNEXT] == _POSIX_VDISABLE)
        return;
    line->bytes[line->n_bytes++] = (char)pty->c_cc[VLNEXT];
    if ((pty->c_lflag & (ECHO | ECHOCTL)) == (ECHO | ECHOCTL))
        echo_add(line, "^\b", 2);
}

static void newline_add(struct line *line, const struct termios *pty) {
    line->bytes[line->n_bytes++] = '\n';
    if ((pty->c_lflag & (ECHO | ECHONL)) == 0)
        return;
    if ((pty->c_oflag & (OPOST | ONLCR)) == (OPOST | ONLCR))
        echo_add(line, "\r", 1);
    echo_add(line, "\n", 1);
}

/* True if @byte, the last of a line, has ended it (VEOL, VEOL2). */
static bool is_end(const struct termios *pty, char byte) {
    return (pty->c_cc[VEOL] != _POSIX_VDISABLE && (char)pty->c_cc[VEOL] == byte) ||
           (pty->c_cc[VEOL2] != _POSIX_VDISABLE && (char)pty->c_cc[VEOL2] == byte);
}

/*
 * Fills @line with the @n bytes (at most LINE_MAX_BYTES) that read(2) of the terminal gave, for a
 * pty with the mode @pty, which edits lines. A line that ends without a newline was ended by the
 * end-of-file key, and the pty gets that key; no bytes at all are that key alone.
 */
void line_cook(struct line *line, const struct termios *pty, const char *typed, size_t n) {
    line->n_bytes = line->n_echo = 0;
    for (size_t i = 0; i < n; i++) {
        if (typed[i] == '\n' && i + 1 == n) {
            newline_add(line, pty);
            return;
        }
        if (is_special(pty, typed[i]) && !(i + 1 == n && is_end(pty, typed[i])))
            quote_add(line, pty);
        line->bytes[line->n_bytes++] = typed[i];
        echo_add_byte(line, pty, typed[i]);
    }
    if (n > 0 && is_end(pty, typed[n - 1]))
        return;
    if (pty->c_cc[VEOF] != _POSIX_VDISABLE)
        line->bytes[line->n_bytes++] = (char)pty->c_cc[VEOF];
}
