#include "launcher/terminal/line.h"

#include <stdbool.h>
#include <string.h>
#include <unistd.h>

static bool is_key(const struct termios *pty, int key, char byte) {
    return pty->c_cc[key] != _POSIX_VDISABLE && (char)pty->c_cc[key] == byte;
}

/* True if the pty does something else with @byte, inside a line, than to give it to the command. */
static bool is_special(const struct termios *pty, char byte) {
    static const int editing[] = {VERASE, VKILL, VEOF,  VINTR,  VQUIT,   VSUSP,   VSTART,
                                  VSTOP,  VEOL,  VEOL2, VLNEXT, VWERASE, VREPRINT};

    if (byte == '\n')
        return true;
    if (byte == '\r')
        return (pty->c_iflag & (ICRNL | IGNCR)) != 0;
    for (size_t i = 0; i < sizeof(editing) / sizeof(*editing); i++)
        if (is_key(pty, editing[i], byte))
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

/* What the pty writes for a newline that it echoes. */
static void echo_add_newline(struct line *line, const struct termios *pty) {
    if ((pty->c_oflag & (OPOST | ONLCR)) == (OPOST | ONLCR))
        echo_add(line, "\r", 1);
    echo_add(line, "\n", 1);
}

/* What the pty echoes for @byte, which it gives to the command. */
static void echo_add_byte(struct line *line, const struct termios *pty, char byte) {
    const char caret[] = {'^', (char)(byte ^ 0x40)};

    if ((pty->c_lflag & ECHO) == 0)
        return;
    if ((pty->c_lflag & ECHOCTL) != 0 && is_control(byte))
        echo_add(line, caret, sizeof(caret));
    else if (byte == '\n')
        echo_add_newline(line, pty);
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

static void end_add(struct line *line, const struct termios *pty) {
    if (pty->c_cc[VEOF] != _POSIX_VDISABLE)
        line->bytes[line->n_bytes++] = (char)pty->c_cc[VEOF];
}

/* The newline that ends a line, as a key that the pty takes for it. */
static void newline_add(struct line *line, const struct termios *pty) {
    if ((pty->c_iflag & INLCR) == 0) {
        line->bytes[line->n_bytes++] = '\n';
    } else if ((pty->c_iflag & (ICRNL | IGNCR)) == ICRNL) {
        line->bytes[line->n_bytes++] = '\r';
    } else {
        /* No key is one: it was quoted, before the end-of-file key. */
        quote_add(line, pty);
        line->bytes[line->n_bytes++] = '\n';
        echo_add_byte(line, pty, '\n');
        end_add(line, pty);
        return;
    }
    if ((pty->c_lflag & (ECHO | ECHONL)) != 0)
        echo_add_newline(line, pty);
}

/* True if @byte, the last of a line, has ended it. */
static bool is_end(const struct termios *pty, char byte) {
    return is_key(pty, VEOL, byte) || ((pty->c_lflag & IEXTEN) != 0 && is_key(pty, VEOL2, byte));
}

/* True if the terminal has written @bytes for one byte that was typed (PARMRK, termios(3)). */
static bool is_doubled(const struct termios *pty, const char *bytes, size_t n) {
    return (pty->c_iflag & (PARMRK | ISTRIP)) == PARMRK && n > 1 && bytes[0] == '\377' &&
           bytes[1] == '\377';
}

/*
 * Fills @line with the @n bytes (at most LINE_MAX_BYTES) that read(2) of the terminal gave, for a
 * pty with the mode @pty. If it edits lines: a line that ends without a newline was ended by the
 * end-of-file key, and the pty gets that key; no bytes at all are that key alone.
 */
void line_cook(struct line *line, const struct termios *pty, const char *typed, size_t n) {
    const bool edits = (pty->c_lflag & ICANON) != 0;

    line->n_bytes = line->n_echo = 0;
    for (size_t i = 0; i < n; i++) {
        bool is_last = i + 1 == n;

        if (edits && is_last && typed[i] == '\n') {
            newline_add(line, pty);
            return;
        }
        if (edits && is_special(pty, typed[i]) && !(is_last && is_end(pty, typed[i])))
            quote_add(line, pty);
        line->bytes[line->n_bytes++] = typed[i];
        echo_add_byte(line, pty, typed[i]);
        if (is_doubled(pty, typed + i, n - i))
            i++;
    }
    if (edits && !(n > 0 && is_end(pty, typed[n - 1])))
        end_add(line, pty);
}
